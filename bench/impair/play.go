package impair

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"stentor/bench/client"
	"stentor/bench/impair/ear"
	"stentor/bench/impair/model"
	"stentor/bench/impair/scenario"
	"stentor/engine"
	"stentor/engine/control"
)

// Options say how a story is played.
type Options struct {
	Seed      uint64
	Adapt     bool // the controller is on
	Unharmed  bool // the impaired listener's network stays as it was
	Listeners int  // 0: as many as the story has
	Real      bool // over loopback sockets; else on a simulated network, which is to be in a bubble
}

const (
	// stragglers is how long after the end what is under way may still come: two queues of a second each.
	stragglers = 2 * time.Second
	// lookEvery is how often the engine is asked for the impaired listener's rung.
	lookEvery = 240 * time.Millisecond
	// settle lets the room come to rest before anybody talks.
	settle = time.Second
	// offBeat keeps frames apart from what goes by whole milliseconds since somebody came in, reports and feedback: two things
	// at one virtual moment could come in either order.
	offBeat = 1370 * time.Microsecond
)

// Play plays a story once. It ends early with the context's error when the context ends.
func Play(ctx context.Context, s *scenario.Scenario, o Options) (*Run, error) {
	if o.Listeners == 0 {
		o.Listeners = s.Who.Listeners
	}
	w, err := newWorld(s, o)
	if err != nil {
		return nil, err
	}
	defer w.close()
	inside := context.Background() // one whose channels belong to the bubble; ctx is asked in between
	c, stop, err := open(inside, w, o)
	if err != nil {
		return nil, err
	}
	down := newMeter(o.Seed, nil, time.Now())
	var n *notes
	err = c.enter(inside, s, o.Listeners, !o.Real)
	if err == nil {
		down, n, err = c.perform(ctx, s, o)
	}
	if stopped := stop(); err == nil {
		err = stopped
	}
	c.leave()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return evaluate(s, c, n, down)
}

func newWorld(s *scenario.Scenario, o Options) (world, error) {
	if o.Real {
		return newLoopback()
	}
	return newVirtual(o.Seed, s.Way.Duration), nil
}

// healthy is a network without trouble.
func healthy(s *scenario.Scenario) []model.Step {
	return []model.Step{{Conditions: model.Conditions{Delay: s.Way.Duration}}}
}

// open starts an engine; stop ends it.
func open(ctx context.Context, w world, o Options) (c *cast, stop func() error, err error) {
	conn, err := w.server()
	if err != nil {
		return nil, nil, err
	}
	config := engine.Default()
	config.Node, config.Spool, config.Shards, config.Adapt = "story", "", 1, o.Adapt
	config.Log = slog.New(slog.DiscardHandler)
	e, err := engine.NewOn(config, conn)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	return &cast{engine: e, world: w}, func() error { cancel(); return <-ended }, nil
}

// perform lets the speakers talk while the network follows the story.
func (c *cast) perform(ctx context.Context, s *scenario.Scenario, o Options) (*meter, *notes, error) {
	time.Sleep(settle)
	cursor := c.engine.Events().Cursor()
	start := time.Now()
	downSchedule, upSchedule := s.Down(), s.Up()
	if o.Unharmed {
		downSchedule, upSchedule = healthy(s), healthy(s)
	}
	down, up := newMeter(o.Seed, downSchedule, start), newMeter(o.Seed+1, upSchedule, start)
	c.world.impair(down, up)
	c.begin(start)
	n := &notes{}
	if err := c.talk(ctx, s, n); err != nil {
		return nil, nil, err
	}
	time.Sleep(stragglers)
	c.recording.Store(false)
	return down, n, c.readEvents(cursor, n)
}

// talk is the story's time: every 20 ms each speaker who talks says a frame, one after the other.
func (c *cast) talk(ctx context.Context, s *scenario.Scenario, n *notes) error {
	frames := make([]uint32, len(s.Speakers))
	looked := -lookEvery
	for beat := time.Duration(0); beat < s.Lasts.Duration; beat += frameTime {
		for i := range s.Speakers {
			at := beat + offBeat + frameTime*time.Duration(i)/time.Duration(len(s.Speakers))
			if !s.Speakers[i].TalksAt(beat) {
				continue
			}
			time.Sleep(time.Until(c.start.Add(at)))
			n.said = append(n.said, ear.Said{At: time.Since(c.start), Speaker: uint16(i + 1), N: frames[i], Dominant: s.Dominant(beat) == i})
			if err := c.say(i, s, beat, frames[i]); err != nil {
				return fmt.Errorf("%s: %w", s.Speakers[i].Name, err)
			}
			frames[i]++
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(time.Until(c.start.Add(beat + frameTime - offBeat)))
		if beat-looked >= lookEvery {
			looked = beat
			c.look(n)
		}
	}
	return nil
}

// say sends a speaker's next frame, whose timestamp shows pauses (RFC 3550 §5.1).
func (c *cast) say(i int, s *scenario.Scenario, beat time.Duration, frame uint32) error {
	p := &s.Speakers[i]
	return c.speakers[i].Send(client.Frame{
		Payload: c.takes[i].Frames[frame], Timestamp: uint32(beat / frameTime * 960),
		Marker: !p.TalksAt(beat - frameTime), LevelDBov: p.Level, Voice: true,
	})
}

// look notes the impaired listener's rung.
func (c *cast) look(n *notes) {
	q := quality{at: time.Since(c.start), Quality: control.Quality{Rung: rungs[0]}}
	p, err := c.engine.PeerGet(context.Background(), &control.PeerParams{Room: room, Peer: impairedID})
	if err == nil && p.Quality != nil { // who has left is counted by readEvents
		q.Quality = *p.Quality
	}
	n.qualities = append(n.qualities, q)
}

// readEvents notes what the engine has told since a cursor.
func (c *cast) readEvents(cursor string, n *notes) error {
	log := c.engine.Events()
	f, err := log.Follow(cursor, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	for end := log.Cursor(); cursor != end; {
		events, err := f.Next(context.Background())
		if err != nil {
			return err
		}
		for _, e := range events {
			cursor = e.Cursor
			switch {
			case e.Type == control.EventPeerLeft:
				n.lost++
			case e.Type == control.EventPeerQuality && e.Peer == impairedID && e.Reason == whyFailed:
				n.failed = append(n.failed, e.Time.Sub(c.start))
			}
		}
	}
	return nil
}

// whyFailed is the controller's reason for a step up that is taken back.
const whyFailed = "failed_try"
