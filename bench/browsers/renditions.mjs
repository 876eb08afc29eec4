// The story of a listener whose rendition changes while somebody speaks: live, packed60, packed120, and live again.
// His browser is to go on playing, without a new offer and without anything to conceal.
//
// usage: node renditions.mjs chromium|firefox SPACES STENTORD
//
// SPACES and STENTORD are the programs under test; the story changes the rendition over the daemon's control socket.
// Another listener stays live: what happens to him too is the machine's doing. One line is printed for each assertion,
// and at the end "N passed, N failed".

import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Control } from './control.mjs';
import { daemon, serve } from './server.mjs';
import { Stage } from './stage.mjs';

const STORY_MS = 90_000;     // it takes some 45 s
const TONE_HZ = 440;
const SETTLE_MS = 4000;      // a jitter buffer finds its length
const CHANGED_MS = 1000;     // the longest wait for a boundary is 120 ms; packets are counted from here on
const GAP_MS = 100;          // longer would be heard as a break
const OVER_DB = 20;          // by which a tone stands out from what is beside it
const CONCEALED_MS = 60;     // in all changes together, silence left out
const DISCARDED = 5;         // packets that came too late for the browser, in all
// How many packets the listener who stays live gets for one of the other's: 1, 3 and 6 at best, on a busy machine too,
// which starves microphones. Of packed120 there are up to half as many again: where jitter lets 7 frames fall between two
// boundaries, they are more than the 120 ms that a packet may hold, and take two.
const FOLD = { live: [0.95, 1.05], packed60: [2.6, 3.4], packed120: [3.8, 6.3] };
const PHASES = [['packed60', 10_000], ['packed120', 10_000], ['live', 10_000]];

const loud = (s) => (s.concealed - s.silent) / 48; // ms
const rate = (s) => ((1000 * s.packets) / s.at).toFixed(1);
const minus = (b, a) => Object.fromEntries(Object.keys(a).map((k) => [k, b[k] - a[k]]));

class Renditions extends Stage {
  constructor(home, url, control) {
    super(`renditions-${home}`);
    Object.assign(this, { home, url, control });
  }

  async run() {
    await this.gather();
    await this.phase('live', 4000);
    const before = await this.both();
    for (const [rendition, length] of PHASES) {
      await this.change(rendition);
      await this.phase(rendition, length);
    }
    const after = await this.both();
    await this.sum(minus(after[0], before[0]));
    this.alongside(minus(after[1], before[1]));
    this.noErrors();
  }

  // gather: a host whose tone is heard, two listeners, and the names that the daemon knows them by.
  async gather() {
    for (const [who, tone] of [['ada', TONE_HZ], ['ben', 1000], ['dan', 3100]]) await this.enter(who, this.home, tone);
    await this.title();
    const { ada, ben, dan } = this.people;
    const link = await ada.start(this.url, 'Renditions');
    await ben.join(link);
    await dan.join(link);
    const { rooms } = await this.control.call('room.list');
    const { peers } = await this.control.call('peer.list', { room: rooms[0].room });
    this.peer = peers.find((p) => p.audio_id === dan.audioId);
    this.checks.that(rooms.length === 1 && peers.length === 3 && this.peer, 'the daemon has the room and all who are in it');
    const heard = await Promise.all([ben, dan].map((p) => p.first(TONE_HZ, 5000)));
    this.checks.that(heard.every(Boolean), 'the listeners hear the tone');
    await sleep(SETTLE_MS);
    await dan.do((hz) => window.ears.record(hz), TONE_HZ);
  }

  // both gives what the two listeners have received: of him whose rendition changes, and of him who stays live.
  both() { return Promise.all([this.people.dan, this.people.ben].map((p) => p.do(() => window.ears.received()))); }

  async change(rendition) {
    [this.changed] = await this.both();
    const { room, peer } = this.peer;
    const now = await this.control.call('peer.update', { room, peer, rendition });
    this.checks.that(now.rendition === rendition, `the listener is to have ${rendition}`, now.rendition);
  }

  // phase asserts that what comes is the rendition, and that the tone stays from the change on.
  async phase(rendition, length) {
    await sleep(CHANGED_MS);
    const [from, fromLive] = await this.both();
    await sleep(length - CHANGED_MS);
    const [to, toLive] = await this.both();
    const [part, live] = [minus(to, from), minus(toLive, fromLive)];
    const fold = live.packets / part.packets;
    const [low, high] = FOLD[rendition];
    this.checks.that(fold >= low && fold <= high, `${rendition}: that is what comes`,
      `${rate(part)} packets in a second, ${rate(live)} to who stays live`);
    await this.tone(rendition);
    const whole = minus(to, this.changed ?? from);
    console.log(`               ${rendition}: jitter buffer ${(1000 * part.delay / part.emitted).toFixed(0)} ms, ` +
      `concealed ${loud(whole).toFixed(1)} ms in ${whole.events} events, ` +
      `stretched by ${(whole.stretched / 48).toFixed(0)} ms, squeezed by ${(whole.squeezed / 48).toFixed(0)} ms; ` +
      `load of the machine ${loadavg()[0].toFixed(1)}`);
  }

  async tone(rendition) {
    const { seen, unseen, gap, least, over, looks } = await this.people.dan.do(() => window.ears.recorded());
    this.checks.that(seen > 0 && unseen === 0 && gap < GAP_MS, `${rendition}: the tone has no gap`,
      `${(seen / 1000).toFixed(1)} s seen and ${unseen.toFixed(0)} ms not, longest gap ${gap.toFixed(0)} ms, weakest 20 ms ${least.toFixed(1)} dB`);
    this.checks.that(looks > 0 && over > OVER_DB, `${rendition}: the tone stands out`, `${over.toFixed(1)} dB at least, ${looks} looks`);
  }

  // sum is what all changes together did to the listener.
  async sum(s) {
    const that = (ok, what, figures) => this.checks.that(ok, `over all changes: ${what}`, figures);
    const seconds = (s.at / 1000).toFixed(1);
    that(s.packets > 0 && s.lost === 0, 'no packet is counted as lost', `${s.packets} packets, ${s.lost} lost`);
    that(s.discarded <= DISCARDED, 'hardly a packet is discarded', `${s.discarded}`);
    that(s.samples > 0 && loud(s) <= CONCEALED_MS, `at most ${CONCEALED_MS} ms are concealed`, `${loud(s).toFixed(1)} ms in ${seconds} s`);
    const { room, peer } = this.peer;
    const { downlink } = await this.control.call('peer.get', { room, peer });
    that(downlink.packets > 0 && downlink.lost === 0, 'the daemon dropped nothing', `${downlink.packets} packets, ${downlink.lost} dropped`);
    const { offers, state } = await this.people.dan.do(() => window.ears.exchange());
    that(offers === 1 && state === 'stable', 'they took no new offer', `${offers} offer`);
  }

  // alongside is the listener who stays live.
  alongside(s) {
    this.checks.that(s.packets > 0 && s.lost === 0, 'who stays live loses no packet',
      `${s.packets} packets, ${s.lost} lost, ${loud(s).toFixed(1)} ms concealed`);
  }
}

const [home, spaces, stentord] = process.argv.slice(2);
if (!['chromium', 'firefox'].includes(home) || !stentord) {
  console.error('usage: node renditions.mjs chromium|firefox SPACES STENTORD');
  process.exit(2);
}
const engine = await daemon(stentord);
const server = await serve(spaces, engine.control);
const control = await Control.open(engine.control);
await new Renditions(home, server.url, control).play(STORY_MS, [server, engine]);
