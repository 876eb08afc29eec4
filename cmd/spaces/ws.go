package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// Bounds of one WebSocket.
const (
	messageBytesMax = 256 << 10              // an offer has some 10 KB; JSON may write a byte as six
	messageEvery    = 100 * time.Millisecond // between two messages, on average; nobody clicks faster
	messageBurst    = 40                     // at once: a page that reconnects says several things
	helloWait       = 10 * time.Second       // for a page to say who it is
	writeWait       = 10 * time.Second       // for the network to take a message
	pingEvery       = 15 * time.Second       // finds a page that went without a word; shorter than graceLost
	outMax          = 64                     // messages waiting for one page; who is later reconnects
)

// closeCode tells a page why its WebSocket ends; it does not come back after one of these (RFC 6455 §7.4.2).
type closeCode = websocket.StatusCode

const (
	closeRemoved  closeCode = 4000
	closeReplaced closeCode = 4001
	closeEnded    closeCode = 4002
	closeLeft     closeCode = 4003
	closeNoSpace  closeCode = 4004
)

// outgoing is a message to a page; with a code it is the last.
type outgoing struct {
	data []byte
	code closeCode
}

// page is one browser page in a Space. Its reader is the HTTP request's goroutine; the writer is its own.
type page struct {
	conn   *websocket.Conn
	out    chan outgoing
	wake   chan struct{} // one token: there is a newer broadcast
	cancel context.CancelFunc
}

// send queues a message for this page alone. It never waits: a page with a full queue is cut off, and comes back.
func (p *page) send(v any) { p.put(outgoing{data: encode(v)}) }

// finish queues the last message; the connection is closed after it.
func (p *page) finish(v any, code closeCode) { p.put(outgoing{encode(v), code}) }

func (p *page) put(o outgoing) {
	select {
	case p.out <- o:
	default:
		p.cancel()
	}
}

// serveWS is a page's WebSocket, from its hello to its end.
func (a *app) serveWS(w http.ResponseWriter, r *http.Request) {
	if err := a.pageIn(); err != nil {
		http.Error(w, "too many people right now", http.StatusServiceUnavailable)
		return
	}
	defer a.pageOut()
	conn, err := websocket.Accept(w, r, nil) // Refuses another site's Origin, and has answered if it failed.
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(messageBytesMax)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(a.ctx, cancel)
	defer stop()
	l := a.find(r.PathValue("id"))
	if l == nil {
		finalWord(ctx, conn, note{Type: "ended", Message: errEnded.message}, closeNoSpace)
		return
	}
	p := &page{conn: conn, out: make(chan outgoing, outMax), wake: make(chan struct{}, 1), cancel: cancel}
	a.servePage(ctx, l, p)
}

// finalWord writes one message and closes.
func finalWord(ctx context.Context, conn *websocket.Conn, n note, code closeCode) {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	if conn.Write(ctx, websocket.MessageText, encode(n)) == nil {
		_ = conn.Close(code, n.Type) // The page may be gone already.
	}
}

// servePage lets the page in and carries its messages.
func (a *app) servePage(ctx context.Context, l *live, p *page) {
	h, err := readHello(ctx, p.conn)
	if err != nil {
		finalWord(ctx, p.conn, note{Type: "error", For: "hello", Reason: "bad_message", Message: err.Error()}, websocket.StatusPolicyViolation)
		return
	}
	hi, err := l.attach(p, h)
	if err != nil {
		code := closeRemoved
		if errors.Is(err, errEnded) {
			code = closeEnded
		}
		finalWord(ctx, p.conn, errorNote("hello", err), code)
		return
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		p.write(ctx, l, hi)
	}()
	grace := a.readAll(ctx, l, p, hi.You)
	l.detach(p, hi.You, grace)
	p.cancel()
	<-written
}

// readHello is the first message.
func readHello(ctx context.Context, conn *websocket.Conn) (hello, error) {
	ctx, cancel := context.WithTimeout(ctx, helloWait)
	defer cancel()
	_, data, err := conn.Read(ctx)
	if err != nil {
		return hello{}, err
	}
	r, err := parseRequest(data)
	if err != nil {
		return hello{}, err
	}
	if r.Type != "hello" {
		return hello{}, errors.New("the first message must be hello")
	}
	return hello{session: r.Session, host: r.Host, name: r.Name}, nil
}

