package align

// SampleRate is the rate of every clock and position here, in Hz.
const SampleRate = 48000

// A Packet is one packet of a source, as the data plane hands it over: in order within its stream, RED unpacked.
type Packet struct {
	Source  uint32 // the audio id (CSRC) that listeners see
	Seq     uint64 // extended; lost packets leave a gap
	TS      uint64 // extended; the source's own 48 kHz clock, which may say anything
	At      int64  // arrival, in samples of the room's clock; never decreases from one packet to the next
	Payload []byte // one Opus packet. Immutable: a Track keeps it for up to 100 ms, its pieces for good.
	Samples int    // duration of the payload, 120 to 5760
	Level   uint8  // RFC 6464: 0 is the loudest, 127 silence, in -dBov. 0 too where the source tells none.
	Slot    int8   // the slot in which it is heard, -1 for none
	Restart bool   // first of a new stream: Seq and TS have no relation to those before
}

// Kind tells what a Piece is made of.
type Kind uint8

// The kinds of a Piece.
const (
	Audio   Kind = iota // the source's own packet
	Silence             // nothing was sent: a pause, mute, before the first and after the last packet
	Lost                // sent but not received: short ones are for the decoder to conceal, long ones are silent
	Drift               // made up, because the source's clock is slower than the room's or a packet was taken out
)

var kindNames = [...]string{"audio", "silence", "lost", "drift"}

// String is the kind's name as it stands in logs and files.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// A Piece is one Opus packet in its place on the room's timeline. Pieces of a track follow each other without a gap:
// At is the end of the one before.
type Piece struct {
	At      int64  // position of its first sample, in samples since the recording's start
	Samples int    // duration, 120 to 5760: exactly that of the payload
	Payload []byte // one Opus packet. Shared: not to be written to.
	Kind    Kind
	Slot    int8   // of the packet; for Lost and Drift of the packet before; -1 for Silence
	Level   uint8  // of the packet; 127 for all that is not Audio
	Source  uint32 // of the packet; for all that is not Audio of the packet before
}

// Stats counts what a Track has done since New.
type Stats struct {
	Packets    uint64  // placed as Audio
	Lost       uint64  // missing in the sequence, at most as many as there was room for
	Late       uint64  // dropped: silence, or the packet after, already lies in their place
	Duplicates uint64  // dropped: a sequence number seen before
	Invalid    uint64  // dropped: no Opus packet, or not of the duration it was said to be
	Inserted   uint64  // samples made up to keep a slow clock on the timeline
	Removed    uint64  // samples taken out to keep a fast clock on the timeline
	Anchors    uint64  // times the source's clock was set against the room's anew
	DriftPPM   float64 // the source's clock against the room's; positive is fast. 0 until measured, about a minute.
}
