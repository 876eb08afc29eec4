// Package sdp reads a browser's offer and writes the answer of an audio server: ICE-lite, DTLS passive, one
// transport for everything (BUNDLE, RFC 9143), RTP and RTCP on one port (RFC 5761), Opus alone (RFC 7587), with
// redundancy where it is offered (RFC 2198).
//
// # From offer to answer
//
//  1. scan cuts the text into lines and remembers where each stood, so that every complaint can name its line.
//     pion/sdp then checks the grammar and reads the m= lines; when it refuses, its first refused line is found by
//     bisection.
//  2. ParseOffer reads mids and the BUNDLE group first, because they decide which m-sections can be served at all.
//     A section that cannot be (video, data, no Opus, outside the group, switched off by the client) is Rejected,
//     and what it says of codecs is not looked at: a client may offer what it likes there.
//  3. What is left must be right: Opus, header extensions, rtcp-mux per section; ICE credentials, certificate
//     fingerprint and DTLS role once for the whole transport.
//  4. Answer gives every m-section its counterpart, in the same order (RFC 3264 §6).
//
// # Lines and slots
//
// A client offers one line that it may send on (its uplink) and as many lines as it can receive on (its downlinks).
// The first downlink carries the room's slot 0, the next slot 1, and so on. The uplink usually is a downlink too.
// A listener offers the same sendrecv line as a speaker, without a track on it: to be called up to speak then needs
// no second offer. Lines beyond the room's slots, and second sending lines, are answered inactive, not rejected:
// a rejected line would be lost to the client for good, an inactive one is merely silent.
//
// A client that offers video or data all the same should put its audio line first: Chromium with bundlePolicy
// max-bundle refuses any answer that rejects the line that opens the BUNDLE group (seen with Chromium 156; with its
// default policy, and in Firefox, the order does not matter).
//
// # What the answer never does
//
// Nothing of the offer is repeated in the answer but what was checked to be a token, a number or a word of a closed
// list. So no offer can put a line of its own into an answer.
package sdp
