// The story of one Space in real browsers: who talks is heard by those who should hear it, as sound.
//
// usage: node story.mjs chromium|firefox|mixed SPACES
//
// SPACES is the program under test. In mixed, the host and one listener are in Chromium, the others in Firefox. Each
// participant's microphone is a tone, so that the spectrum of what a page plays tells whom it hears. One line is
// printed for each assertion, and at the end "N passed, N failed".

import { serve } from './server.mjs';
import { Stage } from './stage.mjs';

const STORY_MS = 75_000;  // each of the three; they take some 30 s
const HEARD_MS = 1000;    // from being admitted to being heard
const MUTED_MS = 1000;    // from the host's click until the tone is gone
const FADED_MS = 2500;    // until what has ended has faded out
const NOTHING_DB = -60;   // 35 dB below the tones: what their encoding leaves beside them is weaker, a voice is not
const CONCEALED_PERCENT = 10; // of what was played, silence left out; 0.1 on an idle machine, up to 5 on a busy one
const HOST_HZ = 440;
const SPEAKER_HZ = 1000;
const GUEST_HZ = 1630; // no multiple of the others: encoders leave harmonics
const TONES = [HOST_HZ, SPEAKER_HZ, GUEST_HZ];

const HOMES = {
  chromium: { ada: 'chromium', ben: 'chromium', cleo: 'chromium', dan: 'chromium' },
  firefox: { ada: 'firefox', ben: 'firefox', cleo: 'firefox', dan: 'firefox' },
  mixed: { ada: 'chromium', ben: 'firefox', cleo: 'firefox', dan: 'chromium' },
};

const db = (x) => (x <= -200 ? '-inf' : x.toFixed(1));
const ms = (x) => (x === null || Number.isNaN(x) ? 'never' : `${Math.round(x)} ms`);

class Story extends Stage {
  constructor(name, url) {
    super(name);
    this.url = url;
  }

  async cast() {
    const tones = { ada: HOST_HZ, ben: SPEAKER_HZ, cleo: GUEST_HZ, dan: 3100 };
    for (const [who, home] of Object.entries(HOMES[this.name])) await this.enter(who, home, tones[who]);
    await this.title();
  }

  // hears asserts for each tone whether a person hears it, over a second and a half. What has just ended may fade out.
  async hears(person, expected) {
    const tones = Object.keys(expected).map(Number);
    await Promise.all(tones.filter((hz) => !expected[hz]).map((hz) => person.gone(hz, NOTHING_DB, FADED_MS)));
    const levels = await person.listen(tones, 1500);
    tones.forEach((hz, i) => {
      const { max, tone, median, over } = levels[i];
      if (expected[hz]) {
        this.checks.that(median > -45 && over > 25, `${person.name} hears ${hz} Hz`, `${db(median)} dB, ${db(over)} dB above what is beside it`);
      } else {
        const told = tone > -200 ? `${db(tone)} dB at most` : `no tone, ${db(max)} dB of noise at most`;
        this.checks.that(tone < NOTHING_DB, `${person.name} hears nothing of ${hz} Hz`, told);
      }
    });
  }

  async run() {
    await this.cast();
    await this.gather();
    await this.mute();
    await this.callUp();
    await this.figures();
    await this.remove();
    await this.end();
    this.noErrors();
  }

  // gather: a host, a speaker whom he admits, two listeners.
  async gather() {
    const { ada, ben, cleo, dan } = this.people;
    const link = await ada.start(this.url, 'Tones');
    await ben.join(link);
    await ben.click('ask');
    await ada.click(`admit-${ben.id}`);
    await cleo.join(link);
    await dan.join(link);
    await dan.sees(ben, { role: 'speaker' });
    await dan.sees(ada, { role: 'host' });
    const heard = await Promise.all([HOST_HZ, SPEAKER_HZ].map((hz) => dan.first(hz, 5000)));
    this.checks.that(heard.every(Boolean), 'a listener hears both tones before long');
    await this.hears(dan, { [HOST_HZ]: true, [SPEAKER_HZ]: true, [GUEST_HZ]: false });
    await this.voices(dan, [ada, ben]);
    await this.voices(cleo, [ada, ben]);
  }

  // voices asserts that a page knows whose voices it plays: by CSRC, by the line they come on, by what it shows.
  async voices(listener, speakers) {
    for (const s of speakers) await listener.sees(s, { speaking: 'true', name: s.name });
    let told, right = false; // a busy machine may play nothing for the moment that a look takes
    for (const end = Date.now() + 3000; !right && Date.now() < end;) {
      const found = await listener.do((hz, t) => window.ears.voices(hz, t), TONES, 400);
      told = found.map((v) => `line ${v.line}: ${this.nameOf(v.audioId)} ${v.tones.join('+')} Hz`).join(', ');
      right = found.length === speakers.length && speakers.every((s) => found.some(
        (v) => v.audioId === s.audioId && v.tones.length === 1 && v.tones[0] === s.tone));
    }
    this.checks.that(right, `${listener.name}'s getContributingSources names whose tone is on which line`, told);
    const shown = await listener.do(() => [...document.querySelectorAll('[data-speaking="true"]')].map((t) => t.dataset.name).sort());
    const names = speakers.map((s) => s.name).sort();
    this.checks.that(shown.join() === names.join(), `${listener.name}'s page shows who speaks`, shown.join(', '));
  }

