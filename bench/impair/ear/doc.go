// Package ear tells what a person hears of what a network has delivered: it plays the packets that a listener got as a
// receiver would, and compares what was played, and when, with what was said.
//
//  1. Ear.Take books a packet when it comes (ear.go), after taking it apart: redundancy (RFC 2198, red.go) and the frames of a
//     packed packet (RFC 6716 §3.2, opus.go). What a frame says who said it, and when, since it is a client.TestFrame.
//  2. Ear.Play plays each line after the fact (line.go), as a browser's jitter buffer does: a frame each 20 ms; how long it
//     waits follows the jitter of late; what has not come in time is concealed; what waits too long is played faster.
//  3. Measure compares with what was said (measure.go): heard, concealed, the longest hole, the delay from mouth to ear.
//
// It is a model of libwebrtc's NetEq, which every Chromium and Safari plays by, with its parameters where they matter
// (modules/audio_coding/neteq: delay_manager.cc, reorder_optimizer.cc, packet_arrival_history.cc, decision_logic.cc), and 20 ms for its 10.
package ear
