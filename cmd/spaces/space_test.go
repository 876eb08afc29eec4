package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var begin = time.Date(2026, 1, 1, 20, 0, 0, 0, time.UTC)

// cast is a Space with a host and two listeners.
func cast(t *testing.T) (s *Space, host, ben, cem *Member) {
	t.Helper()
	s = newSpace("space", "host-token", "Evening talk", "Ada", begin)
	enter := func(token, name string) *Member {
		m, resumed, err := s.Enter("", token, name)
		if err != nil || resumed {
			t.Fatalf("%s enters: resumed %v, %v", name, resumed, err)
		}
		return m
	}
	return s, enter("host-token", "Ada"), enter("", "Ben"), enter("", "Cem")
}

func TestOnlyTheHostMay(t *testing.T) {
	for name, act := range map[string]func(s *Space, by, on string) error{
		"admit":   func(s *Space, by, on string) error { return s.Admit(by, on) },
		"decline": func(s *Space, by, on string) error { return s.Decline(by, on) },
		"mute":    func(s *Space, by, on string) error { return s.Mute(by, on) },
		"demote":  func(s *Space, by, on string) error { return s.Demote(by, on) },
		"remove":  func(s *Space, by, on string) error { return s.Remove(by, on, begin) },
		"end":     func(s *Space, by, _ string) error { return s.End(by) },
	} {
		t.Run(name, func(t *testing.T) {
			s, host, ben, cem := cast(t)
			cem.Hand = true
			if name == "mute" || name == "demote" {
				cem.Role, cem.Hand = RoleSpeaker, false
			}
			before := string(s.state(true))
			if err := act(s, ben.ID, cem.ID); !errors.Is(err, errNotHost) {
				t.Fatalf("a listener: %v", err)
			}
			if after := string(s.state(true)); after != before {
				t.Fatalf("a refused wish changed the Space:\n%s\n%s", before, after)
			}
			if err := act(s, host.ID, cem.ID); err != nil {
				t.Fatalf("the host: %v", err)
			}
			if after := string(s.state(true)); after == before && !s.Ended {
				t.Fatal("the host's wish changed nothing")
			}
		})
	}
}

func TestTheHostActsOnHimselfOnlyWithCare(t *testing.T) {
	s, host, _, _ := cast(t)
	if err := s.Remove(host.ID, host.ID, begin); !errors.Is(err, errNotSelf) {
		t.Errorf("remove: %v", err)
	}
	if err := s.Demote(host.ID, host.ID); !errors.Is(err, errNotSelf) {
		t.Errorf("demote: %v", err)
	}
	if err := s.Admit("", host.ID); !errors.Is(err, errNoMember) {
		t.Errorf("admit by nobody: %v", err)
	}
}

func TestListenerIsNotAdmittedUnasked(t *testing.T) {
	s, host, ben, _ := cast(t)
	if err := s.Admit(host.ID, ben.ID); !errors.Is(err, errNotAsking) {
		t.Fatalf("admit: %v", err)
	}
	if ben.rights().MaySpeak {
		t.Fatal("he may speak")
	}
}

