package bucket

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// wire stands between a client and the server, counts what goes up, and can go wrong.
type wire struct {
	to   string
	l    net.Listener
	up   atomic.Int64 // bytes towards the server
	stop atomic.Int64 // no byte beyond this one goes up, and the connections stay open; 0: no limit
	flip atomic.Int64 // the byte of this number, from 1, has a bit turned; 0: none

	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{to: to, l: l}
	w.wg.Go(w.accept)
	t.Cleanup(func() {
		l.Close()
		w.cut()
		w.wg.Wait()
	})
	return w
}

func (w *wire) address() string { return w.l.Addr().String() }

func (w *wire) accept() {
	for {
		a, err := w.l.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp", w.to)
		if err != nil {
			a.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, a, b)
		w.mu.Unlock()
		w.wg.Go(func() { w.carry(b, a) })
		w.wg.Go(func() {
			_, _ = io.Copy(a, b)
			a.Close()
		})
	}
}

// carry takes bytes up.
func (w *wire) carry(to, from net.Conn) {
	defer to.Close()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		end := w.up.Add(int64(n))
		if stop := w.stop.Load(); stop > 0 && end > stop {
			_, _ = io.Copy(io.Discard, from) // like a network that loses everything from now on
			return
		}
		if flip := w.flip.Load(); flip > end-int64(n) && flip <= end {
			b[flip-1-(end-int64(n))] ^= 1
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// cut closes all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}
