package replay

import (
	"net/http"
	"slices"
)

const (
	methods = "GET, HEAD, OPTIONS"
	// askHeaders are what a page's script may send: players send Range, and an app server may want a token.
	askHeaders = "Range, If-Range, If-None-Match, If-Match, Authorization"
	// seeHeaders are what it may read of the answer.
	seeHeaders = "Accept-Ranges, Content-Length, Content-Range, Content-Encoding, ETag"
	// preflightAge is for how long a browser remembers the answer to a preflight, in seconds: the most that Chromium takes.
	preflightAge = "7200"
)

// cors says who may read the answer (Fetch §3.2). An origin that is named may also send cookies, "*" may not.
func (s *server) cors(to http.Header, r *http.Request) (allowed bool) {
	if len(s.config.Origins) == 0 {
		return false
	}
	origin := r.Header.Get("Origin")
	if slices.Contains(s.config.Origins, "*") {
		to.Set("Access-Control-Allow-Origin", "*")
	} else {
		to.Add("Vary", "Origin")
		if origin == "" || !slices.Contains(s.config.Origins, origin) {
			return false
		}
		to.Set("Access-Control-Allow-Origin", origin)
		to.Set("Access-Control-Allow-Credentials", "true")
	}
	to.Set("Access-Control-Expose-Headers", seeHeaders)
	return true
}

// options answers OPTIONS: a preflight, or the plain question.
func (s *server) options(w http.ResponseWriter, r *http.Request, allowed bool) {
	h := w.Header()
	h.Set("Allow", methods)
	if allowed && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", askHeaders)
		h.Set("Access-Control-Max-Age", preflightAge)
	}
	w.WriteHeader(http.StatusNoContent)
}
