package sdp

// Direction says who sends on a line, from the point of view of the side whose description it stands in.
type Direction uint8

// Directions (RFC 8866 §6.7). They are sets of two: may send, may receive.
const (
	Inactive Direction = 0
	SendOnly Direction = 1
	RecvOnly Direction = 2
	SendRecv Direction = SendOnly | RecvOnly
)

var directionWords = [4]string{"inactive", "sendonly", "recvonly", "sendrecv"}

// String returns the word that SDP has for it.
func (d Direction) String() string { return directionWords[d&SendRecv] }

// reversed is the same direction seen from the other end.
func (d Direction) reversed() Direction { return d&SendOnly<<1 | d&RecvOnly>>1 }

func directionOf(word string) (Direction, bool) {
	for d, w := range directionWords {
		if w == word {
			return Direction(d), true
		}
	}
	return 0, false
}

// direction reads the direction attribute of a section; without one the given direction stands.
func (s *section) direction(without Direction) (Direction, error) {
	d, found := without, false
	for _, a := range s.attributes {
		is, ok := directionOf(a.key)
		if !ok {
			continue
		}
		if found && is != d {
			return 0, invalid(a.line, "a="+a.key+" after a="+d.String()+" in the same section")
		}
		d, found = is, true
	}
	return d, nil
}
