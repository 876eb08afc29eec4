package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"stentor/bench/client"
	"stentor/engine/control"
	"stentor/forward"
	"stentor/transport/simnet"
)

// These are stories of redundancy (RFC 2198): what the network loses of one packet comes with another.

// redundant is a client like Chromium, which sends each packet once more with the next one.
func redundant(c *client.Config) { c.Redundancy = 1 }

// plain is a client like Firefox, which does not offer redundancy.
func plain(c *client.Config) { c.NoRedundancy = true }

// depth sets how many earlier packets a peer is sent with each one.
func (p *person) depth(n int) {
	e := p.stage.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rooms[p.room].peers[p.name].fwd.Redundancy(n)
}

// missing is the share of the speaker's first n frames that a listener has not got in any way. It fails if one came twice.
func (p *person) missing(got []heard, of *person, n int) float64 {
	s := p.stage
	s.Helper()
	seen := make([]int, n)
	for _, x := range s.sounds(got) {
		if x.speaker == of.id && int(x.frame) < n {
			seen[x.frame]++
		}
	}
	lost := 0
	for frame, times := range seen {
		switch {
		case times == 0:
			lost++
		case times > 1:
			s.Errorf("%s got frame %d %d times", p.name, frame, times)
		}
	}
	return float64(lost) / float64(n)
}

// types counts packets by payload type.
func types(got []heard) map[uint8]int {
	n := map[uint8]int{}
	for _, h := range got {
		if !h.Recovered {
			n[h.PayloadType]++
		}
	}
	return n
}

// below fails if a share is above a limit.
func (s *stage) below(what string, share, limit float64) {
	s.Helper()
	s.Logf("%s: %.2f %% missing", what, share*100)
	if share > limit {
		s.Errorf("%s: %.2f %% of the frames are missing, at most %.2f %% should be", what, share*100, limit*100)
	}
}

// notebook counts the frames that a recording would get.
type notebook struct {
	mu     sync.Mutex
	frames map[uint32]int
}

func (n *notebook) Hear(h *forward.Heard) {
	if _, frame, ok := client.ParseTestFrame(h.Payload); ok {
		n.mu.Lock()
		n.frames[frame]++
		n.mu.Unlock()
	}
}

const minuteOfFrames = 3000

func TestWhatASpeakersNetworkLosesIsLostToNobody(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joinsWith("r", "ann", speaker, redundant)
		old := s.joinsWith("r", "old", listener, plain)
		packed := s.joins("r", "packed", listener)
		packed.update(control.PeerUpdateParams{Rendition: str("packed60")})
		book := &notebook{frames: map[uint32]int{}}
		s.engine.rooms["r"].fwd.Tap(book)
		s.wait(200 * time.Millisecond)
		s.net.SetLink(ann.socket.LocalAddr().Addr(), serverAddr.Addr(), simnet.Link{Delay: 30 * time.Millisecond, Loss: 0.1})
		s.talk(minuteOfFrames*frameTime, map[*person]int{ann: -20})
		s.wait(time.Second)
		got := old.heard()
		if n := types(got); n[63] > 0 || n[111] < 2900 {
			t.Errorf("who has not offered redundancy got payload types %v", n)
		}
		s.below("without redundancy of their own", old.missing(got, ann, minuteOfFrames), 0.017)
		s.below("packed", packed.missing(packed.heard(), ann, minuteOfFrames), 0.017)
		book.mu.Lock()
		for frame, n := range book.frames {
			if n > 1 {
				t.Errorf("frame %d is recorded %d times", frame, n)
			}
		}
		s.below("recorded", 1-float64(len(book.frames))/minuteOfFrames, 0.017)
		book.mu.Unlock()
		up := ann.state().Uplink
		if up.Lost < 240 || up.Recovered < 210 || up.Recovered > up.Lost {
			t.Errorf("peer.get tells of %d lost and %d recovered packets of %d", up.Lost, up.Recovered, minuteOfFrames)
		}
	})
}

