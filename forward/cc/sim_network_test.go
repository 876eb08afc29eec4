package cc

// send puts a packet on the path.
func (s *sim) send(p simPacket, ms int) bool {
	if !p.copy {
		p.sent = ms
	}
	s.octets += p.size
	if s.dead != nil && s.dead(ms) {
		return false
	}
	at := float64(ms)
	if rate := s.rate(ms); rate > 0 {
		start := max(at, s.free)
		if (start-at)/1000 > s.buffer {
			return false
		}
		s.free = start + float64(p.size*8)/rate*1000
		at = s.free
	}
	if p.flow == 0 && s.loss != nil && s.loss(s.r, s.world) {
		return false
	}
	if s.stall != nil {
		at = max(at, float64(s.stall(int(at))))
	}
	at += s.base + s.jitter*s.r.Float64()
	at = max(at, s.lastArr)
	s.lastArr = at
	if i := int(at) + 1; i < len(s.arrivals) {
		s.arrivals[i] = append(s.arrivals[i], p)
	}
	return true
}

// bulk is TCP: slow start, then a packet more a round trip, half of it after a loss.
func (s *sim) bulk(ms int) {
	for _, f := range s.acks[ms] {
		c := &s.tcp[f-1]
		c.inflight--
		if c.window < c.slow {
			c.window++
		} else {
			c.window += 1 / c.window
		}
	}
	for _, f := range s.lostAcks[ms] {
		c := &s.tcp[f-1]
		c.inflight--
		if ms > c.cut {
			c.window = max(c.window/2, 2)
			c.slow, c.cut = c.window, ms+int(2*s.base+s.buffer*1000)
		}
	}
	for f := range s.tcp {
		c := &s.tcp[f]
		for ms >= s.flowsAt && c.inflight < int(c.window) {
			c.inflight++
			if !s.send(simPacket{size: 1500, flow: f + 1}, ms) {
				i := ms + int(2*s.base+s.buffer*1000)
				s.lostAcks[i] = append(s.lostAcks[i], f+1)
				break
			}
		}
	}
}
