package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"stentor/forward/opus"
	"stentor/recorder/align"
	"stentor/recorder/manifest"
	"stentor/recorder/mix"
)

const (
	// ringSize is how many packets a room's ring holds: eight people who all send, listened to or not, make 400 a
	// second, so it lasts for five seconds in which the desk does not come to it. A packet takes 88 octets: 180 KB.
	ringSize = 2048
	// deskPace is how often the desk looks into the ring. It is part of what a crash loses.
	deskPace = 100 * time.Millisecond
	// mixPace is how often it does so while somebody listens to the mix: a packet of it.
	mixPace = 20 * time.Millisecond
	// mixLag is how far the mix is behind the room for those who follow it. Packets may be on the way for so long after the
	// fastest one of their sender and still be in it: more than a bad wireless network takes to repeat itself.
	mixLag = opus.SampleRate / 5
	// replayLag is the same where nobody waits for it but a playlist, whose players stay seconds behind anyway. A busy
	// sender was seen to be late by half a second for a minute: in its track it was whole, from the mix it was missing.
	replayLag = opus.SampleRate * 7 / 10
	// grid is what the mix's packets begin on, in samples: their length. A recording begins on it too.
	grid = opus.SampleRate / 50
)

// Desk is where a room's packets come together: it puts them on the room's one timeline, mixes what was heard, and hands
// both to the recording. There is one for a room while it is recorded or somebody listens to its mix.
//
//  1. Hear: the data plane pushes a packet into the ring.
//  2. drain: the desk's goroutine takes it out and gives it to its person's aligner.
//  3. place: what the aligner says of it goes into the mixer, if the room heard it, and to the recording.
//  4. mix: the mixer's packets go to the recording and to whoever follows the mix.
type Desk struct {
	// Immutable.
	ring     *Ring[align.Packet]
	position func() int64
	mixed    func(at int64, payload []byte)
	bitrate  int
	wake     chan struct{} // capacity 1
	done     chan struct{}

	mu       sync.Mutex
	commands []func(now int64)
	closed   bool

	// Owned by the desk's goroutine.
	people  map[string]*person
	sources map[uint32]*person
	numbers uint32     // given to people
	mixer   *mix.Mixer // nil: nobody wants the mix
	follow  bool
	take    *take  // nil: not recorded
	refused uint64 // by the ring, told so far
}

// person is somebody in the room, under whatever audio ids.
type person struct {
	name   string
	number uint32 // for the mixer
	align  *align.Track
	place  func(align.Piece)
	gone   bool  // nothing more comes
	goneAt int64 // since when

	// Of the recording that runs.
	before  align.Stats // when it began
	silence item        // the last, which it has not been told of. No samples: none
	heard   bool        // there was something else than silence
	toldAt  int64       // of the last piece that it was told of
}

// DeskConfig is what a desk needs of its room.
type DeskConfig struct {
	// Position is now on the room's time, in samples at 48 kHz since it was opened, as the packets' At.
	Position func() int64
	// Mixed gets each packet of the mix while somebody follows it: 20 ms that begin at a position, 200 ms behind the
	// room. The payload is its to keep.
	Mixed func(at int64, payload []byte)
	// Bitrate is the mix's, in b/s; 0: the mixer's own choice.
	Bitrate int
}

// NewDesk starts a desk. It ends with Close.
func NewDesk(c DeskConfig) *Desk {
	d := &Desk{
		ring: NewRing[align.Packet](ringSize), position: c.Position, mixed: c.Mixed, bitrate: c.Bitrate,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		people: map[string]*person{}, sources: map[uint32]*person{},
	}
	go d.run()
	return d
}

// Hear takes a packet from the data plane. It never waits. For one goroutine alone.
func (d *Desk) Hear(p *align.Packet) { d.ring.Push(p) }

// Join tells whose voice comes under an audio id, before its first packet. A person who comes again is the same person.
func (d *Desk) Join(audioID uint32, name string) {
	d.do(func(now int64) {
		p := d.people[name]
		if p == nil {
			d.numbers++
			p = &person{name: name, number: d.numbers, align: align.New(now)}
			p.place = func(pc align.Piece) { d.placed(p, &pc) }
			d.people[name] = p
		}
		d.sources[audioID], p.gone = p, false
	})
}

// Leave tells that no more packets come under an audio id.
func (d *Desk) Leave(audioID uint32) {
	d.do(func(now int64) {
		d.drain() // what it had sent
		p := d.sources[audioID]
		delete(d.sources, audioID)
		if p != nil && !d.present(p) {
			p.gone, p.goneAt = true, now
		}
	})
}

func (d *Desk) present(p *person) bool {
	for _, other := range d.sources {
		if other == p {
			return true
		}
	}
	return false
}

// forgetAfter is how long after leaving a person is kept whom no recording needs: until everything is placed.
const forgetAfter = opus.SampleRate

// forget lets people go who have left and are in no recording that runs.
func (d *Desk) forget(now int64) {
	for name, p := range d.people {
		needed := d.take != nil && d.take.tracks && (p.heard || p.align.Stats() != p.before)
		if p.gone && now-p.goneAt >= forgetAfter && !needed {
			delete(d.people, name)
		}
	}
}

// Note writes an entry into the timeline of the recording that runs, if one does. Its position is set here.
func (d *Desk) Note(e manifest.Line) {
	d.do(func(now int64) {
		if d.take != nil {
			d.take.note(now, e)
		}
	})
}

// Follow begins or ends to make the mix for listeners.
func (d *Desk) Follow(on bool) {
	d.do(func(now int64) {
		if on { // what was mixed for a playlist alone comes nearer first, unheard
			d.mix(now - mixLag)
		}
		d.follow = on
		_ = d.needMixer(now)
	})
}

