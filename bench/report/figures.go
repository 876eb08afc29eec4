package report

import (
	"reflect"
	"slices"
	"time"
)

// Document is everything that one command measured.
type Document struct {
	At      time.Time `json:"at"`
	Command string    `json:"command"`
	Machine Machine   `json:"machine"`
	Cases   []Case    `json:"cases"`

	Recording []RecordingCost `json:"recording,omitempty"` // made of Cases by CompareRecording
}

// Machine is where it was measured.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// Case is one server under one load.
type Case struct {
	Server    string    `json:"server"`
	Rendition string    `json:"rendition"`
	Listeners int       `json:"listeners"`
	Speakers  int       `json:"speakers"`
	Talking   int       `json:"talking"`
	Recorded  string    `json:"recorded"`   // off, on, or stalled: its disk stood still for a while
	DurationS float64   `json:"duration_s"` // of the steady windows of one run together
	Runs      []Figures `json:"runs"`
	Median    Figures   `json:"median"` // field by field
	Low       Figures   `json:"low"`    // the least of each field
	High      Figures   `json:"high"`   // the greatest of each field
}

// Figures are those of one run. What a server does not tell is 0.
type Figures struct {
	DeliveredPackets float64 `json:"delivered_packets"` // to listeners, in the whole run
	ExpectedPackets  float64 `json:"expected_packets"`
	LossPercent      float64 `json:"loss_percent"`
	SequenceGaps     float64 `json:"sequence_gaps"` // numbers that never came
	Duplicates       float64 `json:"duplicates"`
	LatePackets      float64 `json:"late_packets"`    // came after one with a higher number
	StrangePackets   float64 `json:"strange_packets"` // no RTP header that could be meant
	ReceiverDrops    float64 `json:"receiver_drops"`  // by the generator itself, whose socket or readers were full; not 0: the run is void
	PacketBytes      float64 `json:"packet_bytes"`    // mean, without UDP and IP headers

	ProbeFrames   float64 `json:"probe_frames"`   // Opus frames that the probes decrypted and knew
	ProbeMissing  float64 `json:"probe_missing"`  // frames that the probes should have got besides
	ProbeFailures float64 `json:"probe_failures"` // packets that did not authenticate, frames that nobody had sent

	CPUUsPerPacket          float64 `json:"cpu_us_per_packet"`
	CPUUsPerListenerSecond  float64 `json:"cpu_us_per_listener_second"`
	PacketsPerSecondPerCore float64 `json:"packets_per_second_per_core"`
	CPUCores                float64 `json:"cpu_cores"`        // the server's, in the steady windows
	CPUStatPercent          float64 `json:"cpu_stat_percent"` // utime+stime of /proc/PID/stat, in percent of schedstat's
	CPUWaitPercent          float64 `json:"cpu_wait_percent"` // time that the server's threads waited for a CPU, in percent of their CPU time
	ForeignCores            float64 `json:"foreign_cores"`    // what other processes used in the steady windows
	StolenCores             float64 `json:"stolen_cores"`     // what the hypervisor gave to others
	BatchMean               float64 `json:"batch_mean"`       // packets a system call
	FloorThreads            float64 `json:"floor_threads"`    // of the floor that follows
	FloorUsPerPacket        float64 `json:"floor_us_per_packet"`
	RatioToFloor            float64 `json:"ratio_to_floor"`
	FloorOneUsPerPacket     float64 `json:"floor_one_us_per_packet"` // of a floor of one thread
	RatioToFloorOne         float64 `json:"ratio_to_floor_one"`

	LatencyMsP50  float64 `json:"latency_ms_p50"`
	LatencyMsP99  float64 `json:"latency_ms_p99"`
	LatencyMsP999 float64 `json:"latency_ms_p999"`

	JoinMsP50  float64 `json:"join_ms_p50"`
	JoinMsP99  float64 `json:"join_ms_p99"`
	JoinCPUMs  float64 `json:"join_cpu_ms"`  // of the server, a join
	JoinTotalS float64 `json:"join_total_s"` // for all listeners

	RSSKBPerListener        float64 `json:"rss_kb_per_listener"` // slope between a quarter and all of them
	RSSKB                   float64 `json:"rss_kb"`
	IdleUsPerListenerSecond float64 `json:"idle_us_per_listener_second"`

	GCCycles     float64 `json:"gc_cycles"` // in the steady windows
	GCPauseMsMax float64 `json:"gc_pause_ms_max"`
	SendDrops    float64 `json:"send_drops"` // packets that the kernel did not take
	ForwardDrops float64 `json:"forward_drops"`

	RecordingSeconds float64 `json:"recording_s"` // what follows is of the room's recording, verified; 0 for none
	RecordingBytes   float64 `json:"recording_bytes"`
	RecordingSpokenS float64 `json:"recording_spoken_s"` // of all tracks
	RecordingDropped float64 `json:"recording_dropped"`  // packets that should be in it and are not
	RecordingLost    float64 `json:"recording_lost"`     // packets that never reached it

	LatencyCurve []float64 `json:"latency_curve_ms"` // at 0, 1, … 100 percent
}

// Summarize fills Median, Low and High from Runs.
func (c *Case) Summarize() {
	c.Median = fold(c.Runs, func(v []float64) float64 { return v[(len(v)-1)/2]/2 + v[len(v)/2]/2 })
	c.Low = fold(c.Runs, func(v []float64) float64 { return v[0] })
	c.High = fold(c.Runs, func(v []float64) float64 { return v[len(v)-1] })
}

// fold makes one Figures of several: pick chooses from the sorted values of each field.
func fold(runs []Figures, pick func(sorted []float64) float64) Figures {
	var out Figures
	if len(runs) == 0 {
		return out
	}
	to := reflect.ValueOf(&out).Elem()
	values := make([]float64, len(runs))
	for f := range to.NumField() {
		if to.Field(f).Kind() != reflect.Float64 {
			continue
		}
		for i := range runs {
			values[i] = reflect.ValueOf(&runs[i]).Elem().Field(f).Float()
		}
		slices.Sort(values)
		to.Field(f).SetFloat(pick(values))
	}
	out.LatencyCurve = foldCurves(runs, pick)
	return out
}

// foldCurves does the same point by point.
func foldCurves(runs []Figures, pick func(sorted []float64) float64) []float64 {
	var out []float64
	values := make([]float64, len(runs))
	for p := range runs[0].LatencyCurve {
		for i := range runs {
			if len(runs[i].LatencyCurve) != len(runs[0].LatencyCurve) {
				return nil
			}
			values[i] = runs[i].LatencyCurve[p]
		}
		slices.Sort(values)
		out = append(out, pick(values))
	}
	return out
}
