// Command spaces is the reference app server: the whole Spaces experience in a web page, on the control protocol.
//
// The app server owns people, names and rules; the engine owns the media. What happens to a click:
//
//  1. The page sends one small JSON message over its WebSocket (ws.go reads and checks it).
//  2. The Space decides: who may do it, and what is true afterwards (space.go, member.go: state, no I/O, no clock).
//  3. Two goroutines of that Space follow the state. drive (drive.go) makes the engine agree with it, one call
//     after the other: a peer's rights are compared with what the engine was last told, and the difference is sent.
//     publish (live.go) encodes the state once for everybody, at most ten times a second, and wakes the pages.
//  4. What the engine tells (speaking, connected, left) comes back through the Watcher (watch.go) into the same state.
//
// Because step 3 compares instead of replaying, a lost daemon, a lost WebSocket and a double click all end in the
// same place: the engine and the pages agree with the Space again.
//
// A recording is part of that state: the host's wish, and what runs (record.go). What the recorder does not know, titles
// and names, is in the archive (archive.go), a file for each recording, which outlives the app; with it the page lists,
// serves and deletes replays (replays.go).
//
// Without --control the command runs an engine inside itself on a private socket (embedded.go); the way from the app
// to the engine is the same socket protocol in both cases.
package main