func TestAListenerWithRedundancyHearsThroughLoss(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		type ear struct {
			*person
			limit, least float64
		}
		var ears []ear
		for _, c := range []struct {
			name, rendition string
			depth           int
			adapt           func(*client.Config)
			limit, least    float64 // of what is missing
		}{
			{"depth 0", "live", 0, nil, 0.13, 0.07},
			{"depth 1", "live", 1, nil, 0.015, 0.004},
			{"depth 2", "live", 2, nil, 0.004, 0},
			// A packet is three frames, or six: the count scatters more. Three of 120 ms do not fit into one, so depth 2 is 1.
			{"packed60, depth 1", "packed60", 1, nil, 0.025, 0},
			{"packed120, depth 2", "packed120", 2, nil, 0.03, 0},
			{"not offered", "live", 2, plain, 0.13, 0.07},
		} {
			p := s.joinsWith("r", fmt.Sprint("ear", len(ears)), listener, c.adapt)
			p.update(control.PeerUpdateParams{Rendition: str(c.rendition)})
			p.depth(c.depth)
			p.name = c.name
			ears = append(ears, ear{p, c.limit, c.least})
		}
		s.wait(500 * time.Millisecond)
		s.net.SetLink(serverAddr.Addr(), netip.Addr{}, simnet.Link{Delay: 30 * time.Millisecond, Loss: 0.1})
		s.net.SetLink(serverAddr.Addr(), ann.socket.LocalAddr().Addr(), simnet.Link{})
		s.talk(minuteOfFrames*frameTime, map[*person]int{ann: -20})
		s.wait(time.Second)
		for i, e := range ears {
			got := e.heard()
			share := e.missing(got, ann, minuteOfFrames)
			s.below(e.name, share, e.limit)
			if share < e.least {
				t.Errorf("%s: only %.2f %% missing at 10 %% loss", e.name, share*100)
			}
			if n := types(got)[63]; (n > 0) != (i > 0 && i < len(ears)-1) {
				t.Errorf("%s: %d redundant packets", e.name, n)
			}
		}
	})
}

// bursts is a path that loses in bursts (Gilbert's model): each datagram but for what is lost arrives at once.
type bursts struct {
	random *rand.Rand
	share  float64 // lost
	mean   float64 // datagrams in a burst
	bad    bool
}

func (b *bursts) Send(now time.Time, _ int) (time.Time, bool) {
	if b.bad {
		b.bad = b.random.Float64() >= 1/b.mean
	} else {
		b.bad = b.random.Float64() < b.share/(1-b.share)/b.mean
	}
	return now, !b.bad
}

func TestMoreRedundancyHelpsAgainstBursts(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joins("r", "ann", speaker)
		ears := []*person{s.joins("r", "none", listener), s.joins("r", "one", listener), s.joins("r", "two", listener)}
		for depth, p := range ears {
			p.depth(depth)
			s.net.SetLink(serverAddr.Addr(), p.socket.LocalAddr().Addr(),
				simnet.Link{Path: &bursts{random: rand.New(rand.NewPCG(1, 2)), share: 0.1, mean: 2}})
		}
		s.talk(minuteOfFrames*frameTime, map[*person]int{ann: -20})
		s.wait(time.Second)
		var share [3]float64
		for depth, p := range ears {
			share[depth] = p.missing(p.heard(), ann, minuteOfFrames)
			t.Logf("depth %d: %.2f %% missing", depth, share[depth]*100)
		}
		if share[1] > 0.65*share[0] || share[2] > 0.65*share[1] {
			t.Errorf("missing with depth 0, 1, 2: %.3f", share)
		}
	})
}

// On a perfect network nothing is there to be recovered: what redundancy brings has come before, always.
func TestChangingDepthAndRenditionLeavesNoGapAndBringsNothingTwice(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			onStage(t, func(s *stage) {
				rng := rand.New(rand.NewPCG(seed, 3))
				s.open("r", 2)
				people := []*person{s.joins("r", "ann", speaker), s.joins("r", "bob", speaker), s.joins("r", "cem", speaker)}
				live, moving := s.joins("r", "live", listener), s.joins("r", "moving", listener)
				talking := map[*person]int{}
				depths := map[uint8]int{}
				for range 200 {
					p := people[rng.IntN(len(people))]
					switch rng.IntN(6) {
					case 0, 1:
						talking[p] = -20 - rng.IntN(20)
					case 2:
						delete(talking, p)
					case 3:
						moving.update(control.PeerUpdateParams{Rendition: str([]string{"live", "packed60", "packed120"}[rng.IntN(3)])})
					default:
						moving.depth(rng.IntN(3))
						p.depth(rng.IntN(3))
					}
					s.talk(time.Duration(1+rng.IntN(8))*frameTime, talking)
				}
				s.wait(2 * time.Second)
				got := moving.heard()
				s.gapless(got)
				for _, h := range got {
					depths[h.PayloadType]++
					if h.Recovered {
						t.Errorf("line %d: a frame at %d came with %d and not before", h.Line, h.Timestamp, h.Seq)
					}
				}
				if depths[63] < 50 || depths[111] < 50 {
					t.Errorf("payload types %v: the story did not change", depths)
				}
				s.same("moving", s.sounds(got), s.sounds(live.heard()))
				for _, p := range people {
					for _, h := range p.heard() {
						if h.Recovered || h.speaker == p.id {
							t.Errorf("%s got frame %d of speaker %d, recovered: %v", p.name, h.frame, h.speaker, h.Recovered)
						}
					}
				}
			})
		})
	}
}
