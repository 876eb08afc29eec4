package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"stentor/engine/control"
)

// publishPause is the least time between two messages to everybody: ten a second look immediate, and 500 listeners
// then cost at most 5000 small writes a second.
const publishPause = 100 * time.Millisecond

// live is a Space that is going on: its state, the pages that follow it, and what is still to be told to the engine.
// Two goroutines belong to it, drive and publish; both end with ctx, which ends when the room is closed.
type live struct {
	id  string // Immutable after newLive.
	app *app   // Immutable after newLive.
	log *slog.Logger

	work chan struct{} // one token: drive should look
	news chan struct{} // one token: publish should look

	mu       sync.Mutex
	space    *Space
	pages    map[string]*page // by member id
	stateNew bool             // members changed since the last publish
	voiceNew bool             // only who speaks changed
	media    bool             // the engine can be reached
	opened   bool             // the engine has the room
	pending  []string         // members whose peer may differ from the engine's; each at most once
	departed []string         // peers whom the engine should forget
	sent     broadcast
}

// broadcast is what pages were last told. A page that is late skips to the newest; it never makes a queue.
type broadcast struct {
	state, voice   []byte
	stateN, voiceN int
}

// newLive wraps a Space whose room the engine has already opened.
func newLive(a *app, s *Space) *live {
	return &live{
		id: s.ID, app: a, log: a.log.With("room", s.ID), space: s, pages: make(map[string]*page), media: true, opened: true,
		work: make(chan struct{}, 1), news: make(chan struct{}, 1), stateNew: true,
	}
}

// poke leaves a token in a channel of one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// changed says that people should see something new. Under mu.
func (l *live) changed() {
	l.stateNew = true
	poke(l.news)
}

// due says that a member's peer should be compared with the engine's. Under mu.
func (l *live) due(m *Member) {
	if !m.due {
		m.due = true
		l.pending = append(l.pending, m.ID)
	}
	poke(l.work)
}

// act changes the state by a rule of the Space, and says so to the engine and to everybody. touched names the member
// whose rights may have changed; it may be empty.
func (l *live) act(touched string, rule func(*Space) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.space.Ended {
		return errEnded
	}
	if err := rule(l.space); err != nil {
		return err
	}
	if m := l.space.members[touched]; m != nil {
		l.due(m)
	}
	poke(l.work) // What is recorded may have changed.
	l.changed()
	return nil
}

// publish tells the pages what is new, at once after a pause and then at most every publishPause.
func (l *live) publish(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-l.news:
		case <-ctx.Done():
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		for _, p := range l.encodeNews() {
			poke(p.wake)
		}
		l.app.archive.credit(l.credits())
		pause.Reset(publishPause)
	}
}

// encodeNews makes the broadcast current and lists who should read it.
func (l *live) encodeNews() []*page {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stateNew {
		l.sent.state = l.space.state(l.media)
		l.sent.stateN++
	}
	if l.stateNew || l.voiceNew {
		l.sent.voice = l.space.speaking()
		l.sent.voiceN++
	}
	l.stateNew, l.voiceNew = false, false
	pages := make([]*page, 0, len(l.pages))
	for _, p := range l.pages {
		pages = append(pages, p)
	}
	return pages
}

// latest is what a page should show now, and its own member's view.
func (l *live) latest(id string) (b broadcast, you personView, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.space.members[id]
	if m == nil {
		return b, you, false
	}
	if l.sent.state == nil { // The first page came before the first publish.
		l.sent.state, l.sent.voice = l.space.state(l.media), l.space.speaking()
		l.sent.stateN, l.sent.voiceN = 1, 1
	}
	return l.sent, m.view(), true
}

// attach lets a page in. A page that the member had before is told that it was replaced.
func (l *live) attach(p *page, h hello) (welcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, resumed, err := l.space.Enter(h.session, h.host, h.name)
	if err != nil {
		return welcome{}, err
	}
	if old := l.pages[m.ID]; old != nil {
		old.finish(note{Type: "replaced"}, closeReplaced)
	}
	l.pages[m.ID] = p
	m.Attached = true
	l.changed()
	return welcome{
		Type: "welcome", You: m.ID, Session: m.Token, Role: m.Role, Title: l.space.Title, Slots: slotCount,
		Resumed: resumed, Joined: m.peer.Joined || m.offer != nil,
	}, nil
}

// detach forgets a page that has gone; its member keeps his seat for the time of grace.
func (l *live) detach(p *page, id string, grace time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.space.members[id]
	if l.pages[id] != p {
		return // Replaced: the new page speaks for the member.
	}
	delete(l.pages, id)
	if m == nil {
		return
	}
	m.Attached, m.RemoveAt = false, l.app.now().Add(grace)
	if grace == graceClosed {
		m.Connected, m.Speaking = false, false // The browser ends the media with the page.
	}
	l.changed()
}

// offered takes a page's offer to the engine, in place of one that is still waiting: the page has moved on.
func (l *live) offered(p *page, id string, o *offer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.space.members[id]
	if m == nil || l.pages[id] != p {
		return
	}
	o.page, m.offer = p, o
	l.due(m)
}

