// Package recorder keeps what is said in a room: a track of each person, a timeline, and a replay that can be heard while the
// room is live.
//
// A Recorder holds the recordings of a daemon and the spool that they are made in. A room that is recorded, or whose mix
// somebody follows, has a Desk. The data plane gives the desk every packet that the room's people may send, without ever
// waiting (Ring); the desk puts them on the room's one timeline (package align), mixes what was heard (package mix), and
// queues both for the recording, whose own goroutine writes them down (packages ogg, cmaf, manifest). When a recording has
// ended, in whatever way, it is finished from what is on the disk, and brought to the store (package store).
//
// Nothing that is lost is hidden: a full ring, a slow disk, a crash each leave silence in the files, a mark in the timeline and in the
// manifest, and an event.
package recorder
