//go:build linux

package fanout

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"stentor/bench/report"
	"stentor/engine/control"
)

// look is what can be read of a daemon at one moment.
type look struct {
	told   time.Time // when the daemon had told what follows, which takes long when it is full
	world  world
	busy   map[string]float64 // seconds, by shard
	sent   float64
	packed int
	lost   report.Losses
}

func (r *climb) look(ctx context.Context) (l look, err error) {
	series, err := r.server.Metrics(ctx)
	if err != nil {
		return l, err
	}
	l.told = time.Now()
	if l.world, err = newWorld(r.server.PIDs()); err != nil {
		return l, err
	}
	l.busy = map[string]float64{}
	for name, v := range series {
		if shard, ok := strings.CutPrefix(name, "stentor_forward_busy_seconds_total"); ok {
			l.busy[shard] = v
		}
	}
	l.sent = sumOf(series, "stentor_forward_sent_packets_total")
	for _, rendition := range []string{"packed60", "packed120"} {
		l.packed += int(series[`stentor_forward_followers{rendition="`+rendition+`"}`])
	}
	l.lost, err = r.losses(series)
	return l, err
}

// losses counts what has not been heard so far.
func (r *climb) losses(series map[string]float64) (l report.Losses, err error) {
	l.ShardLate = series[`stentor_forward_drops_total{reason="shard_late"}`]
	l.BufferFull = series[`stentor_forward_send_drops_total{reason="buffer_full"}`]
	l.Gaps = float64(r.siege.missed())
	l.Received, err = receiveDrops(r.server.media)
	return l, err
}

// receiveDrops is how many datagrams the kernel has dropped because the buffer of an IPv4 UDP socket was full.
func receiveDrops(addr string) (float64, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return 0, err
	}
	f, err := os.Open("/proc/net/udp")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	port := fmt.Sprintf(":%04X", ap.Port())
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if field := strings.Fields(lines.Text()); len(field) >= 13 && strings.HasSuffix(field[1], port) {
			return strconv.ParseFloat(field[12], 64)
		}
	}
	return 0, fmt.Errorf("/proc/net/udp has no socket on %s", addr)
}

// overloadWatch follows the daemon's engine.overload.
type overloadWatch struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	events []report.OverloadEvent
}

func watchOverload(ctx context.Context, r *climb) *overloadWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := &overloadWatch{cancel: cancel, done: make(chan struct{})}
	events := control.Watcher{Path: r.server.socket, Rooms: []string{"none"}, FromNow: true} // the engine's own events alone
	go func() {
		defer close(w.done)
		_ = events.Watch(ctx, func(item control.WatchItem) error { // ends with ctx
			if item.Event == nil || item.Event.Type != control.EventEngineOverload {
				return nil
			}
			e := report.OverloadEvent{
				AtS: time.Since(r.began).Seconds(), Reason: item.Event.Reason, Listeners: int(r.siege.listening.Load()),
			}
			if series, err := r.server.Metrics(ctx); err == nil {
				e.Lost, _ = r.losses(series) // what cannot be read at the moment, the steps' own reading tells
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
			return nil
		})
	}()
	return w
}

// state is the reason of the last event.
func (w *overloadWatch) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.events) == 0 {
		return ""
	}
	return w.events[len(w.events)-1].Reason
}

// stop ends it and returns what was told.
func (w *overloadWatch) stop() []report.OverloadEvent {
	w.cancel()
	<-w.done
	return w.events
}
