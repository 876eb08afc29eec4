// The story of a Space that is recorded: who is in it sees that, who comes late hears it from the beginning while it is
// live and at its edge, and afterwards the replay, its timeline and its files tell who spoke when.
//
// usage: node recording.mjs chromium|firefox SPACES
//
// SPACES is the program under test. Two people speak, each a tone of his own, in turns whose times are those of the
// clicks on their microphones' buttons; a third page plays the replay. One line is printed for each assertion, and at
// the end "N passed, N failed".

import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { byFFmpeg, byOpusdec, change, complaints, level, opusinfo, seconds } from './files.mjs';
import { serve } from './server.mjs';
import { Stage } from './stage.mjs';

const STORY_MS = 150_000; // it takes some 60 s
const HOST_HZ = 440;
const SPEAKER_HZ = 1000;
const TURN_MS = 4500;
const OFF_S = 0.5;        // by which a tone may stand beside its place
const SETTLE_S = 0.8;     // at the ends of a turn, where a tone may still fade
const EDGE_S = 12;        // from the mouth to the ear, at the edge of the replay: 6 s to the playlist, and the player's own
const LOUD_DB = -45;
const NOTHING_DB = -60;

const db = (x) => (x <= -200 ? '-inf' : x.toFixed(1));
const s = (x) => (x === null || x === undefined ? 'never' : `${x.toFixed(2)} s`);

class Recording extends Stage {
  constructor(home, { url, data }) {
    super(`recording-${home}`);
    Object.assign(this, { home, url, data });
  }

  async run() {
    await this.gather();
    await this.talk();
    await this.whileLive();
    await this.stopRecording();
    await this.afterwards();
    await this.timeline();
    await this.files();
    await this.remove();
    this.noErrors();
  }

  now() { return (Date.now() - this.startedAt) / 1000; }

  // gather: a host who records, and a speaker, who knows before he comes in, and when he is in.
  async gather() {
    for (const [who, tone] of [['ada', HOST_HZ], ['ben', SPEAKER_HZ], ['eve', 3100]]) await this.enter(who, this.home, tone);
    await this.title();
    const { ada, ben, eve } = this.people;
    const link = await ada.start(this.url, 'Tones', { recorded: true });
    await this.sign(ada, true);
    await ben.page.goto(link);
    const told = await ben.until('the door tells', () => {
      const p = document.querySelector('#door-rec');
      return p.checkVisibility() && p.textContent;
    });
    this.checks.that(/being recorded/.test(told), 'who comes is told at the door that it is recorded');
    await ben.type('join-name', ben.name);
    await ben.click('join');
    await ben.connected();
    await this.sign(ben, true);
    await ben.click('ask');
    await ada.click(`admit-${ben.id}`);
    await eve.page.goto(this.url);
    const [found] = await eve.do(async () => (await (await fetch('/api/replays')).json()).replays);
    this.checks.that(found?.live && found.title === 'Tones' && found.host === 'Ada', 'the start page lists it as live',
      JSON.stringify(found?.title));
    this.id = found.id;
    this.startedAt = Date.parse(found.started_at);
  }

  // sign asserts that a page shows in words, to a screen reader too, whether it is recorded.
  async sign(person, on) {
    const shown = await person.until(`the sign is ${on ? 'there' : 'gone'}`, (wanted) => {
      const sign = document.querySelector('#rec');
      const there = sign.getAttribute('role') === 'status' && sign.checkVisibility() && sign.textContent !== '';
      return there === wanted && (sign.textContent || 'nothing');
    }, on);
    this.checks.that(on === /being recorded/.test(shown), `${person.name} ${on ? 'sees' : 'no longer sees'} that it is recorded`, shown);
  }

  // turn switches a microphone, and gives the place of the click in the recording, in seconds.
  async turn(person) {
    await person.click('mic');
    return ((await person.clicked('mic')) - this.startedAt) / 1000;
  }

  // talk: the host alone, then the speaker alone, then both.
  async talk() {
    const { ada, ben } = this.people;
    const benOff = await this.turn(ben);
    await sleep(TURN_MS);
    const adaOff = await this.turn(ada);
    const benOn = await this.turn(ben);
    await sleep(TURN_MS);
    const adaOn = await this.turn(ada);
    Object.assign(this, { benOff, adaOff, benOn, adaOn });
    this.turns = [
      { what: 'the host alone', from: benOff, to: adaOff, tones: [HOST_HZ] },
      { what: 'the speaker alone', from: benOn, to: adaOn, tones: [SPEAKER_HZ] },
      { what: 'both', from: adaOn, to: adaOn + TURN_MS / 1000, tones: [HOST_HZ, SPEAKER_HZ] },
    ];
    for (const t of this.turns) console.log(`               ${t.what}: ${s(t.from)} to ${s(t.to)}`);
  }

