// Package cc decides, listener by listener, what a network can carry: congestion control made for audio, which has few
// packets (8 to 150 a second), little rate (20 to 200 kb/s) and levers of its own instead of a target bit rate.
//
// The story of a listener:
//
//  1. ladder.go: a Ladder is made when the leg is. Its packets are stamped with transport-wide sequence numbers for the
//     first healthy seconds, then not any more: who is healthy costs no feedback.
//  2. reports.go: receiver reports (RFC 3550 §6.4) keep an eye on the healthy. Loss, jitter or round-trip time that
//     grew raise suspicion, and the leg is in doubt: stamped again.
//  3. feedback.go, doubt.go, trend.go: in doubt every packet sent is remembered, and what the listener says of it
//     (draft-holmer-rmcat-transport-wide-cc-extensions-01) becomes a delay trend, a standing queue, loss and a rate.
//  4. judge.go: evidence becomes a move. Loss that does not depend on our rate adds redundancy (RED, RFC 2198); delay or
//     loss that does goes down the ladder, to the rung that the measured rate can carry.
//     Who takes no RED gets every packet twice instead (copies.go).
//  5. probe.go: a short train of padding measures whether the next rung up would fit, before anybody hears a failed try.
//  6. trial.go: every move is an experiment. What it was to mend is compared before and after; a step down that
//     mended nothing is taken back, a step up that broke something too, each with a longer wait before the next one.
//  7. blind.go: the same with receiver reports alone, for who does not answer with feedback.
//  8. history.go: what a leg was sent of late, and which of it is sent again when feedback or a NACK (nack.go, RFC 4585
//     §6.2.1) says that it is missing.
//
// percentile.go is for the other direction: how much loss a speaker's Opus encoder should brace for.
//
// Nothing here reads a clock, waits, locks or does I/O: every method takes now. A Ladder is owned by its leg's shard.
package cc
