package main

import (
	"context"
	"errors"
	"time"

	"stentor/engine/control"
)

// callTimeout bounds one call to the engine, which answers within milliseconds.
const callTimeout = 5 * time.Second

// commander is what the app needs of the control protocol; *control.Client is one.
type commander interface {
	RoomOpen(context.Context, *control.RoomOpenParams) (*control.Room, error)
	RoomClose(context.Context, *control.RoomParams) (*control.Empty, error)
	PeerJoin(context.Context, *control.PeerJoinParams) (*control.PeerJoinResult, error)
	PeerUpdate(context.Context, *control.PeerUpdateParams) (*control.Peer, error)
	PeerRestart(context.Context, *control.PeerRestartParams) (*control.PeerRestartResult, error)
	PeerLeave(context.Context, *control.PeerParams) (*control.Empty, error)
	RecordingStart(context.Context, *control.RecordingStartParams) (*control.Recording, error)
	RecordingStop(context.Context, *control.RecordingParams) (*control.Recording, error)
	RecordingList(context.Context, *control.RecordingListParams) (*control.RecordingList, error)
	RecordingDelete(context.Context, *control.RecordingParams) (*control.Empty, error)
}

// offer is a page's SDP offer on its way to the engine.
type offer struct {
	sdp     string
	restart bool // an ICE restart of the connection that is there
	n       int  // the page's number for it, given back with the answer
	page    *page
}

// job is one call that drive makes, decided under the lock and carried out without it.
type job struct {
	kind   jobKind
	member string
	offer  *offer
	want   rights
	joined bool // join: an older peer has to leave first

	recording string
}

type jobKind int

const (
	jobNone jobKind = iota
	jobOpen
	jobClose
	jobLeave
	jobJoin
	jobRestart
	jobUpdate
	jobRecordStart
	jobRecordStop
)

// drive makes the engine agree with the Space, one call at a time, until the room is closed. Only it calls the engine
// for this Space, so that no two calls about one peer can overtake each other.
func (l *live) drive(ctx context.Context) {
	for {
		j := l.next()
		if j.kind != jobNone {
			if done := l.perform(ctx, j); done {
				return
			}
			continue
		}
		select {
		case <-l.work:
		case <-ctx.Done():
			return
		}
	}
}

// next decides what to tell the engine.
func (l *live) next() job {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.media:
		return job{}
	case l.space.Ended:
		return job{kind: jobClose}
	case !l.opened:
		return job{kind: jobOpen}
	case len(l.departed) > 0:
		id := l.departed[0]
		l.departed = l.departed[1:]
		return job{kind: jobLeave, member: id}
	}
	if j := l.space.takeJob(); j.kind != jobNone {
		return j
	}
	for len(l.pending) > 0 {
		m := l.space.members[l.pending[0]]
		l.pending = l.pending[1:]
		if m == nil {
			continue
		}
		m.due = false
		if j := peerJob(m); j.kind != jobNone {
			return j
		}
	}
	return job{}
}

// peerJob compares a member with what the engine holds about his peer.
func peerJob(m *Member) job {
	j := job{member: m.ID, want: m.rights(), joined: m.peer.Joined, offer: m.offer}
	m.offer = nil
	switch {
	case j.offer != nil && j.offer.restart:
		j.kind = jobRestart
	case j.offer != nil:
		j.kind = jobJoin
	case m.peer.Joined && m.peer.rights != j.want:
		j.kind = jobUpdate
	}
	return j
}

// perform carries a job out. It reports true when the Space is over and the engine knows.
func (l *live) perform(ctx context.Context, j job) (done bool) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	switch j.kind {
	case jobOpen:
		_, err := l.app.ctl.RoomOpen(ctx, roomOpen(l.id))
		l.openedAgain(err)
	case jobClose:
		return l.close(ctx)
	case jobLeave:
		if err := l.leave(ctx, j.member); err != nil {
			l.log.Warn("peer does not leave", "peer", j.member, "error", err)
		}
	case jobJoin:
		l.join(ctx, j)
	case jobRestart:
		res, err := l.app.ctl.PeerRestart(ctx, &control.PeerRestartParams{Room: l.id, Peer: j.member, SDP: j.offer.sdp})
		l.restarted(j, res, err)
	case jobUpdate:
		_, err := l.app.ctl.PeerUpdate(ctx, &control.PeerUpdateParams{
			Room: l.id, Peer: j.member, MaySpeak: &j.want.MaySpeak, Muted: &j.want.Muted, Priority: &j.want.Priority,
		})
		l.updated(j, err)
	case jobRecordStart:
		l.startTake(ctx, j.recording)
	case jobRecordStop:
		l.stopTake(ctx, j.recording)
	}
	return false
}

// roomOpen is how this app opens a room; the same again is the same room.
func roomOpen(id string) *control.RoomOpenParams {
	return &control.RoomOpenParams{Room: id, Slots: slotCount, MaxPeers: membersMax}
}

