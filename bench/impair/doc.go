// Package impair plays stories of a listener whose network is in trouble, and tells what that person heard and whether
// anybody else noticed.
//
// The way of a story:
//
//  1. scenario reads it; All has those that come along. speech says what the speakers will say: real Opus, of which each frame can be
//     told by its sound.
//  2. Play opens a room in a whole engine, lets the listeners and the speakers of the story come in one after the other, and then
//     lets the speakers talk while the network of the first listener follows the story (play.go, cast.go).
//  3. All that happens on a simulated network (virtual.go), in virtual time when called in a bubble (bubble.go), or over
//     loopback sockets in real time, where a Relay stands before the impaired listener (loopback.go, relay.go).
//  4. model decides what becomes of each datagram; a meter keeps account (meter.go).
//  5. ear plays and decodes what came; Run has the figures (run.go), counted and by sound. Compare plays a story with the controller off and on, each also
//     without the impairment, and holds the figures against what must be (compare.go); InSeries does so over several seeds
//     (seeds.go).
//
// From one seed, virtual time gives the same figures each time: nothing that decides depends on what else the machine does.
package impair
