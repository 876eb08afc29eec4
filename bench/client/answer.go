package client

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// remote is what ICE must know of the server.
type remote struct {
	credentials
	candidates []netip.AddrPort // the highest priority first
}

// answer is what the client uses of the server's SDP. Immutable once parsed.
type answer struct {
	remote
	fingerprint string         // "sha-256 AB:…", in upper case but for the name
	mids        []string       // of each line; empty for a rejected one
	ssrcs       map[uint32]int // SSRCs that the server sends on: line
	level       uint8          // extension ids of the first line; 0: not accepted
	twcc        uint8
	mid         uint8
	red         bool // redundancy is taken on the first line
	nack        bool // what is asked for on the first line is answered

	priorities map[netip.AddrPort]uint64 // only while parsing
}

// parseAnswer reads an answer to our offer. Its errors name what is missing or wrong.
func parseAnswer(sdp string) (*answer, error) {
	a := &answer{ssrcs: map[uint32]int{}, priorities: map[netip.AddrPort]uint64{}}
	for i, text := range strings.Split(sdp, "\n") {
		if err := a.parseLine(strings.TrimRight(text, "\r")); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	slices.SortStableFunc(a.candidates, func(x, y netip.AddrPort) int {
		return cmp.Compare(a.priorities[y], a.priorities[x])
	})
	a.priorities = nil
	switch {
	case len(a.mids) == 0:
		return nil, errors.New("no m= line")
	case a.mids[0] == "":
		return nil, errors.New("the first line is rejected")
	case a.ufrag == "" || a.password == "":
		return nil, errors.New("no ICE credentials")
	case a.fingerprint == "":
		return nil, errors.New("no sha-256 fingerprint")
	case len(a.candidates) == 0:
		return nil, errors.New("no candidate that can be used")
	}
	return a, nil
}

// parseLine takes what one line of SDP says. What belongs to the transport counts wherever it first stands: with
// BUNDLE it is the same everywhere.
func (a *answer) parseLine(text string) error {
	kind, value, _ := strings.Cut(text, "=")
	if kind == "m" {
		fields := strings.Fields(value)
		if len(fields) < 4 {
			return fmt.Errorf("short m= line %q", text)
		}
		mid := "?" // accepted, its mid is to come
		if fields[1] == "0" {
			mid = ""
		}
		a.mids = append(a.mids, mid)
		return nil
	}
	if kind != "a" {
		return nil
	}
	name, value, _ := strings.Cut(value, ":")
	line := len(a.mids) - 1
	switch name {
	case "mid":
		if line >= 0 && a.mids[line] != "" {
			a.mids[line] = value
		}
	case "ice-ufrag":
		a.ufrag = cmp.Or(a.ufrag, value)
	case "ice-pwd":
		a.password = cmp.Or(a.password, value)
	case "fingerprint":
		return a.parseFingerprint(value)
	case "setup":
		if value != "passive" {
			return fmt.Errorf("a=setup:%s; the client is always the DTLS client", value)
		}
	case "candidate":
		a.parseCandidate(strings.Fields(value))
	case "rtpmap":
		pt, codec, _ := strings.Cut(value, " ")
		a.red = a.red || line == 0 && pt == strconv.Itoa(redPayloadType) && codec == "red/48000/2"
	case "rtcp-fb":
		a.nack = a.nack || line == 0 && value == "111 nack"
	case "ssrc":
		return a.parseSSRC(value, line)
	case "extmap":
		return a.parseExtension(value, line)
	}
	return nil
}

func (a *answer) parseFingerprint(value string) error {
	algorithm, digest, ok := strings.Cut(value, " ")
	if !ok {
		return fmt.Errorf("bad fingerprint %q", value)
	}
	if strings.EqualFold(algorithm, "sha-256") && a.fingerprint == "" {
		a.fingerprint = "sha-256 " + strings.ToUpper(strings.TrimSpace(digest))
	}
	return nil
}

// parseCandidate keeps UDP host addresses (RFC 8839 §5.1); names and other transports cannot be used.
func (a *answer) parseCandidate(f []string) {
	if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") {
		return
	}
	priority, err1 := strconv.ParseUint(f[3], 10, 32)
	ip, err2 := netip.ParseAddr(f[4])
	port, err3 := strconv.ParseUint(f[5], 10, 16)
	if err1 != nil || err2 != nil || err3 != nil || port == 0 {
		return
	}
	addr := netip.AddrPortFrom(ip.Unmap(), uint16(port))
	if _, known := a.priorities[addr]; !known {
		a.candidates = append(a.candidates, addr)
	}
	a.priorities[addr] = priority
}

func (a *answer) parseSSRC(value string, line int) error {
	number, _, _ := strings.Cut(value, " ")
	ssrc, err := strconv.ParseUint(number, 10, 32)
	if err != nil || line < 0 {
		return fmt.Errorf("bad a=ssrc:%s", value)
	}
	if other, known := a.ssrcs[uint32(ssrc)]; known && other != line {
		return fmt.Errorf("SSRC %d is on lines %d and %d", ssrc, other, line)
	}
	a.ssrcs[uint32(ssrc)] = line
	return nil
}

func (a *answer) parseExtension(value string, line int) error {
	number, uri, _ := strings.Cut(value, " ")
	number, _, _ = strings.Cut(number, "/") // a direction may follow
	id, err := strconv.ParseUint(number, 10, 8)
	if err != nil || id == 0 {
		return fmt.Errorf("bad a=extmap:%s", value)
	}
	for _, e := range [3]struct {
		uri     string
		offered uint64
		to      *uint8
	}{{levelURI, levelID, &a.level}, {twccURI, twccID, &a.twcc}, {midURI, midID, &a.mid}} {
		if uri != e.uri {
			continue
		}
		if id != e.offered {
			return fmt.Errorf("a=extmap:%s; it was offered as %d", value, e.offered)
		}
		if line <= 0 {
			*e.to = uint8(id)
		}
	}
	return nil
}

// line finds the line of a packet by its mid, or by its SSRC; -1 if neither is known.
func (a *answer) line(mid []byte, ssrc uint32) int {
	if len(mid) > 0 {
		for i, m := range a.mids {
			if m == string(mid) {
				return i
			}
		}
	}
	if line, ok := a.ssrcs[ssrc]; ok {
		return line
	}
	return -1
}
