package transport

import (
	"fmt"
	"net"
	"net/netip"
)

// network is what package net must be asked for so that "0.0.0.0:7900" serves IPv4 alone: by itself it takes every
// unspecified address for both families.
func network(addr string) string {
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Is4() {
		return "udp4"
	}
	return "udp"
}

// HostAddrs are the addresses that a socket bound to local can be reached at, best first: local itself when it
// names an address; else the interfaces' global ones, IPv4 before IPv6, or loopback when there is none, so that a
// laptop without a network can talk to itself.
func HostAddrs(local netip.AddrPort) ([]netip.AddrPort, error) {
	if !local.Addr().IsUnspecified() {
		return []netip.AddrPort{local}, nil
	}
	ifaddrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list interface addresses: %w", err)
	}
	var v4, v6, loopback []netip.AddrPort
	for _, a := range ifaddrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ap := netip.AddrPortFrom(ip.Unmap(), local.Port())
		switch {
		case local.Addr().Is4() && !ap.Addr().Is4(): // an IPv4 socket
		case ap.Addr().IsLoopback():
			loopback = append(loopback, ap)
		case !ap.Addr().IsGlobalUnicast(): // link-local wants a zone, which a candidate cannot carry
		case ap.Addr().Is4():
			v4 = append(v4, ap)
		default:
			v6 = append(v6, ap)
		}
	}
	if len(v4)+len(v6) == 0 {
		return loopback, nil
	}
	return append(v4, v6...), nil
}
