package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// followBatch bounds what one Next returns, and so what a connection holds in memory: 64 × some 300 B = 20 kB.
	followBatch = 64
	// followScan bounds the events that Next looks at while it holds the log's lock; a follower of one room in a
	// full log of 65536 takes the lock 64 times, and appends get in between.
	followScan = 1024
)

// errFollowerClosed is what Next returns after Close.
var errFollowerClosed = errors.New("the follower is closed")

// Log is a fixed ring of the last events. Appending never waits for a follower: whoever reads too late finds its
// cursor expired, and the log has lost nothing of its own. All methods are safe for concurrent use.
type Log struct {
	node  string // Immutable after NewLog.
	epoch string // Immutable after NewLog. Random, so that a cursor of an earlier run is known as such.

	mu      sync.Mutex
	ring    []Event       // Event seq is at index (seq-1) mod capacity.
	newest  uint64        // Seq of the newest event; 0: none yet.
	changed chan struct{} // Closed by the next Append. Nil while nobody waits.
}

// NewLog makes a log that keeps the last capacity events (at least 1) and stamps each with node.
func NewLog(node string, capacity int) *Log {
	var epoch [8]byte
	rand.Read(epoch[:]) // never fails, crypto/rand since Go 1.24
	return &Log{node: node, epoch: hex.EncodeToString(epoch[:]), ring: make([]Event, max(capacity, 1))}
}

// Append numbers and stamps an event (Seq from 1, Cursor, Time in UTC, Node), keeps it and returns it. What the
// event points to must not change afterwards: followers share it.
func (l *Log) Append(e Event) Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest++
	e.Seq, e.Cursor, e.Node = l.newest, l.cursorAt(l.newest), l.node
	// Stamped under the lock, so that times never run against the numbers; without the monotonic part, so that an
	// event is the same after a round trip over the wire.
	e.Time = time.Now().UTC().Round(0)
	l.ring[l.index(e.Seq)] = e
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return e
}

// Cursor names the newest event, or the beginning when there is none.
func (l *Log) Cursor() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursorAt(l.newest)
}

// Follow returns a follower of the events after a cursor ("" = from now on) that belong to one of rooms or to no
// room at all (no rooms = everything). Errors are *Error: invalid_params for what is no cursor, cursor_expired for one of
// another run or one whose next event the ring no longer holds.
func (l *Log) Follow(after string, rooms []string) (*Follower, error) {
	f := &Follower{log: l, closed: make(chan struct{})}
	if len(rooms) > 0 {
		f.rooms = make(map[string]bool, len(rooms))
		for _, r := range rooms {
			f.rooms[r] = true
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f.next = l.newest + 1
	if after == "" {
		return f, nil
	}
	epoch, seq, err := parseCursor(after)
	if err != nil {
		return nil, err
	}
	if epoch != l.epoch || seq > l.newest || l.lost(seq+1) {
		return nil, errExpired()
	}
	f.next = seq + 1
	return f, nil
}

func (l *Log) index(seq uint64) int { return int((seq - 1) % uint64(len(l.ring))) }

func (l *Log) cursorAt(seq uint64) string { return l.epoch + "." + strconv.FormatUint(seq, 10) }

// lost says whether the ring has written over event seq.
func (l *Log) lost(seq uint64) bool { return seq+uint64(len(l.ring)) <= l.newest }

// parseCursor splits "<16 hexadecimal digits>.<seq>".
func parseCursor(s string) (epoch string, seq uint64, err error) {
	epoch, digits, _ := strings.Cut(s, ".")
	raw, hexErr := hex.DecodeString(epoch)
	seq, numErr := strconv.ParseUint(digits, 10, 64)
	if hexErr != nil || len(raw) != 8 || numErr != nil {
		return "", 0, Errorf(ReasonInvalidParams, "%s is no cursor", clip(s)).WithField("after").
			WithHint("give the cursor of an event or of an events.subscribe result as it came, or leave it out")
	}
	return epoch, seq, nil
}

func errExpired() *Error {
	return Errorf(ReasonCursorExpired, "the events after this cursor are no longer kept").
		WithHint("subscribe with snapshot true, and replace what you know by the snapshot")
}

// Follower reads a Log in order. It owns no goroutine and no copy of events: it is a number and a filter.
type Follower struct {
	log    *Log
	rooms  map[string]bool // Immutable. Nil: all.
	once   sync.Once
	closed chan struct{}

	next uint64 // Guarded by log.mu. Seq of the next event to look at.
}

// Cursor names the last event before those that Next will return.
func (f *Follower) Cursor() string {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	return f.log.cursorAt(f.next - 1)
}

// Next waits for the next events and returns at least one and at most 64 of them, in order, none missing. It returns an
// *Error with reason cursor_expired once the ring has overtaken the follower. A ctx that is done ends the waiting
// only: events already in the log still come, and ctx.Err() after the last of them.
func (f *Follower) Next(ctx context.Context) ([]Event, error) {
	for {
		select {
		case <-f.closed:
			return nil, errFollowerClosed
		default:
		}
		events, changed, err := f.take()
		if err != nil || len(events) > 0 {
			return events, err
		}
		if changed == nil {
			continue // The scan's bound was reached among events of other rooms.
		}
		select {
		case <-changed:
		case <-f.closed:
		case <-ctx.Done():
			if !f.pending() {
				return nil, ctx.Err()
			}
		}
	}
}

// Close ends the follower; a waiting Next returns. It may be called more than once.
func (f *Follower) Close() { f.once.Do(func() { close(f.closed) }) }

// take collects a batch. With nothing left to look at, it returns the channel that the next Append closes.
func (f *Follower) take() (events []Event, changed <-chan struct{}, err error) {
	l := f.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.next <= l.newest && l.lost(f.next) {
		return nil, nil, errExpired()
	}
	for scanned := 0; f.next <= l.newest && scanned < followScan && len(events) < followBatch; scanned++ {
		if e := &l.ring[l.index(f.next)]; f.wants(e) {
			events = append(events, *e)
		}
		f.next++
	}
	if f.next <= l.newest {
		return events, nil, nil
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return events, l.changed, nil
}

func (f *Follower) pending() bool {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	return f.next <= f.log.newest
}

func (f *Follower) wants(e *Event) bool { return f.rooms == nil || e.Room == "" || f.rooms[e.Room] }
