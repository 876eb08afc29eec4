package cc

import "time"

// mend and asked do as a leg does (forward/resend.go).
func (s *sim) mend(ms int, now time.Time) {
	for slot := range 3 {
		s.out.refused[RefusedBudget] += s.history.Lost(slot, s.l, s.cover(), s.trip(), now, func(again Sent) { s.resend(again, ms, now) })
	}
	s.out.saved += s.l.Saved()
}

func (s *sim) asked(m simMiss, ms int, now time.Time) {
	s.l.Asks(now)
	again, why := s.history.Asked(m.slot, uint16(m.num), s.d.Resend, s.trip(), now)
	if s.out.refused[why]++; why == Granted {
		s.resend(again, ms, now)
	}
	s.nacked[0] = s.history.Nacked()
}

func (s *sim) trip() time.Duration { return time.Duration(s.rtt) * time.Millisecond }

func (s *sim) resend(again Sent, ms int, now time.Time) {
	p := s.sent[again.Ref]
	p.again = true
	s.history.Paid(p.size)
	if again.Stamped {
		s.l.Resent(again.TWCC, now)
	}
	s.out.resent++
	s.send(p, ms)
}

func (s *sim) decide(ms int, now time.Time) {
	n := s.talking(ms)
	before := s.d
	s.l.Follows(s.packed, s.fixed)
	s.d = s.l.Decide(now, Demand{Talking: n, Payload: n * 32000, Main: min(n, 1) * 32000})
	for range s.d.Probe {
		size := s.d.Padding + 68
		s.l.SentProbe(uint16(s.twcc), size, now)
		s.send(simPacket{size: size, probing: true, twcc: s.twcc}, ms)
		s.twcc++
	}
	if s.config.Resend && !s.nack && s.d.Stamp != (s.history != nil) {
		s.history = nil
		if s.d.Stamp {
			s.history = NewHistory(3, now)
		}
	}
	if s.d.Spread && (s.d.RED != 2 || s.d.Rung != Live || s.packed != AsItCame) {
		panic("copies are spread that are not sent")
	}
	c := s.d
	c.Resend, before.Resend = false, false
	c.Padding, before.Padding, c.Probe, before.Probe, c.Estimate, before.Estimate = 0, 0, 0, 0, 0, 0
	if c != before {
		s.out.history = append(s.out.history, step{ms, s.d, s.l.estimate})
	}
	if s.trace != nil {
		s.trace(ms, s.l, s.d)
	}
}

// wants is the rendition that the leg is to follow (forward's leg.effective).
func (s *sim) wants() Packing {
	if s.fixed {
		return s.packed
	}
	return max(s.d.Packing, s.packed)
}

func (s *sim) talk(ms int, now time.Time) {
	for slot := range 3 {
		if slot >= s.talking(ms) || ms%20 != slot*7 {
			continue
		}
		f := s.frames[slot]
		s.frames[slot]++
		if s.d.One && slot > 0 && s.follow == s.wants() {
			continue
		}
		s.pending[slot] = append(s.pending[slot], f)
		if s.follow == AsItCame {
			s.flush(slot, ms, now)
		}
	}
	want := s.wants()
	long := s.follow == Of120ms || want == Of120ms && s.follow != want
	if ms%60 == 59 && (!long || ms%120 == 119) {
		for slot := range 3 {
			s.flush(slot, ms, now)
		}
		s.follow = want
	}
}

// cover is what the next packets carry of earlier ones.
func (s *sim) cover() uint8 {
	if s.d.Spread {
		return 0b1010
	}
	return 1<<s.d.RED - 1
}

func (s *sim) flush(slot, ms int, now time.Time) {
	own := s.pending[slot]
	if len(own) == 0 {
		return
	}
	s.pending[slot] = nil
	p := simPacket{sent: ms, slot: slot, num: s.nums[slot], frames: own, size: 60 + len(own)*frameOctets, twcc: -1}
	s.nums[slot]++
	cover := uint8(0)
	for i := range int(s.d.RED) {
		if s.d.Spread {
			i = 2*i + 1
		}
		if b := s.before[slot][i]; b != nil {
			p.frames = append(append([]int{}, p.frames...), b...)
			p.size += len(b)*frameOctets + redHeader
			cover |= 1 << i
		}
	}
	copy(s.before[slot][1:], s.before[slot][:])
	s.before[slot][0] = own
	if s.d.Stamp {
		p.size += 8
		p.twcc = s.twcc
		s.l.Sent(uint16(p.twcc), p.size, now)
		s.twcc++
		s.out.stamped++
	}
	s.out.packets++
	p.seq = s.seq
	s.seq++
	if s.history != nil {
		ref := uint64(len(s.sent))
		s.sent = append(s.sent, p)
		s.history.Add(slot, Sent{Ref: ref, Seq: uint64(p.num), TWCC: uint16(p.twcc), Stamped: p.twcc >= 0, Cover: cover}, p.size, now)
	}
	s.send(p, ms)
	if s.d.Copies {
		s.copy(slot, ms, now)
	}
}

// copy does as a leg does (forward/copies.go).
func (s *sim) copy(slot, ms int, now time.Time) {
	again, ok := s.history.Copy(slot, now)
	if !ok {
		return
	}
	p := s.sent[again.Ref]
	p.copy = true
	s.l.Copied(again.TWCC, now)
	s.out.copies++
	s.send(p, ms)
}