// record begins a recording, from now on.
func (d *Desk) record(t *take) (err error) {
	ran := d.call(func(now int64) {
		if d.take != nil && d.take.until == 0 {
			err = fmt.Errorf("%w: the room is being recorded", ErrConflict)
			return
		}
		d.finish(now) // one that was stopped a moment ago
		t.begin((now + grid - 1) / grid * grid)
		for _, p := range d.people {
			p.before, p.silence, p.heard, p.toldAt = p.align.Stats(), item{}, false, 0
		}
		d.refused = d.ring.Refused()
		d.take = t
		if err = d.needMixer(now); err != nil {
			d.take = nil
		}
	})
	if !ran {
		return errors.New("the room was closed")
	}
	return err
}

// release ends a recording: all that was heard until now will be in it, as soon as the mix has come so far.
func (d *Desk) release(t *take) {
	d.do(func(now int64) {
		if d.take == t {
			t.stop(now)
		}
	})
}

// complete hands the recording that has been released to its own goroutine, which closes it.
func (d *Desk) complete(now int64) {
	t := d.take
	d.take = nil
	stats := map[string]align.Stats{}
	for name, p := range d.people {
		stats[name] = since(p.align.Stats(), p.before)
	}
	t.complete(stats)
	_ = d.needMixer(now) // it can only go away
}

// Close ends the desk, and with it the recording that runs.
func (d *Desk) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.nudge()
	<-d.done
}

// do has the desk's goroutine call f soon. False: the desk is closed.
func (d *Desk) do(f func(now int64)) bool {
	d.mu.Lock()
	open := !d.closed
	if open {
		d.commands = append(d.commands, f)
	}
	d.mu.Unlock()
	d.nudge()
	return open
}

// call waits until f has been called. False: the desk is closed, and it is not.
func (d *Desk) call(f func(now int64)) bool {
	ran := make(chan struct{})
	if !d.do(func(now int64) { f(now); close(ran) }) {
		return false
	}
	<-ran // commands are run before the desk ends
	return true
}

func (d *Desk) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run works until Close.
func (d *Desk) run() {
	defer close(d.done)
	tick := time.NewTimer(deskPace)
	defer tick.Stop()
	for {
		due := false
		select {
		case <-tick.C:
			due = true
		case <-d.wake:
		}
		d.mu.Lock()
		commands, closed := d.commands, d.closed
		d.commands = nil
		d.mu.Unlock()
		for _, f := range commands { // first: packets wait in the ring for the person that they are of
			f(d.position())
		}
		if closed {
			d.finish(d.position())
			return
		}
		if due {
			d.work()
			tick.Reset(d.pace())
		}
	}
}

func (d *Desk) pace() time.Duration {
	if d.follow {
		return mixPace
	}
	return deskPace
}

// finish ends the recording at once, be it released or not.
func (d *Desk) finish(now int64) {
	if d.take == nil {
		return
	}
	d.drain()
	d.settle(now)
	d.take.stop(now)
	d.mix(d.take.until)
	d.complete(now)
}

// work brings everything up to now.
func (d *Desk) work() {
	now := d.position()
	d.drain()
	d.settle(now)
	d.forget(now)
	d.mix(now - d.lag())
	if d.take != nil {
		d.take.progress(now)
	}
	if n := d.ring.Refused(); n != d.refused {
		if d.take != nil {
			d.take.refused(now, n-d.refused)
		}
		d.refused = n
	}
	if t := d.take; t != nil && t.until > 0 && now-d.lag() >= t.until {
		d.complete(now)
	}
}

// lag is how far the mix is behind the room.
func (d *Desk) lag() int64 {
	if d.follow {
		return mixLag
	}
	return replayLag
}

// drain takes what has come.
func (d *Desk) drain() {
	var pk align.Packet
	for d.ring.Pop(&pk) {
		if p := d.sources[pk.Source]; p != nil {
			p.align.Put(&pk, p.place)
		}
	}
}

// settle places what the aligners still hold, and silence.
func (d *Desk) settle(now int64) {
	for _, p := range d.people {
		p.align.Advance(now, p.place)
	}
}

// placed gets a person's next piece.
func (d *Desk) placed(p *person, pc *align.Piece) {
	if d.mixer != nil && pc.Slot >= 0 { // which silence never is: the mixer fills what is missing
		d.mixer.Put(p.number, pc.At, pc.Samples, pc.Payload)
	}
	if d.take != nil {
		d.take.piece(p, pc)
	}
}

// needMixer makes a mixer when somebody wants the mix, and drops it when nobody does.
func (d *Desk) needMixer(now int64) (err error) {
	switch want := d.follow || d.take != nil && d.take.replay; {
	case !want:
		d.mixer = nil
	case d.mixer == nil:
		if d.mixer, err = mix.New(mix.Config{Bitrate: d.bitrate}); err == nil {
			err = d.mixer.Start(now / grid * grid)
		}
	}
	return err
}

// mix mixes up to a position.
func (d *Desk) mix(until int64) {
	if d.mixer == nil {
		return
	}
	// An error of the encoder has become a silent packet, and is in the mixer's counts.
	_ = d.mixer.Mix(until, func(at int64, payload []byte) {
		payload = bytes.Clone(payload)
		if d.follow {
			d.mixed(at, payload)
		}
		if d.take != nil {
			d.take.mixed(at, payload)
		}
	})
}

// since is what a track has counted between two moments.
func since(now, before align.Stats) align.Stats {
	now.Packets -= before.Packets
	now.Lost -= before.Lost
	now.Late -= before.Late
	now.Duplicates -= before.Duplicates
	now.Invalid -= before.Invalid
	now.Inserted -= before.Inserted
	now.Removed -= before.Removed
	now.Anchors -= before.Anchors
	return now
}
