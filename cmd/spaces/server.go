package main

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
)

// webFiles is the page: no build step, nothing from another site.
//
//go:embed web
var webFiles embed.FS

// startBytesMax bounds the request that starts a Space: a title and a name.
const startBytesMax = 4 << 10

// routes is the whole HTTP side of the app.
func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	files := staticFiles()
	mux.Handle("GET /{$}", files.page("index.html"))
	mux.Handle("GET /s/{id}", files.page("index.html"))
	mux.Handle("GET /web/{name}", files)
	mux.HandleFunc("GET /api/spaces", a.serveList)
	mux.HandleFunc("POST /api/spaces", a.serveStart)
	mux.HandleFunc("GET /api/spaces/{id}", a.serveCard)
	mux.HandleFunc("GET /s/{id}/ws", a.serveWS)
	mux.Handle("GET /r/{id}", files.page("index.html"))
	mux.HandleFunc("GET /api/replays", a.serveReplays)
	mux.HandleFunc("GET /api/replays/{id}", a.serveReplay)
	mux.HandleFunc("DELETE /api/replays/{id}", a.serveDelete)
	mux.Handle("/replay/", http.StripPrefix("/replay", a.library))
	// A page of another site cannot start Spaces through a visitor's browser.
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

// hostShape is what a Host header may look like to be named in the policy.
var hostShape = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]{1,255}$`)

// secured sets the headers that keep the page to itself. connect-src names the WebSocket's address besides 'self'
// because older browsers do not count it in.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sockets := ""
		if hostShape.MatchString(r.Host) {
			sockets = " ws://" + r.Host + " wss://" + r.Host
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; connect-src 'self'"+sockets+
			"; media-src 'self' blob: mediastream:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("Permissions-Policy", "microphone=(self), camera=(), geolocation=()")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// static holds the embedded files with their tags: a new version of the app is seen at once, and nothing is sent twice.
type static map[string]staticFile

type staticFile struct {
	body      []byte
	tag, kind string
}

// kinds of the files that there are.
var kinds = map[string]string{
	"html": "text/html; charset=utf-8",
	"css":  "text/css; charset=utf-8",
	"js":   "text/javascript; charset=utf-8",
	"svg":  "image/svg+xml",
	"mjs":  "text/javascript; charset=utf-8",
	"txt":  "text/plain; charset=utf-8",
}

// staticFiles reads the embedded files.
func staticFiles() static {
	s := make(static)
	err := fs.WalkDir(webFiles, "web", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := webFiles.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		ext := strings.TrimPrefix(path.Ext(d.Name()), ".")
		s[d.Name()] = staticFile{body, `"` + hex.EncodeToString(sum[:8]) + `"`, kinds[ext]}
		return nil
	})
	if err != nil {
		panic("read the embedded files: " + err.Error()) // They are part of the program.
	}
	return s
}

// page serves one file at a fixed place.
func (s static) page(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, name) })
}

// ServeHTTP serves /web/{name}.
func (s static) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r, r.PathValue("name")) }

func (s static) serve(w http.ResponseWriter, r *http.Request, name string) {
	f, ok := s[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(f.body) // The browser may have gone.
}

// serveList answers with the live Spaces.
func (a *app) serveList(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"spaces": a.cards(), "media": a.isUp(), "record": a.mayRecord()})
}

// serveCard answers with one Space, for its door.
func (a *app) serveCard(w http.ResponseWriter, r *http.Request) {
	l := a.find(r.PathValue("id"))
	if l == nil {
		reply(w, http.StatusNotFound, errorNote("", errEnded))
		return
	}
	l.mu.Lock()
	card := l.space.card()
	l.mu.Unlock()
	reply(w, http.StatusOK, card)
}

// serveStart starts a Space.
func (a *app) serveStart(w http.ResponseWriter, r *http.Request) {
	var p struct {
		Title  string `json:"title"`
		Name   string `json:"name"`
		Record bool   `json:"record"`
	}
	if err := decodeStrictly(http.MaxBytesReader(w, r.Body, startBytesMax), &p); err != nil {
		reply(w, http.StatusBadRequest, note{Type: "error", Reason: "bad_message", Message: err.Error()})
		return
	}
	id, token, err := a.start(r.Context(), p.Title, p.Name, p.Record)
	if err != nil {
		reply(w, statusOf(err), errorNote("start", err))
		return
	}
	reply(w, http.StatusCreated, map[string]string{"id": id, "host": token})
}

// statusOf is the HTTP status of a refusal.
func statusOf(err error) int {
	var d *denial
	if !errors.As(err, &d) {
		return http.StatusInternalServerError
	}
	switch d.reason {
	case "no_replay":
		return http.StatusNotFound
	case "not_host":
		return http.StatusForbidden
	case "media_down", "full", "not_recorded":
		return http.StatusServiceUnavailable
	case "too_fast":
		return http.StatusTooManyRequests
	}
	return http.StatusBadRequest
}

// decodeStrictly reads one JSON object: no unknown field, nothing after it.
func decodeStrictly(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("not a request: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("not a request: more after its end")
	}
	return nil
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(encode(v)) // The browser may have gone.
}
