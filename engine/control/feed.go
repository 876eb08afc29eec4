package control

import (
	"context"
	"sync/atomic"
)

// feed sends the events of one subscription. It holds a cursor into the log and at most one batch of events.
type feed struct {
	id       string // Immutable. Of the request; the feed starts when its response has gone.
	follower *Follower

	ctx     context.Context // Ends when the feed is to stop at the newest event.
	cancel  context.CancelFunc
	stopped atomic.Bool // It is to stop at once.

	started bool          // Guarded by session.mu.
	done    chan struct{} // Closed when a started feed has ended.
}

// expired are the parameters of the notification events.expired.
type expired struct {
	Cursor string `json:"cursor"`
}

// subscribe makes a follower, and with it a feed that replaces the connection's earlier one.
func (c *session) subscribe(ctx context.Context, id string, p *SubscribeParams) (*SubscribeResult, error) {
	c.subscribing.Lock()
	defer c.subscribing.Unlock()
	engine, after := c.server.config.Engine, p.After
	result := new(SubscribeResult)
	if p.Snapshot {
		snapshot, cursor, err := engine.Snapshot(ctx, p.Rooms)
		if err != nil {
			return nil, err
		}
		result.Snapshot, after = snapshot, cursor
	}
	follower, err := engine.Events().Follow(after, p.Rooms)
	if err != nil {
		return nil, err
	}
	result.Cursor = follower.Cursor()
	c.replaceFeed(id, follower)
	return result, nil
}

func (c *session) replaceFeed(id string, follower *Follower) {
	f := &feed{id: id, follower: follower, done: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(c.ctx)
	c.mu.Lock()
	old := c.feed
	c.feed = f
	wait := old != nil && old.started
	c.mu.Unlock()
	if old == nil {
		return
	}
	old.stopped.Store(true)
	old.cancel()
	old.follower.Close()
	if wait { // nothing of the old subscription after the new one's answer
		<-old.done
	}
}

// startFeed starts a feed whose request was answered just now: the result goes before the first event.
func (c *session) startFeed(f *feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.feed != f || f.started {
		return
	}
	f.started = true
	go func() {
		defer close(f.done)
		c.pump(f)
	}()
}

// endFeed lets the feed send the events that are in the log, and waits for it.
func (c *session) endFeed() {
	c.mu.Lock()
	f := c.feed
	started := f != nil && f.started
	c.mu.Unlock()
	if f == nil {
		return
	}
	f.cancel()
	if started {
		<-f.done
	}
	f.follower.Close()
}

func (c *session) pump(f *feed) {
	last := f.follower.Cursor()
	for !f.stopped.Load() {
		events, err := f.follower.Next(f.ctx)
		if ReasonOf(err) == ReasonCursorExpired {
			line, _ := notification(NotifyExpired, expired{last}) // a string cannot fail
			_ = c.write(line)                                     // the session ends by itself
			return
		}
		if err != nil || f.stopped.Load() {
			return
		}
		if err := c.write(c.lines(events)...); err != nil {
			return
		}
		last = events[len(events)-1].Cursor
	}
}

func (c *session) lines(events []Event) [][]byte {
	lines := make([][]byte, 0, len(events))
	for i := range events {
		line, err := notification(NotifyEvent, &events[i])
		if err != nil { // a deadline that is no number: a fault of the engine, and not the subscriber's
			c.server.config.Log.Error("an event cannot be sent", "seq", events[i].Seq, "error", err)
			continue
		}
		lines = append(lines, line)
	}
	return lines
}
