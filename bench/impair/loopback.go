package impair

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"stentor/transport"
)

// loopback is 127.0.0.1, where the first to come is behind a relay.
type loopback struct {
	conn  transport.Conn
	relay *Relay
}

func newLoopback() (*loopback, error) {
	conn, err := transport.ListenUDP("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	relay, err := NewRelay("127.0.0.1:0", conn.LocalAddr(), nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &loopback{conn, relay}, nil
}

func (l *loopback) server() (transport.Conn, error) { return l.conn, nil }

func (l *loopback) enter() (transport.Conn, error) { return transport.ListenUDP("127.0.0.1:0") }

// answer puts the relay's port in the place of the engine's, in the candidates (RFC 8839 §5.1).
func (l *loopback) answer(sdp string) string {
	return Readdress(sdp, l.conn.LocalAddr(), l.relay.Addr())
}

// Readdress puts another address in the place of a candidate's in an answer.
func Readdress(sdp string, from, to netip.AddrPort) string {
	name := func(a netip.AddrPort) string { return fmt.Sprintf(" %s %d typ host", a.Addr(), a.Port()) }
	return strings.ReplaceAll(sdp, name(from), name(to))
}

func (l *loopback) impair(down, up *meter) { l.relay.Impair(down, up) }

func (l *loopback) close() { _ = l.relay.Close() } // the engine has closed its socket
