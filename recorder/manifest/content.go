package manifest

import "path"

// Content is how a file of a recording is served and stored.
type Content struct {
	Type  string // media type
	Cache string // Cache-Control
	Grows bool   // its content changes while the recording runs
}

const (
	// cacheForever is for files that never change once they have their name.
	cacheForever = "public, max-age=31536000, immutable"
	// cacheChecked is for those that do: a cache keeps them, and asks each time whether they are still so.
	cacheChecked = "no-cache"
)

// ContentOf tells by a file's name. The type of a playlist is that of RFC 8216 §4, those of audio are the ones that browsers
// take; Apple wants audio/mp4 for segments as well.
func ContentOf(name string) Content {
	switch path.Ext(name) {
	case ".m3u8":
		return Content{"application/vnd.apple.mpegurl", cacheChecked, true}
	case ".m4s", ".mp4":
		return Content{"audio/mp4", cacheForever, false}
	case ".ogg":
		return Content{"audio/ogg", cacheChecked, false}
	case ".jsonl":
		return Content{"application/x-ndjson", cacheChecked, true}
	case ".json":
		return Content{"application/json", cacheChecked, true}
	}
	return Content{"application/octet-stream", cacheChecked, true}
}
