package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"stentor/recorder/manifest"
	"stentor/recorder/store"
)

// Config says which replays are served, and to whom.
type Config struct {
	Spool string      // the daemon's directory of recordings; it need not be there yet
	Store store.Store // where recordings go in the end; nil: they stay in the spool

	// Allow tells by an error that this visitor may not hear this recording, which need not exist: 403, or 404 for an error
	// that is fs.ErrNotExist. It is asked for every request. nil: everybody may. Where it is set, answers are for the
	// visitor's own cache alone.
	Allow func(r *http.Request, recording string) error

	// Origins are those of pages elsewhere that may read the answers ("https://spaces.example"); "*" is all, without cookies.
	Origins []string

	// Tracks has each person's own audio served too, and their names told. Without it there is the mix alone.
	Tracks bool

	Log *slog.Logger // nil: none
}

const (
	// pagesRoom is the memory for playlists and timelines, factsRoom for what is known of manifests, in octets: a recording
	// of three hours takes some 300 kB of the first and 700 kB of the second.
	pagesRoom = 64 << 20
	factsRoom = 32 << 20
	// logEvery is how often a failure is logged at the most.
	logEvery = 10 * time.Second
)

// server serves replays.
type server struct {
	config Config // Immutable.
	pages  *shelf[*page]
	known  *shelf[*facts]

	mu     sync.Mutex
	logged time.Time
	silent int // failures that were not logged since
}

// New makes the handler of replays. Its paths, below where it is mounted (http.StripPrefix):
//
//	/{recording}/index.m3u8         playlist, which grows while the recording runs
//	/{recording}/main.m3u8          the playlist of it that names the codec
//	/{recording}/init.mp4, seg-N.m4s
//	/{recording}/replay.mp4         the whole as one file, when it is finished
//	/{recording}/timeline.json      manifest.Summary: who was there and spoke when, so far
//	/{recording}/recording.json     Summary
//	/{recording}/tracks/{person}.ogg    with Config.Tracks
//
// With ?download=1 a file is saved and not played. It answers GET, HEAD and OPTIONS; ranges, conditions and ETags are those
// of RFC 9110. When the bucket cannot be reached it answers 503. It is safe for use by several goroutines and may read while
// a daemon writes.
func New(c Config) http.Handler {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &server{config: c, pages: newShelf[*page](pagesRoom), known: newShelf[*facts](factsRoom)}
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	allowed := s.cors(w.Header(), r)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		s.options(w, r, allowed)
		return
	default:
		w.Header().Set("Allow", methods)
		refuse(w, http.StatusMethodNotAllowed)
		return
	}
	n, ok := parse(r.URL.Path, s.config.Tracks)
	if !ok {
		refuse(w, http.StatusNotFound)
		return
	}
	if s.config.Allow != nil {
		if err := s.config.Allow(r, n.recording); errors.Is(err, fs.ErrNotExist) {
			refuse(w, http.StatusNotFound)
			return
		} else if err != nil {
			refuse(w, http.StatusForbidden)
			return
		}
	}
	if err := s.serve(w, r, n); err != nil {
		s.fail(w, r, n, err)
	}
}

// refuse answers without a file. Nobody keeps that: what is not there now may be in a second.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, strings.ToLower(http.StatusText(status)), status)
}

// fail answers an error, before anything else was written.
func (s *server) fail(w http.ResponseWriter, r *http.Request, n name, err error) {
	switch {
	case errors.Is(err, errNotFound):
		refuse(w, http.StatusNotFound)
		return
	case r.Context().Err() != nil:
		return // nobody reads the answer
	}
	s.complain(n, err)
	if errors.Is(err, errStore) || errors.Is(err, context.DeadlineExceeded) {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable)
		return
	}
	refuse(w, http.StatusInternalServerError)
}

func (s *server) complain(n name, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.logged) < logEvery {
		s.silent++
		return
	}
	s.config.Log.Error("a replay cannot be served", "recording", n.recording, "file", n.path, "error", err, "not_logged", s.silent)
	s.logged, s.silent = time.Now(), 0
}

// serve writes the answer; with an error nothing is written yet.
func (s *server) serve(w http.ResponseWriter, r *http.Request, n name) error {
	p, err := s.find(n.recording)
	if err != nil {
		return err
	}
	defer p.close()
	switch n.kind {
	case media, segment:
		return s.serveMedia(w, r, p, n)
	case text:
		page, err := s.text(r.Context(), p, n.path)
		return s.servePage(w, r, n, page, err)
	case timeline:
		page, err := s.timeline(r.Context(), p)
		return s.servePage(w, r, n, page, err)
	}
	f, err := s.facts(r.Context(), p)
	if err != nil {
		return err
	}
	b, err := json.Marshal(&f.told)
	return s.servePage(w, r, n, newPage(append(b, '\n')), err)
}

func (s *server) servePage(w http.ResponseWriter, r *http.Request, n name, page *page, err error) error {
	if err != nil {
		return err
	}
	content := manifest.ContentOf(n.path)
	if n.kind == timeline { // made of lines, but JSON itself
		content = manifest.ContentOf(manifest.Name)
	}
	s.describe(w.Header(), r, n, content.Type, content.Cache)
	page.serve(w, r)
	return nil
}

func (s *server) serveMedia(w http.ResponseWriter, r *http.Request, p *place, n name) error {
	known, err := s.facts(r.Context(), p)
	if err != nil && (!errors.Is(err, errNotFound) || p.root != nil) {
		return err
	}
	sum := ""
	if known != nil { // the bucket has segments before it has the manifest
		sum = known.sha256[n.path]
	}
	f, err := s.openMedia(r.Context(), p, n, sum != "")
	if err != nil {
		return err
	}
	defer f.Close()
	if sum == "" {
		sum = f.sha256
	}
	content := manifest.ContentOf(n.path)
	cache := content.Cache
	if sum == "" && n.kind != segment && n.path != initName { // it may still change
		cache = manifest.ContentOf(playlistName).Cache
	}
	s.describe(w.Header(), r, n, content.Type, cache)
	if sum == "" {
		sum = f.version
	}
	w.Header().Set("ETag", quote(sum))
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

// openMedia opens a file for as long as the request lasts. A segment of the spool is there when it is finished or when the
// playlist names it; those of the bucket are whole.
func (s *server) openMedia(ctx context.Context, p *place, n name, finished bool) (*file, error) {
	f, err := p.open(ctx, n.path)
	if err != nil || n.kind != segment || finished || f.stored {
		return f, err
	}
	list, err := s.text(ctx, p, playlistName)
	if err == nil && !list.names(path.Base(n.path)) {
		err = fmt.Errorf("segment that grows: %w", errNotFound)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// describe writes the headers that do not depend on what the file holds.
func (s *server) describe(h http.Header, r *http.Request, n name, contentType, cache string) {
	if s.config.Allow != nil {
		cache = "private, " + strings.TrimPrefix(cache, "public, ")
	}
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", cache)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.URL.Query().Get("download") == "1" {
		h.Set("Content-Disposition", `attachment; filename="`+n.download+`"`)
	}
}
