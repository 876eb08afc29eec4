package main

import "encoding/json"

// listenersShown is how many listeners a state message names. At some 110 bytes each a state stays below 10 KB
// however many listen; the rest are a count.
const listenersShown = 50

// personView is a member as everybody sees him.
type personView struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Role     Role   `json:"role"`
	Hand     bool   `json:"hand,omitempty"`
	Muted    bool   `json:"muted,omitempty"`
	Speaking bool   `json:"speaking,omitempty"`
	Here     bool   `json:"here"`
	AudioID  uint32 `json:"audio_id,omitempty"` // the CSRC of his voice, on stage only
}

// stateView is the whole Space as everybody sees it. Encoded once for all pages.
type stateView struct {
	Type          string       `json:"type"` // "state"
	Title         string       `json:"title"`
	Stage         []personView `json:"stage"`
	Listeners     []personView `json:"listeners"` // the first listenersShown, hands first
	ListenerCount int          `json:"listener_count"`
	Hands         int          `json:"hands"`
	Media         bool         `json:"media"`               // the engine can be reached
	Recording     string       `json:"recording,omitempty"` // the one that runs
}

// speakingView is the small and frequent change: who speaks now.
type speakingView struct {
	Type string   `json:"type"` // "speaking"
	IDs  []string `json:"ids"`
}

// youView is what a page is told about its own member; the state does not name every listener.
type youView struct {
	Type string `json:"type"` // "you"
	personView
}

// cardView is a Space in the list of live Spaces.
type cardView struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Host     string   `json:"host"`
	Speakers []string `json:"speakers"` // the first names on stage
	People   int      `json:"people"`

	Recording string `json:"recording,omitempty"` // the one that runs
}

// view is how others see the member.
func (m *Member) view() personView {
	v := personView{
		ID: m.ID, Name: m.Name, Role: m.Role, Hand: m.Hand, Muted: m.Muted, Speaking: m.Speaking, Here: m.here(),
	}
	if m.onStage() {
		v.AudioID = m.AudioID
	}
	return v
}

// state encodes the whole Space.
func (s *Space) state(media bool) []byte {
	v := stateView{Type: "state", Title: s.Title, Stage: []personView{}, Listeners: []personView{}, Media: media, Recording: s.take.running}
	for _, m := range s.stage() {
		v.Stage = append(v.Stage, m.view())
	}
	all := s.audience()
	v.ListenerCount = len(all)
	for i, m := range all {
		if m.Hand {
			v.Hands++
		}
		if i < listenersShown {
			v.Listeners = append(v.Listeners, m.view())
		}
	}
	return encode(v)
}

// speaking encodes who speaks.
func (s *Space) speaking() []byte {
	v := speakingView{Type: "speaking", IDs: []string{}}
	for _, m := range s.stage() {
		if m.Speaking {
			v.IDs = append(v.IDs, m.ID)
		}
	}
	return encode(v)
}

// card is the Space in the list.
func (s *Space) card() cardView {
	c := cardView{ID: s.ID, Title: s.Title, Host: s.HostName, Speakers: []string{}, People: len(s.members), Recording: s.take.running}
	for _, m := range s.stage() {
		if len(c.Speakers) < 4 { // As many avatars as a card has room for.
			c.Speakers = append(c.Speakers, m.Name)
		}
	}
	return c
}

// encode makes JSON of the package's own views, none of which can fail.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("encode a view: " + err.Error()) // A view with a channel or a NaN in it: a mistake in this package.
	}
	return b
}
