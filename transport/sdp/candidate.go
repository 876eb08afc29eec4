package sdp

import (
	"fmt"
	"net/netip"
	"slices"

	pion "github.com/pion/sdp/v3"
)

// typePreferenceHost is that of host candidates (RFC 8445 §5.1.2.2).
const typePreferenceHost = 126

// priority of the i-th best host candidate, component 1 (RFC 8445 §5.1.2.1). Order alone tells local preferences
// apart: 65535 for the best, one less for the next.
func priority(i int) uint32 {
	const component = 1
	local := uint32(65535 - min(i, 65535))
	return typePreferenceHost<<24 | local<<8 | (256 - component)
}

// candidates are the lines of our host candidates and the sign that no more will come (RFC 8839 §5.1, RFC 8840 §8.2).
func candidates(addrs []netip.AddrPort) []pion.Attribute {
	a := make([]pion.Attribute, 0, len(addrs)+1)
	for i, at := range addrs {
		// A foundation is common to candidates of the same address (RFC 8445 §5.1.1.3); ports do not matter.
		foundation := 1 + slices.IndexFunc(addrs, func(b netip.AddrPort) bool { return plainAddr(b) == plainAddr(at) })
		a = append(a, attr("candidate", fmt.Sprintf("%d 1 udp %d %s %d typ host",
			foundation, priority(i), plainAddr(at), at.Port())))
	}
	return append(a, property("end-of-candidates"))
}

// plainAddr is an address as another machine can use it: no zone, and IPv4 as IPv4.
func plainAddr(a netip.AddrPort) netip.Addr { return a.Addr().Unmap().WithZone("") }
