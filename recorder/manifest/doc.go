// Package manifest says what a recording consists of, and whether that is true: the manifest (one JSON object,
// manifest.json), the timeline (one JSON object a line, timeline.jsonl), and the verification of both against the files
// beside them.
//
// A manifest never claims more than is on the disk. While a recording runs it says up to where everything is safe (safe_s)
// and gives no checksum for a file that still grows; a ready one has a checksum for every file. Save replaces it in one
// step, so that a crash leaves the old one or the new one and never half of either.
//
// The timeline tells who joined, left, was muted, spoke, was heard, how loud, in the order in which it happened. It grows
// line by line; a torn last line is left out when it is read. Speech makes of it what a page needs to draw it.
//
// Positions are samples at 48 kHz since the beginning of the recording. In the manifest they stand as seconds with six
// decimals, which is exact to the sample; in the timeline they stand as they are.
package manifest
