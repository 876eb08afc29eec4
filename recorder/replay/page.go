package replay

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// gzipMin is from where on a text is compressed, in octets: below, it fits into one packet anyway.
const gzipMin = 1024

// page is a text as it goes out. Immutable.
type page struct {
	body   []byte
	gzip   []byte // nil: not worth it
	sha256 string
}

func newPage(body []byte) *page {
	sum := sha256.Sum256(body)
	p := &page{body: body, sha256: hex.EncodeToString(sum[:])}
	if len(body) < gzipMin {
		return p
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(body) // a buffer takes everything
	z.Close()
	if b.Len() < len(body) {
		p.gzip = b.Bytes()
	}
	return p
}

func (p *page) size() int64 { return int64(len(p.body) + len(p.gzip) + 256) }

// names tells whether a playlist has a line of this name.
func (p *page) names(file string) bool { return bytes.Contains(p.body, []byte("\n"+file+"\n")) }

// serve writes the page, compressed for whoever takes that. The two have an ETag each (RFC 9110 §8.8.3.3), and a range is
// one of the plain text.
func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	if p.gzip == nil || r.Header.Get("Range") != "" || !takesGzip(r.Header.Values("Accept-Encoding")) {
		h.Set("ETag", quote(p.sha256))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.body))
		return
	}
	h.Set("ETag", quote(p.sha256+"-gzip"))
	h.Set("Content-Encoding", "gzip")
	h.Set("Content-Length", strconv.Itoa(len(p.gzip))) // which ServeContent leaves to us behind a Content-Encoding
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.gzip))
}

func quote(tag string) string { return `"` + tag + `"` }

// takesGzip reads Accept-Encoding (RFC 9110 §12.5.3): gzip if it is named, else by "*", and with a weight above 0.
func takesGzip(values []string) bool {
	taken := map[string]bool{}
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		coding, parameter, _ := strings.Cut(part, ";")
		weight, weighted := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameter), " ", ""), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		taken[strings.ToLower(strings.TrimSpace(coding))] = !weighted || err == nil && q > 0
	}
	if gzip, named := taken["gzip"]; named {
		return gzip
	}
	return taken["*"]
}
