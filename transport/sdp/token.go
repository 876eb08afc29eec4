package sdp

import (
	"strconv"
	"strings"
)

// maxQuote bounds what an error repeats of an offer: enough to find the place, too little to fill a log.
const maxQuote = 48

// isTokenChar holds for token-char of RFC 8866 §9: visible ASCII without the separators.
func isTokenChar(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]`, rune(c))
}

// isICEChar holds for ice-char of RFC 8839 §5.1: letters, digits, "+" and "/".
func isICEChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}

// made says that s has min to max bytes, all of a kind.
func made(s string, min, max int, of func(byte) bool) bool {
	if len(s) < min || len(s) > max {
		return false
	}
	for i := range len(s) {
		if !of(s[i]) {
			return false
		}
	}
	return true
}

// asToken makes a token of at most max bytes of any text; what is no token-char becomes "_".
func asToken(s string, max int) string {
	b := []byte(s[:min(len(s), max)])
	for i, c := range b {
		if !isTokenChar(c) {
			b[i] = '_'
		}
	}
	return string(b)
}

// quote shows a piece of the offer in an error, shortened and with control characters escaped.
func quote(s string) string {
	if len(s) > maxQuote {
		return strconv.Quote(s[:maxQuote]) + "…"
	}
	return strconv.Quote(s)
}

// number reads a decimal number of at most max. A sign, a leading "+" or an empty string is none.
func number(s string, max uint64) (uint64, bool) {
	if s == "" || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= max
}