// put takes a member out, by his own wish or the host's, and tells his page why.
func (l *live) put(id string, rule func(*Space) error, why note, code closeCode) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := rule(l.space); err != nil {
		return err
	}
	if p := l.pages[id]; p != nil {
		p.finish(why, code)
		delete(l.pages, id)
	}
	l.departed = append(l.departed, id)
	poke(l.work)
	l.changed()
	return nil
}

// end is over for everyone. rule decides whether it may be; nil always may.
func (l *live) end(why string, rule func(*Space) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rule != nil {
		if err := rule(l.space); err != nil {
			return err
		}
	}
	l.space.Ended = true
	for id, p := range l.pages {
		p.finish(note{Type: "ended", Message: why}, closeEnded)
		delete(l.pages, id)
	}
	poke(l.work)
	return nil
}

// sweep gives up those who are gone, tries again what the engine did not take, and tells whether the Space is
// abandoned.
func (l *live) sweep(now time.Time) (abandoned bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.space.Ended {
		return false
	}
	gone, abandoned := l.space.Sweep(now)
	for _, m := range gone {
		l.departed = append(l.departed, m.ID)
	}
	if len(gone) > 0 {
		l.changed()
	}
	for _, m := range l.space.members {
		if m.peer.Joined && m.peer.rights != m.rights() {
			l.due(m)
		}
	}
	poke(l.work)
	return abandoned
}

// heard takes an event of the engine into the state.
func (l *live) heard(ev *control.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ev.Type == control.EventRoomClosed {
		l.roomClosed(ev.Reason)
		return
	}
	if ev.Recording != "" {
		l.takeEvent(ev)
		return
	}
	m := l.space.members[ev.Peer]
	if m == nil {
		return
	}
	switch ev.Type {
	case control.EventPeerJoined:
		m.AudioID = ev.AudioID
		m.joinsUnseen--
	case control.EventPeerConnected:
		m.Connected = true
	case control.EventPeerDisconnected:
		m.Connected, m.Speaking = false, false
	case control.EventPeerSpeaking:
		m.Speaking = ev.Speaking != nil && *ev.Speaking && m.onStage() && !m.Muted
		l.voiceNew = true
		poke(l.news)
		return
	case control.EventPeerLeft:
		l.peerLeft(m, ev.Reason)
	default:
		return
	}
	l.changed()
}

// peerLeft is a peer that the engine no longer has. Unless it was this app's wish, his page makes a new one. Under mu.
func (l *live) peerLeft(m *Member, reason string) {
	if reason == control.LeftByCall || m.joinsUnseen > 0 {
		return // The peer before this one: drive asked for it, or the page has already made a new one.
	}
	m.Connected, m.Speaking = false, false
	m.peer = peerState{}
	if p := l.pages[m.ID]; p != nil && reason != control.LeftShutdown && reason != control.LeftRoomClosed {
		p.send(note{Type: "rejoin", Reason: reason})
	}
}

// roomClosed is a room that somebody else closed: over for everyone, unless the daemon only stopped; then it is
// opened again when a daemon is there. Under mu.
func (l *live) roomClosed(reason string) {
	l.opened, l.space.take.running = false, ""
	if reason == control.LeftShutdown || l.space.Ended {
		return
	}
	l.space.Ended = true
	for id, p := range l.pages {
		p.finish(note{Type: "ended", Message: "The Space was closed."}, closeEnded)
		delete(l.pages, id)
	}
	poke(l.work)
}

// mediaUp tells whether the engine can be reached.
func (l *live) mediaUp(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.media == up {
		return
	}
	l.media = up
	poke(l.work)
	l.changed()
}

// reconcile compares the Space with a snapshot of the engine; room is nil when the engine has no such room.
func (l *live) reconcile(room *control.RoomSnapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	peers := make(map[string]*control.Peer)
	l.opened = room != nil
	l.space.take.running = ""
	if room != nil {
		l.space.runs(room.Recording)
		for i := range room.Participants {
			peers[room.Participants[i].Peer] = &room.Participants[i]
		}
	}
	for id := range peers {
		if l.space.members[id] == nil {
			l.departed = append(l.departed, id)
		}
	}
	for _, m := range l.space.members {
		l.reconcileMember(m, peers[m.ID])
	}
	poke(l.work)
	l.changed()
}

// reconcileMember takes over what the engine says about one peer; nil: it has none. Under mu.
func (l *live) reconcileMember(m *Member, peer *control.Peer) {
	m.joinsUnseen = 0
	if peer == nil {
		had := m.peer.Joined
		m.peer, m.Connected, m.Speaking = peerState{}, false, false
		if p := l.pages[m.ID]; p != nil && had && m.offer == nil {
			p.send(note{Type: "rejoin", Reason: "engine_restarted"})
		}
		if !m.Attached { // He may come back: the restart was not his doing.
			m.RemoveAt = l.app.now().Add(graceLost)
		}
	} else {
		m.peer = peerState{Joined: true, rights: rights{peer.MaySpeak, peer.Muted, peer.Priority}}
		m.AudioID, m.Connected = peer.AudioID, peer.State == control.StateConnected
		m.Speaking = peer.Speaking && m.onStage() && !m.Muted
	}
	l.due(m)
}