  // whileLive: a third page opens the replay from the list, from its start, then at its edge, then goes back.
  async whileLive() {
    const { eve } = this.people;
    await eve.click(`replay-${this.id}`);
    const first = await this.press(eve);
    this.checks.that(first !== null && first < 3, 'while live, the replay begins at the beginning', s(first));
    await this.hears(eve, 'while live, from the beginning', [HOST_HZ], null);
    const wait = this.turns[2].from + TURN_MS / 1000 + EDGE_S / 2 - this.now();
    if (wait > 0) await sleep(1000 * wait); // so that what is at the edge is known
    await eve.click('edge');
    await eve.until('it plays on', async () => {
      const a = document.querySelector('#player');
      const at = a.currentTime;
      await new Promise((done) => setTimeout(done, 200));
      return !a.seeking && a.currentTime > at;
    });
    await this.hears(eve, 'at the edge', [HOST_HZ, SPEAKER_HZ], []);
    const late = this.now() - (await this.at(eve));
    const edge = await eve.do(() => document.querySelector('#edge').getAttribute('aria-pressed'));
    this.checks.that(late > 0 && late < EDGE_S && edge === 'true', 'the edge is close behind who speaks', s(late));
    await this.hearsTurn(eve, 'while live, rewound', this.turns[1]);
  }

  at(person) { return person.do(() => document.querySelector('#player').currentTime); }

  // press presses the play button and gives the position at which the first sound was played.
  async press(person) {
    await person.until('there is something to play', () => document.querySelector('#player').readyState >= 2);
    await person.do(() => window.ears.open());
    const before = await this.at(person);
    await person.click('play');
    await person.until('it plays', (t) => document.querySelector('#player').currentTime > t, before);
    return before;
  }

  // seek goes to a position by the seek bar, as the arrow keys and a finger do.
  async seek(person, to) {
    await person.do((t) => {
      const bar = document.querySelector('#seek');
      bar.value = t;
      bar.dispatchEvent(new Event('input'));
      bar.dispatchEvent(new Event('change'));
    }, to);
    await person.until('it has sought', (t) => {
      const a = document.querySelector('#player');
      return !a.seeking && a.readyState >= 3 && a.currentTime >= t - 0.2;
    }, to);
  }

  // hears asserts which tones a page plays for a while, and which not; null: nothing is said of the others.
  async hears(person, what, tones, others) {
    for (const hz of tones) {
      const at = await person.first(hz, 5000);
      this.checks.that(at !== null, `${what}: ${hz} Hz is heard`);
    }
    const levels = await person.listen([...tones, ...others ?? []], 1000);
    [...tones, ...others ?? []].forEach((hz, i) => {
      const { median, over, tone } = levels[i];
      if (tones.includes(hz)) this.checks.that(median > LOUD_DB && over > 20, `${what}: ${hz} Hz goes on`, `${db(median)} dB, ${db(over)} dB above what is beside it`);
      else this.checks.that(tone < NOTHING_DB, `${what}: nothing of ${hz} Hz`, `${db(tone)} dB at most`);
    });
  }

  // hearsTurn seeks into a turn and asserts that its tones and no others are there.
  async hearsTurn(person, what, turn) {
    await this.seek(person, turn.from + SETTLE_S + 0.4);
    await sleep(300); // what is on the analyser reaches back 171 ms
    await this.hears(person, `${what}, ${turn.what}`, turn.tones, [HOST_HZ, SPEAKER_HZ].filter((hz) => !turn.tones.includes(hz)));
    const at = await this.at(person);
    this.checks.that(at > turn.from && at < turn.to, `${what}: that was in the turn`, `at ${s(at)}`);
  }

  // stopRecording: the host stops it; the sign goes, and the Space goes on, until it ends.
  async stopRecording() {
    const { ada, ben } = this.people;
    await ada.click('record');
    this.stopped = ((await ada.clicked('record')) - this.startedAt) / 1000;
    await this.sign(ada, false);
    await this.sign(ben, false);
    await ada.click('end');
    await ada.click('end-confirm');
    await ada.until('it is over', () => document.querySelector('[data-testid="over"]').checkVisibility());
    const link = await ben.until('a way to the replay', () => {
      const a = document.querySelector('#over-replay');
      return a.checkVisibility() && a.getAttribute('href');
    });
    this.checks.that(link === `/r/${this.id}`, 'who was in it is offered the recording', link);
  }

