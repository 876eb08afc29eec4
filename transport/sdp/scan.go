package sdp

import (
	"errors"
	"sort"
	"strconv"
	"strings"

	pion "github.com/pion/sdp/v3"
)

// attribute is one a= line and where it stood.
type attribute struct {
	line       int // 1-based
	key, value string
}

// section is the session part of an offer or one of its m-sections.
type section struct {
	line       int // of the m= line; 0 for the session part
	media      pion.MediaName
	attributes []attribute
}

// first returns the first attribute of that name.
func (s *section) first(key string) (attribute, bool) {
	for _, a := range s.attributes {
		if a.key == key {
			return a, true
		}
	}
	return attribute{}, false
}

func (s *section) has(key string) bool {
	_, ok := s.first(key)
	return ok
}

// scan cuts an offer into its session part and its m-sections, each attribute with its line.
func scan(text string) (session section, media []section, err error) {
	at := &session
	for rest, n := text, 1; rest != ""; n++ {
		var l string
		l, rest, _ = strings.Cut(rest, "\n")
		l = strings.TrimSuffix(l, "\r")
		if l == "" {
			continue // as pion does; some applications leave one at the end
		}
		if err := checkShape(l, n); err != nil {
			return session, nil, err
		}
		switch l[0] {
		case 'm':
			if len(media) == MaxLines {
				return session, nil, unsupported(n, "more than "+strconv.Itoa(MaxLines)+" m= sections")
			}
			media = append(media, section{line: n})
			at = &media[len(media)-1]
		case 'a':
			key, value, _ := strings.Cut(l[2:], ":")
			at.attributes = append(at.attributes, attribute{line: n, key: key, value: value})
		}
	}
	return session, media, checkGrammar(text, media)
}

// checkShape wants "<letter>=<value>" without control characters that would end or hide a line.
func checkShape(l string, n int) error {
	if len(l) < 2 || l[0] < 'a' || l[0] > 'z' || l[1] != '=' {
		return invalid(n, quote(l)+" is not of the form <letter>=<value>")
	}
	if strings.ContainsAny(l, "\r\x00") {
		return invalid(n, quote(l)+" holds a carriage return or NUL in its middle")
	}
	return nil
}

// checkGrammar has pion read the whole, and takes from it what the m= lines say.
func checkGrammar(text string, media []section) error {
	if !strings.HasSuffix(text, "\n") {
		text += "\r\n"
	}
	var d pion.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return grammarError(text, err)
	}
	if len(d.TimeDescriptions) == 0 {
		return invalid(0, "the offer ends before its t= line")
	}
	if len(media) == 0 {
		return unsupported(0, "the offer has no m= section; add an audio transceiver before createOffer")
	}
	for i, m := range d.MediaDescriptions {
		media[i].media = m.MediaName
		if err := checkFormats(&media[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkFormats wants at least one format, all tokens: the first is repeated in the answer.
func checkFormats(s *section) error {
	if len(s.media.Formats) == 0 {
		return invalid(s.line, "m= without a format")
	}
	for _, f := range s.media.Formats {
		if !made(f, 1, 32, isTokenChar) {
			return invalid(s.line, "m=: format "+quote(f)+" is not a token of 1 to 32 characters")
		}
	}
	return nil
}

// grammarError finds the line at which pion stopped. pion reads line by line and never looks back, so the shortest
// refused beginning of the text ends with the line that is wrong: some seven more attempts for a usual offer.
func grammarError(text string, cause error) error {
	lines := strings.SplitAfter(text, "\n")
	ends := make([]int, len(lines))
	end := 0
	for i, l := range lines {
		end += len(l)
		ends[i] = end
	}
	n := sort.Search(len(lines), func(i int) bool {
		var d pion.SessionDescription
		return d.UnmarshalString(text[:ends[i]]) != nil
	})
	if n == len(lines) {
		return invalid(0, plain(cause))
	}
	return invalid(n+1, quote(strings.TrimRight(lines[n], "\r\n"))+": "+plain(cause))
}

// plainMax is how much of pion's reason is told.
const plainMax = 160

// plain puts pion's reason in words that help without its source at hand.
func plain(cause error) string {
	msg := strings.TrimPrefix(cause.Error(), "sdp: ")
	if strings.HasPrefix(msg, "syntax error") || errors.Unwrap(cause) == nil {
		return "malformed, or out of the order v o s t a m (RFC 8866 §5)"
	}
	if len(msg) > plainMax { // it quotes the offer
		msg = strings.ToValidUTF8(msg[:plainMax], "") + "…"
	}
	return msg
}
