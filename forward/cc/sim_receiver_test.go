package cc

import (
	"encoding/binary"
	"slices"
	"time"
)

// ask is libwebrtc's NackTracker with a short wait for what was overtaken.
func (s *sim) ask(ms int) {
	if !s.nack || ms < s.nackFrom || s.dead != nil && s.dead(ms) {
		return
	}
	for slot := range s.asking {
		kept := s.asking[slot][:0]
		for _, m := range s.asking[slot] {
			if ms-m.since >= 500 {
				continue
			}
			if ms >= m.ask {
				m.ask = ms + max(int(s.rtt), 50)
				i := ms + int(s.base)
				s.nacks[i] = append(s.nacks[i], m)
			}
			kept = append(kept, m)
		}
		s.asking[slot] = kept
	}
}

// misses books what is missing before a packet.
func (s *sim) misses(p simPacket, ms int) {
	for n := s.top[p.slot] + 1; n < p.num && s.top[p.slot] >= 0; n++ {
		s.asking[p.slot] = append(s.asking[p.slot], simMiss{p.slot, n, ms, ms + 10})
	}
	s.top[p.slot] = max(s.top[p.slot], p.num)
	s.asking[p.slot] = slices.DeleteFunc(s.asking[p.slot], func(m simMiss) bool { return m.num == p.num })
}

func (s *sim) arrive(p simPacket, ms int) {
	if p.flow > 0 {
		i := ms + int(s.base)
		s.acks[i] = append(s.acks[i], p.flow)
		return
	}
	if !p.probing {
		if s.came[[2]int{p.slot, p.num}] {
			return
		}
		s.came[[2]int{p.slot, p.num}] = true
	}
	if p.twcc >= 0 && !s.noAnswer && (s.mute == 0 || ms < s.mute) {
		if p.twcc > s.told {
			s.got[p.twcc] = float64(ms)
		} else { // told as lost
			s.lates = append(s.lates, simMiss{num: p.twcc, since: ms})
		}
		s.most = max(s.most, p.twcc)
	}
	if p.probing {
		return
	}
	s.rrGot++
	for _, f := range p.frames {
		if _, had := s.heardAt[p.slot][f]; !had {
			s.heardAt[p.slot][f] = float64(ms)
		}
	}
	if s.nack {
		s.misses(p, ms)
	}
	if p.again { // no receiver measures anything by it
		return
	}
	delay := float64(ms - p.sent)
	s.delays, s.delayN = s.delays+delay-s.base, s.delayN+1
	s.minDelay[ms/1000] = min(s.minDelay[ms/1000], delay-s.base)
	if s.rrMax >= 0 {
		d := delay - s.transit
		s.jit += (max(d, -d) - s.jit) / 16
	}
	s.transit, s.rtt = delay, delay+s.base
	s.rrMax = max(s.rrMax, p.seq)
}

// answer is a feedback message of what has come since the last one.
func (s *sim) answer(ms int) {
	if s.dead != nil && s.dead(ms) {
		return
	}
	for _, late := range s.lates { // told anew, as libwebrtc does
		i := ms + int(s.base)
		s.feedback[i] = append(s.feedback[i], feedbackMessage(uint16(late.num), []float64{float64(late.since)}))
	}
	s.lates = s.lates[:0]
	if s.most <= s.told {
		return
	}
	base := s.told + 1
	if s.most-base > 5000 {
		base = s.most - 5000
	}
	var at []float64
	for q := base; q <= s.most; q++ {
		v, ok := s.got[q]
		delete(s.got, q)
		if !ok {
			v = -1
		}
		at = append(at, v)
	}
	s.told = s.most
	i := ms + int(s.base)
	s.feedback[i] = append(s.feedback[i], feedbackMessage(uint16(base), at))
	s.out.feedbacks++
	s.out.feedbackAt = ms
}

// feedbackMessage writes a message with two-bit vectors; at: ms, or -1 for lost.
func feedbackMessage(base uint16, at []float64) []byte {
	b := make([]byte, 20)
	b[0], b[1] = 0x80|15, 205
	binary.BigEndian.PutUint16(b[12:], base)
	binary.BigEndian.PutUint16(b[14:], uint16(len(at)))
	ref := -1
	last := 0
	var deltas []byte
	var chunk uint16
	for i, v := range at {
		sym := uint16(0)
		if v >= 0 {
			tick := int(v * 4)
			if ref < 0 {
				ref = tick / 256
				last = ref * 256
			}
			d := tick - last
			last = tick
			if d >= 0 && d < 256 {
				sym = 1
				deltas = append(deltas, byte(d))
			} else {
				sym = 2
				deltas = binary.BigEndian.AppendUint16(deltas, uint16(int16(min(max(d, -32768), 32767))))
			}
		}
		chunk |= sym << (12 - 2*(i%7))
		if i%7 == 6 || i == len(at)-1 {
			b = binary.BigEndian.AppendUint16(b, chunk|0xc000)
			chunk = 0
		}
	}
	b[16], b[17], b[18] = byte(ref>>16), byte(ref>>8), byte(ref)
	b = append(b, deltas...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	return b
}

func (s *sim) report(ms int, now time.Time) {
	s.rrNext = ms + 1000 + s.r.IntN(4000)
	if s.dead != nil && s.dead(ms) || s.rrMax < 0 {
		return
	}
	expected := s.rrMax - s.rrSeq
	fraction := 0
	if expected > 0 {
		fraction = min(255, max(0, (expected-s.rrGot)*256/expected))
	}
	s.rrSeq, s.rrGot = s.rrMax, 0
	lost := Missing(uint8(fraction), s.nacked[0]-s.nacked[1], uint64(s.out.packets-s.reported))
	s.nacked[1], s.reported = s.nacked[0], s.out.packets
	s.l.Report(lost, uint32(s.jit*48), time.Duration(s.rtt)*time.Millisecond, now)
}
