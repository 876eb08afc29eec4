package main

import (
	"crypto/rand"
	"strings"
	"time"
	"unicode"
)

// Role is what a member may do in a Space.
type Role string

// Roles. A Space has at most one host: who started it, known by the host token.
const (
	RoleHost     Role = "host"
	RoleSpeaker  Role = "speaker"
	RoleListener Role = "listener"
)

// nameRunesMax bounds names and titles: it fits two lines under an avatar on a narrow phone.
const nameRunesMax = 40

// Member is one person in one Space. Guarded by the lock of the Space's live.
type Member struct {
	ID        string // the peer id that the engine knows
	Token     string // secret of the person's page: who has it is this member
	Name      string
	Role      Role
	Hand      bool // asks to speak
	Muted     bool // by himself or by the host
	Speaking  bool // as the engine hears it
	AudioID   uint32
	Attached  bool      // a page of his is connected
	RemoveAt  time.Time // while no page is attached: not before this is he given up
	Connected bool      // the engine says that his media flows

	order int       // of entering; the stage and the listeners are shown in it
	asked int       // of asking; hands are shown in it
	peer  peerState // what the engine was last told, or told us
	offer *offer    // waits to be taken to the engine
	due   bool      // stands in the live's pending queue

	// joinsUnseen counts the joins that were answered but whose peer.joined event has not come yet: answers and
	// events come on different ways, and while it is positive a peer.left tells of an older peer.
	joinsUnseen int
}

// rights are what the engine lets a peer do.
type rights struct {
	MaySpeak, Muted, Priority bool
}

// peerState is what the engine holds about a member's peer.
type peerState struct {
	Joined bool
	rights
}

// onStage says whether the member may speak.
func (m *Member) onStage() bool { return m.Role != RoleListener }

// rights says what the engine should let this member do.
func (m *Member) rights() rights {
	return rights{MaySpeak: m.onStage(), Muted: m.Muted, Priority: m.Role == RoleHost}
}

// here says whether anything shows that the person is still there.
func (m *Member) here() bool { return m.Attached || m.Connected }

// cleanName makes a name or title fit to be shown: valid UTF-8, no control or direction-changing characters, single
// spaces, at most nameRunesMax runes. It may come back empty.
func cleanName(s string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == '\u200d' || r == '\u200c': // Joiners: scripts and emoji need them.
			return r
		case !unicode.IsGraphic(r) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	runes := []rune(strings.Join(strings.Fields(kept), " "))
	if len(runes) > nameRunesMax {
		runes = runes[:nameRunesMax]
	}
	return strings.TrimSpace(string(runes))
}

// newID names a Space or a member: 60 random bits, enough that a link cannot be guessed, short enough to be read out.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// newToken is a secret of at least 128 random bits.
func newToken() string { return rand.Text() }
