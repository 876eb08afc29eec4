// Package cmaf writes and reads a room's replay: Opus in fragmented MP4 (ISO/IEC 14496-12, CMAF) with an HLS playlist
// (RFC 8216) that grows while the room is live and is closed when it ends, and the same audio as one progressive MP4
// for download. Bytes in, bytes out: no files, no clock.
//
// A packet's way:
//
//  1. The Segmenter takes it with its position. Every half second it answers with a chunk, one moof with its mdat, to
//     be appended to the current segment's file: a crash loses the last chunk at most. Segments end on exact multiples
//     of the target, and wherever a packet does not continue the one before.
//  2. A finished segment goes into the Playlist, which is rewritten with one more entry; nothing that stood in it
//     changes until End turns EVENT into VOD.
//  3. After a crash Scan tells how much of the last segment is whole; what is behind that is cut off, and the rest
//     finished like any other segment.
//  4. WriteWhole reads the packets of all segments twice (Packets, Joined), once for the tables and once for the audio,
//     and writes one file whose moov stands in front.
//  5. CheckPlaylist and CheckGrowth hold a replay against the rules of RFC 8216 and against its segments.
//
// # Time
//
// Positions are samples at 48 kHz since the recording's start, as everywhere under recorder; they are also the media
// time of the tracks. What an encoder puts into the packet at position p comes out of a decoder PreSkip samples later
// (312 with libopus, 6.5 ms). An edit list takes that back (ISO/IEC 14496-12 §8.6.6), and dOps states it once more, as
// its specification wants. A player's time is the room's to the sample where it follows the list (ffmpeg), PreSkip late
// where it knows neither, PreSkip early where it applies both: Chromium 156 and Firefox 153 decode a whole file so. With
// libopus's PreSkip it is within 7 ms in every case.
//
// Players tell the time in a playlist by adding up segments, so a gap in the audio (EXT-X-DISCONTINUITY) shortens it,
// and only EXT-X-PROGRAM-DATE-TIME still tells the room's time behind it. Who wants a player's time to remain the
// room's fills gaps with opus.Quiet before the Segmenter; WriteWhole does so itself.
package cmaf