func TestFromTheAudienceToTheStageAndBack(t *testing.T) {
	s, host, ben, _ := cast(t)
	steps := []struct {
		name string
		do   func() error
		want rights
	}{
		{"asks", func() error { return s.Ask(ben.ID, true) }, rights{}},
		{"is admitted", func() error { return s.Admit(host.ID, ben.ID) }, rights{MaySpeak: true}},
		{"is admitted again", func() error { return s.Admit(host.ID, ben.ID) }, rights{MaySpeak: true}},
		{"is muted", func() error { return s.Mute(host.ID, ben.ID) }, rights{MaySpeak: true, Muted: true}},
		{"unmutes himself", func() error { return s.SetMic(ben.ID, true) }, rights{MaySpeak: true}},
		{"mutes himself", func() error { return s.SetMic(ben.ID, false) }, rights{MaySpeak: true, Muted: true}},
		{"steps down", func() error { return s.Demote(ben.ID, ben.ID) }, rights{}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if ben.rights() != step.want {
			t.Fatalf("%s: rights %+v, want %+v", step.name, ben.rights(), step.want)
		}
	}
	if err := s.SetMic(ben.ID, true); !errors.Is(err, errNotOnStage) {
		t.Fatalf("a listener's microphone: %v", err)
	}
	if !host.rights().Priority || ben.rights().Priority {
		t.Fatal("the host alone has priority")
	}
}

func TestStageIsBounded(t *testing.T) {
	s, host, ben, _ := cast(t)
	for len(s.stage()) < stageMax {
		m, _, _ := s.Enter("", "", "Speaker")
		m.Role = RoleSpeaker
	}
	ben.Hand = true
	if err := s.Admit(host.ID, ben.ID); !errors.Is(err, errStageFull) {
		t.Fatalf("admit: %v", err)
	}
}

func TestSessionAndHostTokenFindTheSeat(t *testing.T) {
	s, host, ben, _ := cast(t)
	for name, c := range map[string]struct {
		session, host string
		want          *Member
	}{
		"session":                      {ben.Token, "", ben},
		"host token in a second tab":   {"", "host-token", host},
		"session before host token":    {ben.Token, "host-token", ben},
		"wrong host token, no session": {"", "host-tokem", nil},
	} {
		m, resumed, err := s.Enter(c.session, c.host, "Dan")
		if err != nil || resumed != (c.want != nil) || (c.want != nil && m != c.want) {
			t.Errorf("%s: member %+v, resumed %v, %v", name, m, resumed, err)
		}
		if c.want == nil && m.Role != RoleListener {
			t.Errorf("%s: he is %s", name, m.Role)
		}
	}
}

func TestRemovedMemberCannotResume(t *testing.T) {
	s, host, ben, _ := cast(t)
	if err := s.Remove(host.ID, ben.ID, begin); err != nil {
		t.Fatal(err)
	}
	if m, resumed, _ := s.Enter(ben.Token, "", "Ben"); resumed || m.ID == ben.ID {
		t.Fatal("his session is still good")
	}
}

func TestGraceKeepsTheSeatAndEmptinessEndsTheSpace(t *testing.T) {
	s, host, ben, cem := cast(t)
	host.Attached = true
	ben.RemoveAt = begin.Add(graceLost)
	cem.RemoveAt, cem.Connected = begin.Add(graceLost), true // No page, but his sound goes on.
	if gone, _ := s.Sweep(begin.Add(graceLost - time.Millisecond)); len(gone) != 0 {
		t.Fatalf("too early: %d gone", len(gone))
	}
	gone, _ := s.Sweep(begin.Add(graceLost))
	if len(gone) != 1 || gone[0] != ben {
		t.Fatalf("gone: %v", gone)
	}
	host.Attached, cem.Connected = false, false
	left := begin.Add(time.Hour)
	if _, abandoned := s.Sweep(left); abandoned {
		t.Fatal("abandoned at once")
	}
	if _, abandoned := s.Sweep(left.Add(graceEmpty)); !abandoned {
		t.Fatal("not abandoned after the time of grace")
	}
}

func TestHandsComeFirstAndTheRestIsACount(t *testing.T) {
	s, _, _, _ := cast(t)
	var last *Member
	for range 200 {
		last, _, _ = s.Enter("", "", "Listener")
	}
	last.Name = "Zoe"
	if err := s.Ask(last.ID, true); err != nil {
		t.Fatal(err)
	}
	var v stateView
	if err := json.Unmarshal(s.state(true), &v); err != nil {
		t.Fatal(err)
	}
	if v.ListenerCount != 202 || len(v.Listeners) != listenersShown || v.Hands != 1 || v.Listeners[0].Name != "Zoe" {
		t.Fatalf("count %d, named %d, hands %d, first %+v", v.ListenerCount, len(v.Listeners), v.Hands, v.Listeners[0])
	}
}

func TestNamesAreMadeFitToBeShown(t *testing.T) {
	for in, want := range map[string]string{
		"  Ada \t Lovelace\n": "Ada Lovelace",
		"<b>Ada</b>":          "<b>Ada</b>", // Text stays text; the page never reads it as markup.
		"evil\u202egnp.exe":   "evilgnp.exe",
		"nul\x00l":            "null",
		"bad\xffutf8":         "badutf8",
		"👩\u200d🚀 Mae":        "👩\u200d🚀 Mae",
		" \u200b ":            "",
	} {
		if got := cleanName(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := cleanName(strings.Repeat("ü", 100)); got != strings.Repeat("ü", nameRunesMax) {
		t.Errorf("a long name becomes %q", got)
	}
}

func TestBucketGivesABurstAndThenItsPace(t *testing.T) {
	b := newBucket(time.Second, 3, begin)
	take := func(at time.Duration, want bool) {
		t.Helper()
		if got := b.take(begin.Add(at)); got != want {
			t.Fatalf("at %v: %v", at, got)
		}
	}
	for range 3 {
		take(0, true)
	}
	take(999*time.Millisecond, false)
	take(time.Second, true)
	take(time.Second, false)
	for range 3 {
		take(time.Hour, true)
	}
	take(time.Hour, false)
}
