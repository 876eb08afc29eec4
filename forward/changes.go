package forward

import "sync"

// Change names something whose state has changed: a peer's Speaking, or what a room has Heard. Exactly one of the
// two is set.
type Change struct {
	Peer *Peer
	Room *Room
}

// changes tells the control plane what to look at. A thing stands in the list once, however often it changes, so the
// list is bounded by what there is, and the Reader never waits.
type changes struct {
	mu    sync.Mutex
	list  []Change
	ready chan struct{} // capacity 1
}

func (c *changes) peer(p *Peer) { c.add(&p.noted, Change{Peer: p}) }
func (c *changes) room(r *Room) { c.add(&r.noted, Change{Room: r}) }

func (c *changes) add(noted *bool, ch Change) {
	c.mu.Lock()
	if !*noted {
		*noted = true
		c.list = append(c.list, ch)
	}
	c.mu.Unlock()
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// Changes is ready when TakeChanges has something.
func (p *Plane) Changes() <-chan struct{} { return p.changes.ready }

// TakeChanges returns what has changed since the last call, in the order of the first change of each.
func (p *Plane) TakeChanges() []Change {
	c := &p.changes
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	for _, ch := range list {
		if ch.Peer != nil {
			ch.Peer.noted = false
		} else {
			ch.Room.noted = false
		}
	}
	return list
}