  // afterwards: the page that listened is told that it is whole; a fresh page plays all of it.
  async afterwards() {
    const { eve } = this.people;
    await eve.until('the file can be had', () => document.querySelector('#download').checkVisibility());
    this.checks.that(true, 'the page that listened offers the file when it is made');
    await eve.page.reload();
    const first = await this.press(eve);
    this.checks.that(first < 1, 'the replay begins at the beginning', s(first));
    const length = await eve.do(() => document.querySelector('#player').duration);
    this.checks.that(Math.abs(length - this.stopped) < 1, 'it is as long as what was recorded', `${s(length)}, stopped at ${s(this.stopped)}`);
    for (const turn of this.turns) await this.hearsTurn(eve, 'afterwards', turn);
    await this.seek(eve, this.benOn - 1.2);
    const begins = await eve.do((hz) => window.ears.begins(hz, 4000), SPEAKER_HZ);
    this.checks.that(begins !== null && Math.abs(begins - this.benOn) < OFF_S, 'afterwards: the speaker begins when he began',
      `${s(begins)}, said at ${s(this.benOn)}`);
    await this.keys(eve);
    await eve.page.setViewport({ width: 360, height: 740 });
    const [width, play] = await eve.do(() => [document.documentElement.scrollWidth, document.querySelector('#play').getBoundingClientRect().bottom]);
    this.checks.that(width <= 360 && play <= 740, 'on a phone nothing stands out, and the play button is on the first screen', `${width} px wide, button ends at ${Math.round(play)} px`);
  }

  // keys: the player obeys the keyboard, and the speed is what was chosen.
  async keys(eve) {
    await this.seek(eve, 17);
    await eve.page.keyboard.press('j');
    const back = await eve.until('it went back', () => {
      const t = document.querySelector('#player').currentTime;
      return t < 10 && t;
    });
    await eve.page.keyboard.press('k');
    const paused = await eve.do(() => document.querySelector('#player').paused);
    await eve.page.select('#speed', '1.5');
    const rate = await eve.do(() => document.querySelector('#player').playbackRate);
    this.checks.that(back >= 1.8 && paused && rate === 1.5, 'the keyboard goes back and pauses, the speed changes', `at ${s(back)}, ${rate}×`);
  }

  // timeline: a row for each who spoke, with his name, and his speech where it was.
  async timeline() {
    const rows = await this.people.eve.do(() => [...document.querySelectorAll('.track')].map((row) => ({
      name: row.querySelector('.who b').textContent, spoke: JSON.parse(row.querySelector('.lane').dataset.spoke), label: row.querySelector('.lane').ariaLabel,
      hue: row.querySelector('.lane').style.getPropertyValue('--hue'),
    })));
    this.checks.that(rows.map((r) => r.name).sort().join() === 'Ada,Ben', 'the timeline names who spoke, and nobody else', rows.map((r) => r.name).join(', '));
    const speaks = (name, at) => rows.find((r) => r.name === name)?.spoke.some(([from, to]) => from <= at && at < to);
    for (const turn of this.turns) {
      const mid = (turn.from + SETTLE_S + turn.to) / 2;
      const right = speaks('Ada', mid) === turn.tones.includes(HOST_HZ) && speaks('Ben', mid) === turn.tones.includes(SPEAKER_HZ);
      this.checks.that(right, `the timeline has ${turn.what} where it was`, rows.map((r) => `${r.name} ${JSON.stringify(r.spoke)}`).join(' '));
    }
    this.checks.that(new Set(rows.map((r) => r.hue)).size === rows.length, 'each has a colour of his own', rows.map((r) => `${r.name} ${r.hue}°`).join(', '));
    this.checks.that(rows.every((r) => r.label?.startsWith(`${r.name} spoke for`)), 'a screen reader is told', rows[0]?.label);
  }

  // files: what decoders that are not ours hear in the download and in each person's track.
  async files() {
    const { eve, ada, ben } = this.people;
    const href = await eve.do(() => document.querySelector('#download').href);
    const whole = join(this.data, 'download.mp4');
    await writeFile(whole, Buffer.from(await (await fetch(href)).arrayBuffer()));
    const said = await complaints(whole);
    this.checks.that(said.words === '' && said.codec === 'opus', 'ffprobe and ffmpeg find no error in the download', said.words || said.codec);
    const mix = await byFFmpeg(whole);
    this.checks.that(Math.abs(seconds(mix) - this.stopped) < 1, 'the download is as long as what was recorded', s(seconds(mix)));
    this.inTurns('download', mix, [HOST_HZ, SPEAKER_HZ]);
    this.atChanges('download', mix, [HOST_HZ, SPEAKER_HZ]);
    for (const [person, hz] of [[ada, HOST_HZ], [ben, SPEAKER_HZ]]) await this.track(person, hz);
  }