  nameOf(audioId) {
    return Object.values(this.people).find((p) => p.audioId === audioId)?.name ?? `nobody's ${audioId}`;
  }

  // mute: the host mutes the speaker, who then unmutes himself.
  async mute() {
    const { ada, ben, dan } = this.people;
    const gone = dan.gone(SPEAKER_HZ, NOTHING_DB, 5000);
    await ada.click(`mute-${ben.id}`);
    const after = (await gone) - await ada.clicked(`mute-${ben.id}`);
    this.checks.that(after > 0 && after < MUTED_MS, 'a muted speaker falls silent', ms(after));
    await this.hears(dan, { [HOST_HZ]: true, [SPEAKER_HZ]: false });
    await dan.sees(ben, { muted: 'true', speaking: 'false' });
    await this.voices(dan, [ada]);
    await ben.click('mic');
    this.checks.that(await dan.first(SPEAKER_HZ, 5000), 'the speaker unmutes himself and is heard again');
  }

  // callUp: a listener asks to speak, and the host admits him.
  async callUp() {
    const { ada, ben, cleo, dan } = this.people;
    const before = await cleo.do(() => window.ears.exchange());
    await cleo.click('ask');
    await ada.until('admit is there', (id) => document.querySelector(`[data-testid="admit-${id}"]`) !== null, cleo.id);
    const others = [ada, ben, dan];
    const heard = others.map((p) => p.first(GUEST_HZ, 8000));
    await ada.click(`admit-${cleo.id}`);
    const at = await ada.clicked(`admit-${cleo.id}`);
    for (const [i, p] of others.entries()) {
      const t = await heard[i];
      const after = t === null ? NaN : t - at;
      this.checks.that(after > 0 && after <= HEARD_MS, `${p.name} hears the admitted listener`, ms(after));
    }
    await this.hears(ada, { [HOST_HZ]: false, [SPEAKER_HZ]: true, [GUEST_HZ]: true });
    await this.hears(ben, { [HOST_HZ]: true, [SPEAKER_HZ]: false, [GUEST_HZ]: true });
    await this.hears(cleo, { [HOST_HZ]: true, [SPEAKER_HZ]: true, [GUEST_HZ]: false });
    await this.hears(dan, { [HOST_HZ]: true, [SPEAKER_HZ]: true, [GUEST_HZ]: true });
    await this.voices(dan, [ada, ben, cleo]);
    const now = await cleo.do(() => window.ears.exchange());
    const same = now.offers === 1 && now.state === 'stable' && now.local === before.local && now.remote === before.remote &&
      now.negotiationNeeded === before.negotiationNeeded;
    this.checks.that(same, 'being called up took no new offer',
      `${now.offers} offer, negotiationneeded ${before.negotiationNeeded} before and ${now.negotiationNeeded} after`);
  }

  // figures are what the browsers themselves say of what came.
  async figures() {
    for (const p of Object.values(this.people)) {
      const s = await p.do(() => window.ears.received());
      const loud = s.samples ? (100 * (s.concealed - s.silent)) / s.samples : 0;
      this.checks.that(s.packets > 100 && s.lost === 0, `${p.name} lost no packet`, `${s.packets} packets, ${s.lost} lost, ${s.discarded} discarded`);
      this.checks.that(s.samples > 0 && loud < CONCEALED_PERCENT, `${p.name}'s browser had to conceal little`,
        `${loud.toFixed(2)} % of ${(s.samples / 48000).toFixed(1)} s (with silence ${((100 * s.concealed) / s.samples).toFixed(1)} %), ` +
        `jitter buffer ${((1000 * s.delay) / s.emitted).toFixed(0)} ms`);
    }
  }

  // remove: the host removes a listener.
  async remove() {
    const { ada, cleo, dan } = this.people;
    await ada.click(`remove-${dan.id}`);
    await this.over(dan, 'You are no longer in this Space', 'the removed listener is told');
    await this.hears(dan, { [HOST_HZ]: false, [SPEAKER_HZ]: false, [GUEST_HZ]: false });
    const playing = await dan.do(() => [...document.querySelectorAll('audio')].filter((a) => a.srcObject || !a.paused).length);
    this.checks.that(playing === 0, "the removed listener's page plays nothing");
    await cleo.sees(dan, null);
    this.checks.that(true, 'the others see him gone');
  }

  // end: the speaker leaves, the host ends the Space.
  async end() {
    const { ada, ben, cleo } = this.people;
    await ben.click('leave');
    await this.over(ben, 'You left the Space', 'who leaves is out');
    await cleo.sees(ben, null);
    await this.hears(cleo, { [HOST_HZ]: true, [SPEAKER_HZ]: false });
    await ada.click('end');
    await ada.click('end-confirm');
    await this.over(cleo, 'This Space has ended', 'the others are told that it has ended');
    await this.over(ada, 'This Space has ended', 'the host sees that it has ended');
  }

  async over(person, title, what) {
    const shown = await person.until('it is over', () => {
      const h = document.querySelector('[data-testid="over"]');
      return h.checkVisibility() && h.textContent;
    });
    this.checks.that(shown === title, what, shown);
  }
}

const [name, program] = process.argv.slice(2);
if (!HOMES[name] || !program) {
  console.error('usage: node story.mjs chromium|firefox|mixed SPACES');
  process.exit(2);
}
const server = await serve(program);
await new Story(name, server.url).play(STORY_MS, [server]);
