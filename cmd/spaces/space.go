package main

import (
	"crypto/subtle"
	"slices"
	"time"
)

// Rules of a Space that are numbers.
const (
	slotCount  = 3    // voices heard at once; the engine's default
	stageMax   = 30   // people who may speak; more do not fit a screen
	membersMax = 5000 // people in one Space; a state message stays small because it lists only the first listeners

	graceLost   = 20 * time.Second // a page that dropped may come back for so long
	graceClosed = 5 * time.Second  // a page that said goodbye may be reloading
	graceEmpty  = time.Minute      // a Space in which nobody is left is kept for so long
)

// denial is why a Space refuses something: reason for the page, message for the person.
type denial struct{ reason, message string }

// Error implements error.
func (d *denial) Error() string { return d.message }

// Refusals. Compared by identity.
var (
	errNotHost     = &denial{"not_host", "Only the host can do that."}
	errNoMember    = &denial{"no_member", "That person is no longer here."}
	errNotAsking   = &denial{"not_asking", "That person is not asking to speak."}
	errNotOnStage  = &denial{"not_on_stage", "That person is not on stage."}
	errNotSelf     = &denial{"not_self", "You cannot do that to yourself."}
	errOnStage     = &denial{"on_stage", "You are already on stage."}
	errStageFull   = &denial{"stage_full", "The stage is full."}
	errSpaceFull   = &denial{"space_full", "This Space is full."}
	errNameMissing = &denial{"name_missing", "Please tell us your name."}
	errEnded       = &denial{"ended", "This Space has ended."}
)

// Space is the state of one Space and its rules: no I/O, no clock, no lock. Guarded by the lock of its live.
type Space struct {
	ID        string
	Title     string
	HostName  string
	StartedAt time.Time
	Ended     bool

	hostToken string
	members   map[string]*Member
	byToken   map[string]*Member
	count     int       // people who ever entered
	asks      int       // hands that were ever raised
	emptyAt   time.Time // since when nobody is in it
	take      taking    // what is recorded
}

// newSpace starts an empty Space; whoever enters with hostToken is its host.
func newSpace(id, hostToken, title, hostName string, now time.Time) *Space {
	return &Space{
		ID: id, Title: title, HostName: hostName, StartedAt: now, hostToken: hostToken,
		members: make(map[string]*Member), byToken: make(map[string]*Member), emptyAt: now,
	}
}

// Enter lets a person in. A session token that is known resumes its member; the host token finds the host's seat,
// taken or free; anybody else becomes a new listener. resumed tells whether the member was there before.
func (s *Space) Enter(session, hostToken, name string) (m *Member, resumed bool, err error) {
	if s.Ended {
		return nil, false, errEnded
	}
	if m = s.byToken[session]; m != nil {
		return m, true, nil
	}
	isHost := hostToken != "" && subtle.ConstantTimeCompare([]byte(hostToken), []byte(s.hostToken)) == 1
	if host := s.host(); isHost && host != nil {
		return host, true, nil
	}
	if name = cleanName(name); name == "" {
		return nil, false, errNameMissing
	}
	if len(s.members) >= membersMax {
		return nil, false, errSpaceFull
	}
	return s.add(name, isHost), false, nil
}

// add makes the member.
func (s *Space) add(name string, isHost bool) *Member {
	s.count++
	m := &Member{ID: newID(), Token: newToken(), Name: name, Role: RoleListener, order: s.count}
	if isHost {
		m.Role, s.HostName = RoleHost, name
	}
	s.members[m.ID], s.byToken[m.Token] = m, m
	return m
}

// host is the host, or nil while he is away.
func (s *Space) host() *Member {
	for _, m := range s.members {
		if m.Role == RoleHost {
			return m
		}
	}
	return nil
}

// pair finds who acts and on whom; only the host acts on others.
func (s *Space) pair(by, id string) (*Member, *Member, error) {
	actor, m := s.members[by], s.members[id]
	switch {
	case actor == nil || m == nil:
		return nil, nil, errNoMember
	case actor.Role != RoleHost && actor != m:
		return nil, nil, errNotHost
	}
	return actor, m, nil
}

// Ask raises or lowers a listener's hand.
func (s *Space) Ask(id string, up bool) error {
	m := s.members[id]
	switch {
	case m == nil:
		return errNoMember
	case m.onStage():
		return errOnStage
	case up && !m.Hand:
		s.asks++
		m.asked = s.asks
	}
	m.Hand = up
	return nil
}