  async track(person, hz) {
    const dir = join(this.data, 'recordings', this.id, 'tracks');
    const name = readdirSync(dir).find((f) => f.startsWith(person.id));
    const file = join(dir, name ?? '');
    const what = `${person.name}'s track`;
    const info = await opusinfo(file);
    this.checks.that(info.complaints.length === 0 && info.length, `opusinfo finds no error in ${what}`, info.complaints.join(' | ') || info.length);
    const said = await complaints(file);
    this.checks.that(said.words === '' && said.codec === 'opus', `ffprobe and ffmpeg find no error in ${what}`, said.words || said.codec);
    for (const [decoder, decode] of [['ffmpeg', byFFmpeg], ['opusdec', byOpusdec]]) {
      const pcm = await decode(file);
      this.inTurns(`${what} by ${decoder}`, pcm, [hz], [HOST_HZ, SPEAKER_HZ]);
      this.atChanges(`${what} by ${decoder}`, pcm, [hz]);
    }
  }

  // inTurns asserts for each turn that the tones of some people are there, and nothing else is.
  inTurns(what, pcm, own, all = own) {
    const told = [];
    let right = true;
    for (const turn of this.turns) {
      for (const hz of all) {
        const x = level(pcm, hz, turn.from + SETTLE_S, turn.to - SETTLE_S);
        right &&= own.includes(hz) && turn.tones.includes(hz) ? x > LOUD_DB : x < NOTHING_DB;
        told.push(`${turn.what} ${hz} Hz ${db(x)} dB`);
      }
    }
    this.checks.that(right, `${what}: in each turn whom it should hear, and nobody else`, told.join(', '));
  }

  // atChanges asserts that tones begin and end when their microphones were switched.
  atChanges(what, pcm, tones) {
    const changes = [[HOST_HZ, this.adaOff, false], [SPEAKER_HZ, this.benOff, false], [SPEAKER_HZ, this.benOn, true], [HOST_HZ, this.adaOn, true]]
      .filter(([hz]) => tones.includes(hz));
    const off = changes.map(([hz, at, on]) => {
      const found = change(pcm, hz, at, on, LOUD_DB - 5);
      return found === null ? Infinity : found - at;
    });
    this.checks.that(off.every((x) => Math.abs(x) < OFF_S), `${what}: tones begin and end within ${OFF_S} s of the click`,
      off.map((x) => `${x >= 0 ? '+' : ''}${Math.round(1000 * x)} ms`).join(', '));
  }

  // remove: the host deletes the replay from its page, and it is gone, files and all.
  async remove() {
    const { ada, eve } = this.people;
    await ada.page.goto(`${this.url}/r/${this.id}`);
    await ada.click('delete');
    await ada.click('delete-confirm');
    await ada.until('it is deleted', () => document.querySelector('[data-testid="over"]').checkVisibility());
    const hidden = await eve.do(() => document.querySelector('#delete').hidden);
    this.checks.that(hidden, 'who is not the host is not offered to delete it');
    await eve.page.reload();
    const told = await eve.until('it is told to be gone', () => {
      const h = document.querySelector('[data-testid="over"]');
      return h.checkVisibility() && h.textContent;
    });
    const status = await eve.do(async (id) => (await fetch(`/replay/${id}/replay.mp4`)).status, this.id);
    this.checks.that(/not there/.test(told) && status === 404, 'a deleted replay is gone for everybody', `${told}, ${status}`);
    const dir = join(this.data, 'recordings', this.id);
    for (let i = 0; i < 50 && existsSync(dir); i++) await sleep(100);
    this.checks.that(!existsSync(dir) && !existsSync(join(this.data, 'replays', `${this.id}.json`)), 'its files are gone too');
    console.log(`               load of the machine ${loadavg()[0].toFixed(1)}`);
  }
}

const [home, program] = process.argv.slice(2);
if (!['chromium', 'firefox'].includes(home) || !program) {
  console.error('usage: node recording.mjs chromium|firefox SPACES');
  process.exit(2);
}
const server = await serve(program);
await new Recording(home, server).play(STORY_MS, [server]);
