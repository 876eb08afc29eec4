// Package speech is what the speakers of a story say, made so that it can be told by its sound what of it a listener has heard.
//
// A voice is a tone that takes another pitch with every frame of 20 ms: one of eight in the speaker's own band, none that one of the
// six frames before it had. So each frame sounds like none of those around it, and what a receiver makes up for a lost
// one, which sounds like the last that came, cannot pass for it. Bands of different speakers do not touch, so that they are told apart in the sum of all.
//
//  1. tones.go chooses the pitches, from a seed that is the speaker's number: a voice is the same in all stories.
//  2. take.go encodes them by Opus (gopus, CELT, constant bitrate), once a process, and keeps the frames. The encoder predicts nothing from
//     frame to frame: a frame sounds right if and only if it came itself. What a predicting encoder smears over
//     the frames behind a loss is not in the figures.
//  3. book.go knows a frame again by its octets: no two frames are alike.
package speech
