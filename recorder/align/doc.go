// Package align places each person's packets on the room's one timeline, for hours. It is pure logic: no clock, no I/O,
// and nothing allocated once a Track is made.
//
// A packet's place is its timestamp plus an offset, which maps the sender's clock to the room's. The offset is not known;
// what is known of each packet is when it arrived, and that a network only delays. So the line beneath all
// (arrival, arrival − timestamp) is the mapping, and its slope the drift of the sender's clock (clock.go). A network that
// stalls and then delivers everything at once leaves the line where it is. A clock that was set, or stood still
// while nothing was sent, gives a new line (track.go: packets are held for 100 ms until it is clear which).
//
// Opus packets cannot be cut, and lie end to end in a file. What is missing between two is filled with packets of our
// making (fill.go): zeros where nothing was said, frames of no octets for the decoder to conceal where a packet was lost. The
// error that remains for want of a finer step than 10 ms is tolerated up to 7.5 ms and then corrected, sooner in a
// quiet packet (place.go).
package align
