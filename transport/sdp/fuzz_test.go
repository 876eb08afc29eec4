package sdp

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// FuzzParseOffer holds that no text makes the package panic, that every error is an *Error that fits a log line and
// names a line that exists, and that whatever is taken for an offer gets a proper answer.
func FuzzParseOffer(f *testing.F) {
	for _, name := range fixtures(f) {
		f.Add(fixture(f, name))
	}
	for _, c := range wrong {
		if len(c.offer) < 8<<10 {
			f.Add(c.offer)
		}
	}
	f.Add(base)
	f.Add(offerOf("video", "sendrecv", "outside", "bundle-only", "-", "inactive"))
	f.Fuzz(func(t *testing.T, text string) { checkOffer(t, text) })
}

// checkOffer holds the promises for any text, and tells whether it was served.
func checkOffer(t *testing.T, text string) (served bool) {
	t.Helper()
	o, err := ParseOffer(text)
	if err != nil {
		var e *Error
		if o != nil || !errors.As(err, &e) {
			t.Fatalf("offer %v with the error %T", o, err)
		}
		if e.Line < 0 || e.Line > 1+strings.Count(text, "\n") {
			t.Fatalf("line %d of %d", e.Line, 1+strings.Count(text, "\n"))
		}
		if e.Msg == "" || len(e.Msg) > 500 || strings.ContainsAny(e.Msg, "\r\n") {
			t.Fatalf("message %q", e.Msg)
		}
		return false
	}
	if o.CheckRestart(o) == nil {
		t.Fatal("an offer is a restart of itself")
	}
	for _, slots := range []int{0, 3} {
		checkAnswer(t, o, answer(t, o, slots))
	}
	return true
}

// A byte-wise fuzzer seldom makes another legal offer of a legal one; moving whole lines about does.
func TestMangledOffersAreAnsweredOrRefused(t *testing.T) {
	var offers [][]string
	for _, name := range fixtures(t) {
		offers = append(offers, strings.SplitAfter(fixture(t, name), "\n"))
	}
	random := rand.New(rand.NewPCG(3, 4))
	served := 0
	for range 1000 {
		lines := slices.Clone(offers[random.IntN(len(offers))])
		for range 1 + random.IntN(3) {
			at := random.IntN(len(lines))
			other := offers[random.IntN(len(offers))]
			switch random.IntN(4) {
			case 0:
				lines[at] = ""
			case 1:
				lines[at] += lines[at]
			case 2:
				lines[at] += other[random.IntN(len(other))]
			case 3:
				to := random.IntN(len(lines))
				lines[at], lines[to] = lines[to], lines[at]
			}
		}
		if checkOffer(t, strings.Join(lines, "")) {
			served++
		}
	}
	if served < 100 || served > 975 {
		t.Errorf("%d of 1000 mangled offers were served; both ways are to be walked", served)
	}
}