// openedAgain takes over that a lost room is there again; its members join by new offers.
func (l *live) openedAgain(err error) {
	if err != nil {
		l.log.Warn("room does not open", "error", err)
		l.pause()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = true
}

// close tells the engine that the Space is over.
func (l *live) close(ctx context.Context) (done bool) {
	_, err := l.app.ctl.RoomClose(ctx, &control.RoomParams{Room: l.id})
	if err == nil || reasonOf(err) == control.ReasonRoomNotFound {
		return true
	}
	l.log.Warn("room does not close", "error", err)
	l.pause()
	return false
}

// pause waits with everything until the engine is seen again, or the next sweep asks.
func (l *live) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pauseLocked()
}

// pauseLocked is pause under mu.
func (l *live) pauseLocked() {
	l.media = false
	l.changed()
}

// leave takes a peer out of the engine; that it is not there is as good.
func (l *live) leave(ctx context.Context, id string) error {
	_, err := l.app.ctl.PeerLeave(ctx, &control.PeerParams{Room: l.id, Peer: id})
	switch reasonOf(err) {
	case control.ReasonPeerNotFound, control.ReasonRoomNotFound:
		return nil
	}
	return err
}

// join makes a peer of an offer. A page that starts anew replaces the peer that it had.
func (l *live) join(ctx context.Context, j job) {
	p := &control.PeerJoinParams{
		Room: l.id, Peer: j.member, MaySpeak: j.want.MaySpeak, Muted: j.want.Muted, Priority: j.want.Priority,
		SDP: j.offer.sdp,
	}
	if j.joined {
		if err := l.leave(ctx, j.member); err != nil {
			l.joined(j, nil, err)
			return
		}
	}
	res, err := l.app.ctl.PeerJoin(ctx, p)
	if reasonOf(err) == control.ReasonPeerConflict { // A peer that this app did not know of.
		if err = l.leave(ctx, j.member); err == nil {
			res, err = l.app.ctl.PeerJoin(ctx, p)
		}
	}
	l.joined(j, res, err)
}

// joined takes the result of a join into the state and gives the page its answer.
func (l *live) joined(j job, res *control.PeerJoinResult, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.space.members[j.member]
	if m == nil { // He left in the meantime, and his leave is done already.
		l.departed = append(l.departed, j.member)
		return
	}
	if err != nil {
		// A call without an answer may have been carried out: the next join lets that peer leave first.
		m.peer = peerState{Joined: reasonOf(err) == ""}
		if reasonOf(err) == control.ReasonRoomNotFound {
			l.opened = false
		}
		l.refused(j, err)
		return
	}
	m.peer, m.AudioID = peerState{Joined: true, rights: j.want}, res.AudioID
	m.joinsUnseen++
	j.offer.page.send(answer{Type: "answer", N: j.offer.n, SDP: res.SDP, AudioID: res.AudioID})
	l.due(m) // His rights may have changed while the call was under way.
	l.changed()
}

// refused tells the page that its offer was not taken.
func (l *live) refused(j job, err error) {
	l.log.Info("offer refused", "peer", j.member, "restart", j.offer.restart, "error", err)
	j.offer.page.send(note{Type: "refused", N: j.offer.n, Reason: string(reasonOf(err)), Message: explain(err)})
}

// restarted gives the page the answer to its ICE restart; a peer that is gone is joined anew.
func (l *live) restarted(j job, res *control.PeerRestartResult, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		j.offer.page.send(answer{Type: "answer", N: j.offer.n, SDP: res.SDP})
		return
	}
	m := l.space.members[j.member]
	if r := reasonOf(err); m != nil && (r == control.ReasonPeerNotFound || r == control.ReasonRoomNotFound) {
		m.peer, m.Connected = peerState{}, false
		l.opened = l.opened && r != control.ReasonRoomNotFound
		j.offer.page.send(note{Type: "rejoin", Reason: string(r)})
		return
	}
	l.refused(j, err)
}

// updated takes over that the engine knows a peer's rights. What failed is tried again by the next sweep.
func (l *live) updated(j job, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.space.members[j.member]
	switch {
	case m == nil:
		return
	case err == nil:
		m.peer.rights = j.want
		if m.rights() != j.want {
			l.due(m)
		}
	case reasonOf(err) == control.ReasonPeerNotFound:
		m.peer = peerState{}
		if p := l.pages[m.ID]; p != nil {
			p.send(note{Type: "rejoin", Reason: "peer_not_found"})
		}
	default:
		l.log.Warn("peer does not update", "peer", j.member, "error", err)
	}
}

// reasonOf is the protocol's reason of a failed call; empty when there was no answer, or no error.
func reasonOf(err error) control.Reason {
	var e *control.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// explain says to a person why the engine did not take an offer.
func explain(err error) string {
	switch reasonOf(err) {
	case control.ReasonBusy, control.ReasonRoomFull, control.ReasonDraining:
		return "There is no room left right now. We keep trying."
	case control.ReasonSDPInvalid, control.ReasonSDPUnsupported:
		return "Your browser's audio could not be set up: " + err.Error()
	}
	return "The audio server cannot be reached right now. We keep trying."
}
