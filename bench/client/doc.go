// Package client is a participant of a Stentor room, as small as it can be while being real: it makes an offer of
// Chromium's shape, checks connectivity as ICE's controlling agent, shakes hands by DTLS, and sends and receives SRTP.
// The engine's tests run it in virtual time over transport/simnet; the load generator runs many over UDP.
//
// A client's life, in the order of the files:
//
//  1. New takes a transport.Conn over and starts the one goroutine of the client, the reader (reader.go).
//  2. Offer writes the SDP (offer.go); Connect reads the answer (answer.go),
//  3. checks the candidates (ice.go, RFC 8445, with the retransmissions of RFC 8489 §6.2.1),
//  4. shakes hands (dtls.go) and takes the SRTP keys from it (RFC 5764).
//  5. Send and SendRTCP seal and send on the caller's goroutine (send.go); the reader opens what comes and gives it to
//     OnPacket and OnRTCP (receive.go), keeping book for each SSRC (stream.go). Every second it reports, if asked to
//     (report.go); every 5 seconds it renews consent (RFC 7675). Stamped packets are fed back (twcc.go).
//  6. Close says goodbye (DTLS close_notify) and waits; Abort leaves without a word, as a crash does.
//
// The reader also runs all timers, by the deadline of its ReadBatch; other goroutines interrupt it when they have set
// a new one. DTLS alone has goroutines of its own: pion's.
//
// TestFrame (opusgen.go) makes Opus packets that say who speaks and which frame it is, so that a test can tell what is
// heard without a codec.
package client
