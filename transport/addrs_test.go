package transport

import (
	"net/netip"
	"testing"
)

func TestHostAddrs(t *testing.T) {
	one := netip.MustParseAddrPort("192.0.2.7:7900")
	if got, err := HostAddrs(one); err != nil || len(got) != 1 || got[0] != one {
		t.Errorf("%v, %v", got, err)
	}
	for _, local := range []string{"0.0.0.0:7900", "[::]:7900"} {
		l := netip.MustParseAddrPort(local)
		got, err := HostAddrs(l)
		if err != nil || len(got) == 0 {
			t.Fatalf("%s: %v, %v", local, got, err)
		}
		v6 := false
		for _, a := range got {
			if a.Port() != 7900 || a.Addr().IsUnspecified() || a.Addr().Is4In6() || a.Addr().IsLinkLocalUnicast() {
				t.Errorf("%s: %s", local, a)
			}
			if a.Addr().IsLoopback() && len(got) > 1 && !got[0].Addr().IsLoopback() {
				t.Errorf("%s: loopback beside others: %v", local, got)
			}
			if a.Addr().Is4() && v6 {
				t.Errorf("%s: IPv4 behind IPv6: %v", local, got)
			}
			v6 = v6 || a.Addr().Is6() && !a.Addr().IsLoopback()
			if l.Addr().Is4() && !a.Addr().Is4() {
				t.Errorf("%s: %s on an IPv4 socket", local, a)
			}
		}
	}
}
