package transport_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"stentor/bench/client"
	"stentor/transport"
	"stentor/transport/simnet"
)

// records are the DTLS records of epoch 1 that have left the endpoint, by their sequence number.
type records struct {
	mu    sync.Mutex
	sent  map[uint64][]byte
	alert int
	twice int // with one number for two records
}

// watch collects from one datagram; records may stand behind each other.
func (r *records) watch(d simnet.Capture) {
	if d.From != studio || transport.Classify(d.Data) != transport.KindDTLS {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for b := d.Data; len(b) >= 13; {
		end := 13 + int(binary.BigEndian.Uint16(b[11:]))
		if id := binary.BigEndian.Uint64(b[3:]); id>>48 == 1 {
			if b[0] == 21 {
				r.alert++
			}
			if old := r.sent[id]; old != nil && !bytes.Equal(old, b[:end]) {
				r.twice++
			}
			r.sent[id] = slices.Clone(b[:end])
		}
		b = b[end:]
	}
}

func (s *scene) collectsRecords() *records {
	r := &records{sent: map[uint64][]byte{}}
	s.watches(r.watch)
	return r
}

// TestALostLastFlightIsRepeated: the client, who has not heard our Finished, repeats its own; pion/dtls is gone by then.
func TestALostLastFlightIsRepeated(t *testing.T) {
	for _, times := range []int{1, 3} {
		onScene(t, func(s *scene) {
			r := &records{sent: map[uint64][]byte{}}
			g, answer := s.comes(home, client.Config{})
			lost := 0
			s.watches(func(d simnet.Capture) {
				r.watch(d)
				if d.From == studio && d.Data[0] == 20 { // ChangeCipherSpec
					lost++
					s.net.SetLink(studio.Addr(), home.Addr(), simnet.Link{Down: lost <= times})
				}
			})
			s.must(g.client.Connect(s.Context(), answer))
			if lost != times+1 {
				s.Errorf("the last flight was sent %d times, want %d", lost, times+1)
			}
			g.speakAndHear()
			g.session.Close()
			<-g.client.Closed()
			s.wantTold(g.owner, "secured")
			if r.twice != 0 || len(r.sent) != 2 || r.alert != 1 {
				s.Errorf("%d sequence numbers for %d records too many, %d alerts", len(r.sent), r.twice, r.alert)
			}
		})
	}
}

func TestGoodbyeIsUnderstoodAnHourLaterAndAnsweredOnce(t *testing.T) {
	onScene(t, func(s *scene) {
		r := s.collectsRecords()
		g := s.joins(home, client.Config{})
		s.after(time.Hour)
		s.wantTold(g.owner, "secured")
		g.client.Close()
		<-g.ended
		g.session.Close()
		s.settle()
		s.wantTold(g.owner, "secured", "ended by the peer")
		if r.alert != 1 || r.twice != 0 {
			s.Errorf("%d goodbyes, %d sequence numbers used twice", r.alert, r.twice)
		}
	})
}

// TestWhoLeavesAtOnceIsHeard: between the keys and the end of pion/dtls.
func TestWhoLeavesAtOnceIsHeard(t *testing.T) {
	onScene(t, func(s *scene) {
		g, answer := s.comes(home, client.Config{})
		g.busy = make(chan struct{})
		s.must(g.client.Connect(s.Context(), answer))
		<-g.secured
		g.client.Close()
		s.settle()
		s.wantTold(g.owner, "secured")
		close(g.busy)
		<-g.ended
		s.wantTold(g.owner, "secured", "ended by the peer")
	})
}

func TestForgedRecordsEndNobody(t *testing.T) {
	record := func(kind byte, epoch uint16, payload ...byte) []byte {
		b := append([]byte{kind, 254, 253}, make([]byte, 10)...)
		binary.BigEndian.PutUint16(b[3:], epoch)
		binary.BigEndian.PutUint16(b[11:], uint16(len(payload)))
		return append(b, payload...)
	}
	onScene(t, func(s *scene) {
		g := s.joins(home, client.Config{})
		s.settle() // pion/dtls is gone
		sent := s.net.Counters().Sent
		forged := [][]byte{
			record(21, 0, 1, 0), // close_notify in clear, as before the handshake
			record(21, 0, 2, 40),
			record(21, 1, 1, 0),
			record(21, 1, make([]byte, 26)...),
			record(22, 1, make([]byte, 48)...),
			record(21, 2, make([]byte, 26)...),
			record(21, 1, make([]byte, 26)...)[:30], // cut off
			record(23, 1, make([]byte, 26)...),
			append(record(21, 0, 1, 0), record(21, 1, make([]byte, 26)...)...),
		}
		for i, b := range forged {
			s.sends(g.socket, b)
			if s.drops("unauthentic") != uint64(i+1) {
				s.Errorf("record %d is not counted", i)
			}
		}
		if n := s.net.Counters().Sent - sent; n != uint64(len(forged)) {
			s.Errorf("%d datagrams in answer", n-uint64(len(forged)))
		}
		s.wantTold(g.owner, "secured")
		g.speakAndHear()
		g.client.Close()
		<-g.ended
	})
}

// TestARepeatedFinishedIsAnsweredWithMeasure: it can be captured and sent again, but it does not make us louder.
func TestARepeatedFinishedIsAnsweredWithMeasure(t *testing.T) {
	onScene(t, func(s *scene) {
		var mu sync.Mutex
		var finished []byte
		answers := 0
		s.watches(func(d simnet.Capture) {
			mu.Lock()
			defer mu.Unlock()
			if d.From == studio && d.Data[0] == 20 {
				answers++
			}
			for b := d.Data; d.From == home && transport.Classify(b) == transport.KindDTLS; {
				end := 13 + int(binary.BigEndian.Uint16(b[11:]))
				if b[0] == 22 && binary.BigEndian.Uint16(b[3:]) == 1 {
					finished = slices.Clone(b[:end])
				}
				b = b[end:]
			}
		})
		g := s.joins(home, client.Config{})
		s.after(time.Second)
		answers = 0
		for range 100 {
			s.sends(g.socket, finished)
		}
		if answers != 1 {
			s.Errorf("%d answers at once", answers)
		}
		s.after(time.Second)
		s.sends(g.socket, finished)
		if answers != 2 {
			s.Error("the last flight is not repeated any more")
		}
		g.speakAndHear()
		s.wantTold(g.owner, "secured")
	})
}
