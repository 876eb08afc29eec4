package engine

import (
	"github.com/prometheus/client_golang/prometheus"
	"stentor/recorder/manifest"
)

var (
	descRecordings = desc("recorder_recordings", "Recordings by state, as recording.list has it.", "state")
	descRecDropped = desc("recorder_dropped_packets", "Packets that are missing in the recordings that are kept, because recorder or disk did not keep up.")
	descRecBytes   = desc("recorder_bytes", "Octets of all recordings that are kept.")
	descRecUnsafe  = desc("recorder_unsafe_seconds", "Most that any running recording would lose if the machine stopped now.")
	descRecFree    = desc("recorder_spool_free_bytes", "Octets that are free where the spool is.")
	descStoreUp    = desc("recorder_store_up", "1 while the store answers.")
	descStoreWait  = desc("recorder_store_pending_files", "Files that the store has not confirmed yet.")
	descStoreWaitB = desc("recorder_store_pending_bytes", "Octets of these.")
	descStoreAge   = desc("recorder_store_oldest_seconds", "How long the file waits that waits longest.")
	descStoreSent  = desc("recorder_store_uploaded_bytes_total", "Octets that the store has confirmed.")
	descStoreRetry = desc("recorder_store_retries_total", "Attempts at the store that failed.")
)

// collectRecorder tells of recordings, where there are any.
func (m *metrics) collectRecorder(out chan<- prometheus.Metric) {
	r := m.engine.recorder
	if r == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	states := map[string]int{"recording": 0, "finishing": 0, "ready": 0, "failed": 0}
	var dropped, bytes, unsafe float64
	for _, s := range r.List("") {
		states[stateOf(&s.Manifest)]++
		dropped += float64(s.Dropped)
		bytes += float64(s.Bytes)
		if s.Manifest.State == manifest.Recording {
			unsafe = max(unsafe, s.Manifest.Duration.Seconds()-s.Manifest.Safe.Seconds())
		}
	}
	for state, n := range states {
		gauge(descRecordings, float64(n), state)
	}
	gauge(descRecDropped, dropped)
	gauge(descRecBytes, bytes)
	gauge(descRecUnsafe, unsafe)
	if free, err := r.Free(); err == nil {
		gauge(descRecFree, float64(free))
	}
	if t, ok := r.Totals(); ok {
		gauge(descStoreUp, pick(t.Up, 1.0, 0))
		gauge(descStoreWait, float64(t.Pending))
		gauge(descStoreWaitB, float64(t.PendingBytes))
		gauge(descStoreAge, t.OldestAge.Seconds())
		count(descStoreSent, t.UploadedBytes)
		count(descStoreRetry, t.Retries)
	}
}
