// Package replay serves the replays of recordings over HTTP, for app servers to mount. It reads the daemon's spool and the
// bucket behind it and writes nowhere, so it runs in any process that may read them; the daemon need not run.
//
// A request's way:
//
//  1. Method, cross-origin rules, path: what is no name of a replay's file is not there (name.go, cors.go).
//  2. Config.Allow: may this visitor hear this recording?
//  3. The spool's directory, if there is one: a tombstone in it ends the request (place.go). The manifest tells checksums
//     and what the page is told of the recording (facts.go).
//  4. The file: from the spool, else from the bucket. A segment that the spool's playlist does not name yet is still being
//     written, and is not there.
//  5. Audio goes out by http.ServeContent, with ranges (RFC 9110 §14). Playlists and timelines are small texts that many ask
//     for at once: they are read once for each state of theirs, compressed, and kept in bounded memory (shelf.go, page.go).
//
// Nothing is locked while octets go out: a slow visitor holds an open file, or a text that others share.
package replay
