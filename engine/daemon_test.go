package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stentor/bench/client"
	"stentor/engine/control"
	"stentor/engine/control/controltest"
	"stentor/transport"
)

// daemon is an engine with real sockets on loopback.
func daemon(t *testing.T, configure func(*Config)) (e *Engine, c *control.Client) {
	t.Helper()
	cfg := Default()
	cfg.Spool, cfg.SpoolFreeMB = t.TempDir(), 1
	cfg.Media, cfg.HTTP, cfg.Control = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "control.sock")
	cfg.Log = slog.New(slog.DiscardHandler)
	if configure != nil {
		configure(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	c, err = control.Dial(t.Context(), cfg.Control)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return e, c
}

// comes brings a client with a real socket.
func comes(t *testing.T, addr string, c client.Config) *client.Client {
	t.Helper()
	conn, err := transport.ListenUDP(addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Conn = conn
	p, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestTheProtocolDocumentIsTrue(t *testing.T) {
	text, err := os.ReadFile("../docs/control-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := controltest.Examples(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(examples) < 15 {
		t.Fatalf("the document has %d examples, fewer than it has methods", len(examples))
	}
	offers := map[string]string{}
	for kind, file := range map[string]string{"join": "offer_chromium_listener.sdp", "restart": "restart_chromium_listener.sdp"} {
		b, err := os.ReadFile("../transport/sdp/testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		offers[kind] = string(b)
	}
	e, _ := daemon(t, nil)
	conn, err := net.Dial("unix", e.config.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = controltest.Replay(conn, examples, func(method, _, _ string) string {
		if method == control.MethodPeerRestart {
			return offers["restart"]
		}
		return offers["join"]
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMetricsTellWhatHappenedAndNameNobody(t *testing.T) {
	for _, family := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(family, func(t *testing.T) {
			e, c := daemon(t, func(c *Config) { c.Media = family })
			ctx := t.Context()
			if _, err := c.RoomOpen(ctx, &control.RoomOpenParams{Room: "very-private"}); err != nil {
				t.Fatal(err)
			}
			got := make(chan client.Packet, 100)
			ann := comes(t, family, client.Config{})
			bob := comes(t, family, client.Config{OnPacket: func(p client.Packet) { got <- p }})
			for name, p := range map[string]*client.Client{"ann": ann, "bob": bob} {
				res, err := c.PeerJoin(ctx, &control.PeerJoinParams{Room: "very-private", Peer: name, MaySpeak: name == "ann", SDP: p.Offer()})
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Connect(ctx, res.SDP); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "both are connected", func() bool {
				list, err := c.PeerList(ctx, &control.RoomParams{Room: "very-private"})
				return err == nil && list.Peers[0].State == control.StateConnected && list.Peers[1].State == control.StateConnected
			})
			for _, name := range []string{"ann", "bob"} { // connected a moment before a shard serves them
				until(t, name+" is served", func() bool {
					p, err := c.PeerGet(ctx, &control.PeerParams{Room: "very-private", Peer: name})
					return err == nil && p.Quality != nil
				})
			}
			for n := range uint32(10) {
				if err := ann.Send(client.Frame{Payload: client.TestFrame(1, n, 80), Timestamp: n * 960, LevelDBov: -20}); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 {
				<-got
			}
			var text string
			until(t, "the other shard is through, too", func() bool {
				text = scrape(t, e, "/metrics")
				return strings.Contains(text, `stentor_forward_drops_total{reason="own_voice"} 10`+"\n")
			})
			for _, want := range []string{
				`stentor_engine_rooms 1`,
				`stentor_engine_peers{role="speaker",state="connected"} 1`,
				`stentor_engine_peers{role="listener",state="connected"} 1`,
				`stentor_transport_received_packets_total{kind="rtp"} 10`,
				`stentor_forward_published_packets_total 10`,
				`stentor_forward_drops_total{reason="own_voice"} 10`,
				`stentor_control_calls_total{method="peer.join",reason="ok"} 2`,
				`stentor_transport_handshakes_total{result="ok"} 2`,
			} {
				if !strings.Contains(text, want+"\n") {
					t.Errorf("no line %q", want)
				}
			}
			for _, name := range []string{"very-private", "ann", "bob"} {
				if strings.Contains(text, `"`+name+`"`) {
					t.Errorf("a metric is labelled with %q", name)
				}
			}
			if ok := scrape(t, e, "/healthz"); ok != "ok\n" {
				t.Errorf("healthz says %q", ok)
			}
		})
	}
}

// until waits for something that the engine does in its own time.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in a minute: %s", what)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func scrape(t *testing.T, e *Engine, path string) string {
	t.Helper()
	web := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := web.Get(fmt.Sprintf("http://%s%s", e.HTTPAddr(), path))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
