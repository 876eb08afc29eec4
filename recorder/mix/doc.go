// Package mix makes one stream of what a room hears: it decodes the sources that are heard, levels and sums them, keeps
// the sum below clipping and encodes it once, in packets of 20 ms, mono, on the room's timeline.
//
// All positions are samples at 48 kHz since the recording's start. The mixer keeps no clock and has no randomness: the
// same pieces and the same calls give the same octets, as fast as the machine goes. So the live mix and the one that
// is made anew from the tracks are the same code.
//
// The path of a piece, in order:
//
//  1. Put: a piece of a source, an Opus packet or a filler, waits in that source's queue (queue.go).
//  2. Mix: for every 20 ms each source gives its samples (source.go). One that begins to sound is given a voice, which
//     is a decoder and its output (voice.go). Joints, beginnings and ends are smoothed, loss is concealed.
//  3. Its gain is one for the person, found slowly from what they say (level.go).
//  4. The sum goes through a limiter that looks 5 ms ahead (limiter.go).
//  5. The encoder runs, or, where nobody sounds, does not: that frame is opus.Quiet (tail.go).
//
// What limiter and encoder delay is made up for: the sum is made that much ahead, so a packet's samples are those of
// its own position, and its container declares a pre-skip of PreSkip, which is 0. Therefore pieces are to be put as far as
// Mixer.Ahead beyond what is asked for.
//
// A Mixer belongs to one goroutine.
package mix
