package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"
)

// pipe is one end of a connection in memory. It keeps what was written to it.
type pipe struct {
	in, out chan []byte
	closed  chan struct{}
	once    sync.Once

	mu   sync.Mutex
	mute bool
	sent [][]byte
}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-p.in:
		return copy(b, d), p.LocalAddr(), nil
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, bytes.Clone(b))
	if !p.mute {
		p.out <- bytes.Clone(b)
	}
	return len(b), nil
}

func (p *pipe) last() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent[len(p.sent)-1]
}

func (p *pipe) Close() error                     { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipe) LocalAddr() net.Addr              { return new(net.UDPAddr) }
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

// withAssociation shakes hands with pion's client under a cipher suite, and gives the server's side to an association.
func withAssociation(t *testing.T, suite dtls.CipherSuiteID, story func(t *testing.T, a *association, client *dtls.Conn, ours, theirs *pipe)) {
	synctest.Test(t, func(t *testing.T) {
		up, down := make(chan []byte, 100), make(chan []byte, 100)
		ours, theirs := &pipe{in: up, out: down, closed: make(chan struct{})}, &pipe{in: down, out: up, closed: make(chan struct{})}
		cert, _, err := newCertificate(time.Now())
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ok(err)
		server, err := dtls.ServerWithOptions(ours, ours.LocalAddr(), dtls.WithCertificates(cert),
			dtls.WithCipherSuites(cipherSuites...), dtls.WithInsecureSkipVerifyHello(true))
		ok(err)
		client, err := dtls.ClientWithOptions(theirs, theirs.LocalAddr(), dtls.WithCipherSuites(suite), dtls.WithInsecureSkipVerify(true))
		ok(err)
		shaken := make(chan error)
		go func() { shaken <- server.HandshakeContext(context.Background()) }()
		ok(client.HandshakeContext(t.Context()))
		ok(<-shaken)
		state, _ := server.ConnectionState()
		a, err := newAssociation(&state)
		ok(err)
		a.next, a.finale = 1, []byte("the last flight")
		ours.mute = true
		ok(server.Close())
		defer client.Close()
		story(t, a, client, ours, theirs)
	})
}

func TestAnAssociationSpeaksWithPion(t *testing.T) {
	for _, suite := range cipherSuites {
		t.Run(dtls.CipherSuiteName(suite), func(t *testing.T) {
			withAssociation(t, suite, func(t *testing.T, a *association, client *dtls.Conn, ours, _ *pipe) {
				ours.out <- a.goodbye()
				if _, err := client.Read(make([]byte, 100)); !errors.Is(err, io.EOF) {
					t.Errorf("the client reads %v", err)
				}
				if a.goodbye() != nil {
					t.Error("a second goodbye")
				}
			})
			withAssociation(t, suite, func(t *testing.T, a *association, client *dtls.Conn, ours, theirs *pipe) {
				repeated := theirs.sent[len(theirs.sent)-1] // with the client's Finished
				answer, drop, ended := a.take(repeated, time.Now())
				if string(answer) != "the last flight" || ended != nil || drop != DropNone {
					t.Errorf("a repeated flight: %q, %v, %s", answer, ended, drop)
				}
				if _, err := client.Write([]byte("data")); err != nil {
					t.Fatal(err)
				}
				if answer, _, ended := a.take(theirs.last(), time.Now()); answer != nil || ended != nil {
					t.Errorf("data: %x, %v", answer, ended)
				}
				if err := client.Close(); err != nil {
					t.Fatal(err)
				}
				answer, drop, ended = a.take(theirs.last(), time.Now())
				if answer == nil || ended != io.EOF || drop != DropNone {
					t.Errorf("a goodbye: %x, %v, %s", answer, ended, drop)
				}
			})
		})
	}
}

// mirror is the peer's side of an association.
func (a *association) mirror() *association {
	return &association{openKey: a.sealKey, sealKey: a.openKey, openIV: a.sealIV, sealIV: a.openIV, next: 5}
}

func TestAFatalAlertEndsAndAWarningDoesNot(t *testing.T) {
	withAssociation(t, cipherSuites[0], func(t *testing.T, a *association, _ *dtls.Conn, _, _ *pipe) {
		peer := a.mirror()
		if answer, drop, ended := a.take(peer.seal(recordAlert, []byte{1, 100}), time.Now()); answer != nil || ended != nil || drop != DropNone {
			t.Errorf("a warning: %x, %v, %s", answer, ended, drop)
		}
		answer, drop, ended := a.take(peer.seal(recordAlert, []byte{2, 20}), time.Now())
		if answer != nil || ended == nil || !strings.Contains(ended.Error(), "20") || drop != DropNone {
			t.Errorf("a fatal alert: %x, %v, %s", answer, ended, drop)
		}
		if a.goodbye() != nil {
			t.Error("a goodbye after a fatal alert")
		}
	})
}

// FuzzAssociation: nothing that was not sealed by the peer has an effect.
func FuzzAssociation(f *testing.F) {
	a := &association{openKey: make([]byte, 16), sealKey: []byte("0123456789abcdef"), finale: []byte{20}}
	peer := a.mirror()
	f.Add(peer.seal(recordAlert, []byte{1, 0}))
	f.Add(append(peer.seal(recordHandshake, []byte("Finished")), peer.seal(recordAlert, []byte{2, 20})...))
	f.Add([]byte{21, 254, 253, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		other := &association{openKey: []byte("another key of 16"[:16]), sealKey: a.sealKey, finale: a.finale}
		if answer, drop, ended := other.take(b, time.Unix(1, 0)); answer != nil || ended != nil || drop != DropUnauthentic {
			t.Fatalf("%x, %v, %s", answer, ended, drop)
		}
		fresh := *a
		fresh.take(b, time.Unix(1, 0))
	})
}
