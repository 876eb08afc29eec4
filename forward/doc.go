// Package forward is the data plane: what comes from speakers is put in order, chosen, and sent to every listener.
//
// A packet's way through the files:
//
//  1. reader.go: the Reader, one goroutine, polls the endpoint and decrypts a packet into its source's arena.
//  2. source.go, window.go, restore.go: sequence and timestamp are extended, the order is mended, what was lost comes back.
//  3. speech.go: silence and discontinuous transmission end here, before fan-out.
//  4. selection.go: a speaking source gets one of the room's slots, or is not heard.
//  5. room.go: the slot's sequence and the room's clock are written once, and the packet is published.
//     pack.go and redundancy.go make, once per room, what listeners in trouble are sent instead.
//  6. program.go: the ring that all listeners of the room follow with cursors. Nobody frees a packet.
//  7. shard.go: each shard, one goroutine, follows the programs of its rooms.
//  8. leg.go: wanted? allowed? header, seal, commit, for each listener.
//
// Back: rtcp.go reads what listeners and speakers report, and writes sender and receiver reports and BYE. adapt.go tells package
// cc what a listener says, and obeys it: less, or more often. resend.go sends again what is asked for or known to be lost,
// copies.go everything twice. busy.go counts the time that all of it takes, for the node to protect itself.
//
// The Reader owns rooms and sources, a shard owns its legs; the control plane changes either by a command in the
// owner's queue. Time comes in as an argument.
package forward
