package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"path"
	"strings"
)

const (
	keyMax     = 1024 // bytes, of S3
	elementMax = 200  // bytes; a file's name has 255, and a partial file's is longer than its object's
)

// partialPrefix begins the name of a file that is not whole yet. No key has it.
const partialPrefix = ".partial-"

// CheckKey says what is wrong with a key. A key is slash-separated, without empty, "." or ".." elements, of valid UTF-8
// without control characters or backslashes, at most 1024 bytes long, each element at most 200.
func CheckKey(key string) error {
	switch {
	case key == "" || key == "." || !fs.ValidPath(key):
		return fmt.Errorf("key %q is not a clean relative path", key)
	case len(key) > keyMax:
		return fmt.Errorf("key of %d bytes is longer than %d", len(key), keyMax)
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return fmt.Errorf("key %q has a character that keys may not have", key)
	}
	for element := range strings.SplitSeq(key, "/") {
		if len(element) > elementMax {
			return fmt.Errorf("key %q has an element longer than %d bytes", key, elementMax)
		}
		if strings.HasPrefix(element, partialPrefix) {
			return fmt.Errorf("key %q: %s is for files that are not whole", key, partialPrefix)
		}
	}
	return nil
}

// checkPrefix accepts "" and keys with a slash behind them.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	dir, ok := strings.CutSuffix(prefix, "/")
	if !ok {
		return fmt.Errorf("prefix %q has no slash at its end", prefix)
	}
	return CheckKey(dir)
}

// checkRecording accepts what is a directory's name in the spool and not hidden.
func checkRecording(recording string) error {
	if strings.Contains(recording, "/") || strings.HasPrefix(recording, ".") {
		return fmt.Errorf("recording %q cannot be the name of a directory", recording)
	}
	return CheckKey(recording)
}

func (p Properties) check() error {
	if p.Size < 0 {
		return fmt.Errorf("size %d is negative", p.Size)
	}
	if b, err := hex.DecodeString(p.SHA256); err != nil || len(b) != 32 || strings.ToLower(p.SHA256) != p.SHA256 {
		return errors.New("sha256 is not 64 lower-case hexadecimal digits")
	}
	return nil
}

// contentTypes are those of a recording's files; a system's own table rarely knows them.
var contentTypes = map[string]string{
	".m3u8":  "application/vnd.apple.mpegurl", // RFC 8216 §4
	".m4s":   "audio/mp4",                     // segments hold audio alone
	".mp4":   "audio/mp4",
	".ogg":   "audio/ogg", // RFC 7845 §9
	".json":  "application/json",
	".jsonl": "application/jsonl",
}

// contentType is what p says, or the key's extension.
func contentType(key string, p Properties) string {
	ext := path.Ext(key)
	for _, t := range []string{p.ContentType, contentTypes[ext], mime.TypeByExtension(ext)} {
		if t != "" {
			return t
		}
	}
	return "application/octet-stream"
}