// readAll carries the page's messages out until it goes, and tells for how long its member may come back.
func (a *app) readAll(ctx context.Context, l *live, p *page, id string) (grace time.Duration) {
	pace := newBucket(messageEvery, messageBurst, a.now())
	for {
		_, data, err := p.conn.Read(ctx)
		if err != nil {
			return graceLost
		}
		if !pace.take(a.now()) {
			_ = p.conn.Close(websocket.StatusPolicyViolation, "too many messages") // The page may be gone already.
			return graceLost
		}
		r, err := parseRequest(data)
		if err != nil {
			p.send(note{Type: "error", Reason: "bad_message", Message: err.Error()})
			continue
		}
		if r.Type == "bye" {
			return graceClosed
		}
		if err := a.carryOut(l, p, id, r); err != nil {
			p.send(errorNote(r.Type, err))
		}
	}
}

// carryOut does what a page asks.
func (a *app) carryOut(l *live, p *page, id string, r *request) error {
	now := a.now()
	switch r.Type {
	case "offer":
		l.offered(p, id, &offer{sdp: r.SDP, restart: r.Restart, n: r.N})
		return nil
	case "ask":
		return l.act("", func(s *Space) error { return s.Ask(id, *r.On) })
	case "mic":
		return l.act(id, func(s *Space) error { return s.SetMic(id, *r.On) })
	case "record":
		return l.act("", func(s *Space) error { return s.Record(id, *r.On) })
	case "admit":
		return l.act(r.Member, func(s *Space) error { return s.Admit(id, r.Member) })
	case "decline":
		return l.act("", func(s *Space) error { return s.Decline(id, r.Member) })
	case "mute":
		return l.act(r.Member, func(s *Space) error { return s.Mute(id, r.Member) })
	case "demote":
		return l.act(r.Member, func(s *Space) error { return s.Demote(id, r.Member) })
	case "remove":
		return l.put(r.Member, func(s *Space) error { return s.Remove(id, r.Member, now) },
			note{Type: "removed", Message: "The host removed you from this Space."}, closeRemoved)
	case "leave":
		return l.put(id, func(s *Space) error { return s.Leave(id, now) }, note{Type: "left"}, closeLeft)
	case "end":
		return l.end("The host ended this Space.", func(s *Space) error { return s.End(id) })
	}
	return &denial{"bad_message", "hello was already said"}
}

// errorNote tells a page why something was refused.
func errorNote(what string, err error) note {
	var d *denial
	if errors.As(err, &d) {
		return note{Type: "error", For: what, Reason: d.reason, Message: d.message}
	}
	return note{Type: "error", For: what, Reason: "internal", Message: "That did not work."}
}

// write sends the page its welcome, then what is for it alone and the newest broadcast, until it is over.
func (p *page) write(ctx context.Context, l *live, hi welcome) {
	defer p.cancel() // Wakes the reader.
	if p.writeOne(ctx, encode(hi)) != nil {
		return
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	var seen broadcast
	var you personView
	poke(p.wake)
	for {
		var err error
		select {
		case o := <-p.out:
			if err = p.writeOne(ctx, o.data); err == nil && o.code != 0 {
				_ = p.conn.Close(o.code, "") // The page may be gone already.
				return
			}
		case <-p.wake:
			err = p.writeNews(ctx, l, hi.You, &seen, &you)
		case <-ping.C:
			err = p.ping(ctx)
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// writeNews brings the page from what it has seen to what is.
func (p *page) writeNews(ctx context.Context, l *live, id string, seen *broadcast, you *personView) error {
	b, now, ok := l.latest(id)
	if !ok {
		return nil // He is out; the last message says so.
	}
	if now != *you {
		*you = now
		if err := p.writeOne(ctx, encode(youView{"you", now})); err != nil {
			return err
		}
	}
	switch {
	case b.stateN != seen.stateN: // It says who speaks, too.
		*seen = b
		return p.writeOne(ctx, b.state)
	case b.voiceN != seen.voiceN:
		*seen = b
		return p.writeOne(ctx, b.voice)
	}
	return nil
}

func (p *page) writeOne(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	return p.conn.Write(ctx, websocket.MessageText, data)
}

func (p *page) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	return p.conn.Ping(ctx)
}
