package recorder

import (
	"log/slog"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRecordedRoom is what a recorded room costs: three who talk without a pause, mix and HLS on, on a real directory and
// in real time. An operation is a second of it; cpu-% is the processor time of the whole process, of one core.
//
//	go test -run '^$' -bench RecordedRoom -benchtime 20x ./recorder
func BenchmarkRecordedRoom(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		name := "off"
		if recorded {
			name = "on"
		}
		b.Run(name, func(b *testing.B) {
			s := &studio{TB: b, spool: b.TempDir(), disk: realDisk{}, epoch: time.Now()}
			s.config = Config{Spool: s.spool, Node: "studio", Tell: s.tell, Log: slog.New(slog.DiscardHandler)}
			s.open()
			defer s.close()
			var mouths []*mouth
			for i, hz := range []float64{400, 1000, 2000} {
				m := s.joins([]string{"ann", "bob", "cay"}[i], uint32(i)+1, hz)
				m.slot = int8(i)
				mouths = append(mouths, m)
			}
			if recorded {
				s.start("take")
			}
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			cpu, wall := processorTime(b), time.Now()
			for b.Loop() {
				for range 50 {
					<-tick.C
					for _, m := range mouths {
						m.says()
					}
				}
			}
			b.ReportMetric(100*(processorTime(b)-cpu).Seconds()/time.Since(wall).Seconds(), "cpu-%")
		})
	}
}

// processorTime is what the process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
