package engine

import (
	"cmp"
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"stentor/engine/control"
	"stentor/forward"
	"stentor/forward/cc"
)

// defaultSlots is as many as people talk at once before it is noise.
const defaultSlots = 3

// RoomOpen opens a room, or returns the one that is open with the same parameters.
func (e *Engine) RoomOpen(_ context.Context, p *control.RoomOpenParams) (*control.Room, error) {
	r, isNew, err := e.open(p)
	if err == nil && isNew && p.Record {
		err = e.recordWithRoom(r)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		if isNew && e.rooms[p.Room] == r {
			e.closeRoom(r, control.LeftRoomClosed)
		}
		return nil, err
	}
	st := r.tell()
	return &st, nil
}

// open finds a room, or makes it.
func (e *Engine) open(p *control.RoomOpenParams) (r *room, isNew bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.rooms[p.Room]; r != nil {
		if r.params != *p {
			return nil, false, control.Errorf(control.ReasonRoomConflict, "room %q is open with other parameters", p.Room).
				WithHint("close it first, or open it with the same parameters")
		}
		return r, false, nil
	}
	if r, err = e.newRoom(p); err != nil {
		return nil, false, err
	}
	e.rooms[p.Room] = r
	e.events.Append(control.Event{
		Type: control.EventRoomOpened, Room: r.id, Slots: r.slots, MaxPeers: r.maxPeers, DefaultRendition: r.asked,
		Rendition: r.rendition.String(),
	})
	return r, true, nil
}

// newRoom checks parameters against the limits and fills in defaults.
func (e *Engine) newRoom(p *control.RoomOpenParams) (*room, error) {
	switch {
	case e.draining:
		return nil, errDraining()
	case len(e.rooms) >= e.config.MaxRooms:
		return nil, control.Errorf(control.ReasonBusy, "this daemon has its %d rooms", e.config.MaxRooms).
			WithHint("open the room on another node, or later")
	case p.Slots < 0 || p.Slots > e.config.MaxSlots:
		return nil, control.Errorf(control.ReasonInvalidParams, "slots: %d is outside 1 … %d", p.Slots, e.config.MaxSlots).
			WithField("slots")
	case p.MaxPeers < 0 || p.MaxPeers > e.config.MaxPeersPerRoom:
		return nil, control.Errorf(control.ReasonInvalidParams, "max_peers: %d is outside 1 … %d", p.MaxPeers,
			e.config.MaxPeersPerRoom).WithField("max_peers")
	}
	r := &room{
		id: p.Room, params: *p, peers: map[string]*peer{}, openedAt: time.Now().UTC(),
		slots:    cmp.Or(p.Slots, min(defaultSlots, e.config.MaxSlots)),
		maxPeers: cmp.Or(p.MaxPeers, e.config.MaxPeersPerRoom),
	}
	name := fnv.New32a()
	_, _ = name.Write([]byte(r.id)) // never fails
	r.tenth = int(name.Sum32() % allTenths)
	r.asked = cmp.Or(p.DefaultRendition, control.RenditionLive)
	r.rendition, _ = forward.ParseRendition(r.asked) // "auto" begins live
	r.fwd = e.plane.OpenRoom(r.slots, forbidden(p.LowestRung), r)
	return r, nil
}

// forbidden has a bit for each rung below the lowest one that a room allows; "" allows all.
func forbidden(lowest string) (bits uint8) {
	r, ok := cc.ParseRung(lowest)
	if !ok {
		return 0
	}
	for r++; r <= cc.Packed120One; r++ {
		bits |= 1 << r
	}
	return bits
}

func errDraining() error {
	return control.Errorf(control.ReasonDraining, "this daemon is draining").WithHint("use another node")
}

func errNoRoom(id string) error {
	return control.Errorf(control.ReasonRoomNotFound, "there is no room %q", id)
}

// RoomClose ends a room for everyone. A room that is not there is closed already.
func (e *Engine) RoomClose(_ context.Context, p *control.RoomParams) (*control.Empty, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.rooms[p.Room]; r != nil {
		e.closeRoom(r, control.LeftRoomClosed)
	}
	return &control.Empty{}, nil
}

// closeRoom lets every peer leave and forgets the room. e.mu is held.
func (e *Engine) closeRoom(r *room, reason string) {
	for _, p := range r.sortedPeers() {
		e.left(p, reason)
	}
	if r.recording != "" {
		_ = e.recorder.Stop(r.recording, pick(reason == control.LeftShutdown, control.RecordingShutdown, control.RecordingRoomClosed))
		e.recordingEnded(r)
	}
	delete(e.rooms, r.id)
	e.events.Append(control.Event{Type: control.EventRoomClosed, Room: r.id, Reason: reason})
}

// RoomList lists the rooms by id.
func (e *Engine) RoomList(context.Context) (*control.RoomList, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := &control.RoomList{Rooms: []control.Room{}}
	for _, r := range e.sortedRooms() {
		list.Rooms = append(list.Rooms, r.tell())
	}
	return list, nil
}

// RoomGet returns one room.
func (e *Engine) RoomGet(_ context.Context, p *control.RoomParams) (*control.Room, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.rooms[p.Room]
	if r == nil {
		return nil, errNoRoom(p.Room)
	}
	st := r.tell()
	return &st, nil
}

func (e *Engine) sortedRooms() []*room {
	return slices.SortedFunc(maps.Values(e.rooms), func(a, b *room) int { return cmp.Compare(a.id, b.id) })
}

func (r *room) sortedPeers() []*peer {
	return slices.SortedFunc(maps.Values(r.peers), func(a, b *peer) int { return cmp.Compare(a.id, b.id) })
}

// heard is what room.get and slots.changed tell of the slots.
func (r *room) heard() []control.Slot {
	out := make([]control.Slot, r.slots)
	for i := range out {
		out[i].Slot = i
		// Who has left may be heard for another moment, until the data plane knows.
		if f := r.fwd.Heard(i); f != nil && !f.User().(*peer).gone {
			out[i].Peer, out[i].AudioID = f.User().(*peer).id, f.AudioID()
		}
	}
	return out
}

func (r *room) tell() control.Room {
	st := control.Room{
		Room: r.id, OpenedAt: r.openedAt, Slots: r.slots, DefaultRendition: r.asked, Rendition: r.rendition.String(), MaxPeers: r.maxPeers,
		Heard: r.heard(), Recording: r.recording,
	}
	for _, p := range r.peers {
		if p.joined {
			st.Peers++
			if p.maySpeak {
				st.Speakers++
			}
		}
	}
	return st
}

func (r *room) peerStates() []control.Peer {
	out := []control.Peer{}
	for _, p := range r.sortedPeers() {
		if p.joined {
			out = append(out, p.tell())
		}
	}
	return out
}