// Admit calls a listener who asks up to the stage. Asking first is the rule because the browser will want the
// microphone at once: nobody is to be surprised by that.
func (s *Space) Admit(by, id string) error {
	actor, m, err := s.pair(by, id)
	switch {
	case err != nil:
		return err
	case actor.Role != RoleHost:
		return errNotHost
	case m.onStage():
		return nil // A second click finds it done.
	case !m.Hand:
		return errNotAsking
	case len(s.stage()) >= stageMax:
		return errStageFull
	}
	m.Role, m.Hand, m.Muted = RoleSpeaker, false, false
	return nil
}

// Decline lowers a listener's hand for him.
func (s *Space) Decline(by, id string) error {
	actor, m, err := s.pair(by, id)
	switch {
	case err != nil:
		return err
	case actor.Role != RoleHost:
		return errNotHost
	}
	m.Hand = false
	return nil
}

// Mute silences somebody on stage. Only he himself can undo it, with SetMic.
func (s *Space) Mute(by, id string) error {
	_, m, err := s.pair(by, id)
	switch {
	case err != nil:
		return err
	case !m.onStage():
		return errNotOnStage
	}
	m.Muted, m.Speaking = true, false
	return nil
}

// SetMic is a speaker's own switch.
func (s *Space) SetMic(id string, on bool) error {
	m := s.members[id]
	switch {
	case m == nil:
		return errNoMember
	case !m.onStage():
		return errNotOnStage
	}
	m.Muted = !on
	if m.Muted {
		m.Speaking = false
	}
	return nil
}

// Demote sends a speaker back to the listeners; he may do it himself.
func (s *Space) Demote(by, id string) error {
	_, m, err := s.pair(by, id)
	switch {
	case err != nil:
		return err
	case m.Role == RoleHost:
		return errNotSelf
	}
	m.Role, m.Muted, m.Speaking, m.Hand = RoleListener, false, false, false
	return nil
}

// Remove puts somebody out of the Space.
func (s *Space) Remove(by, id string, now time.Time) error {
	actor, m, err := s.pair(by, id)
	switch {
	case err != nil:
		return err
	case actor.Role != RoleHost:
		return errNotHost
	case actor == m:
		return errNotSelf
	}
	s.drop(m, now)
	return nil
}

// Leave takes a member out by his own wish. The Space goes on without its host, who may come back.
func (s *Space) Leave(id string, now time.Time) error {
	m := s.members[id]
	if m == nil {
		return errNoMember
	}
	s.drop(m, now)
	return nil
}

// End is over for everyone.
func (s *Space) End(by string) error {
	m := s.members[by]
	switch {
	case m == nil:
		return errNoMember
	case m.Role != RoleHost:
		return errNotHost
	}
	s.Ended = true
	return nil
}

// drop forgets a member and his session.
func (s *Space) drop(m *Member, now time.Time) {
	delete(s.members, m.ID)
	delete(s.byToken, m.Token)
	if len(s.members) == 0 {
		s.emptyAt = now
	}
}

// Sweep forgets the members who are gone for good: no page for the time of grace, and no media. It reports who they
// were, and whether the Space itself is abandoned.
func (s *Space) Sweep(now time.Time) (gone []*Member, abandoned bool) {
	for _, m := range s.members {
		if m.here() || now.Before(m.RemoveAt) {
			continue
		}
		gone = append(gone, m)
	}
	for _, m := range gone {
		s.drop(m, now)
	}
	return gone, len(s.members) == 0 && now.Sub(s.emptyAt) >= graceEmpty
}

// stage lists who may speak, in the order of entering, the host first.
func (s *Space) stage() []*Member {
	var on []*Member
	for _, m := range s.members {
		if m.onStage() {
			on = append(on, m)
		}
	}
	slices.SortFunc(on, func(a, b *Member) int { return stageRank(a) - stageRank(b) })
	return on
}

// stageRank puts the host before those who came earlier.
func stageRank(m *Member) int {
	if m.Role == RoleHost {
		return 0
	}
	return m.order
}

// audience lists the listeners: hands first, in the order of asking, then the rest in the order of entering.
func (s *Space) audience() []*Member {
	var all []*Member
	for _, m := range s.members {
		if !m.onStage() {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *Member) int {
		switch {
		case a.Hand && b.Hand:
			return a.asked - b.asked
		case a.Hand:
			return -1
		case b.Hand:
			return 1
		}
		return a.order - b.order
	})
	return all
}
