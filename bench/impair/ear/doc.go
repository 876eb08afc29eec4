// Package ear tells what a person hears of what a network has delivered: it plays the packets that a listener got as a
// receiver would, decodes them, and compares what was played, and when, with what was said.
//
//  1. Ear.Take books a packet when it comes (ear.go), after taking it apart: redundancy (RFC 2198, red.go) and the frames of a
//     packed packet (RFC 6716 §3.2). Who said a frame, and which it is, is told by its octets: those of a speech.Book, or a
//     client.TestFrame, which has no sound.
//  2. Ear.Play plays each line after the fact (line.go), as a browser's jitter buffer does: a frame each 20 ms; how long it
//     waits follows the jitter of late; what has not come in time is concealed; what waits too long is played faster.
//  3. Measure counts (measure.go): what of that which was said was played, what was concealed, the longest hole, the delay from mouth
//     to ear.
//  4. Ear.Listen plays, too, and decodes what was played by gopus, which conceals what was missing; where the tempo was raised, pieces are
//     cut out, and where it was lowered, pieces are repeated (decode.go). The lines' sum is what comes out of the loudspeaker.
//  5. Sound.Compare looks in it for the pitch of each frame that was said, in the frame's moment (compare.go, spectrum.go).
//
// It is a model of libwebrtc's NetEq, which every Chromium and Safari plays by, with its parameters where they matter
// (modules/audio_coding/neteq: delay_manager.cc, reorder_optimizer.cc, packet_arrival_history.cc, decision_logic.cc), and 20 ms for its 10. NetEq
// conceals by an expansion of its own; here the codec does.
package ear
