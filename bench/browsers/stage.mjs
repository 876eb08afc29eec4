// What every story needs: browsers, people in them, and an orderly end.

import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch } from './browser.mjs';
import { Checks, within } from './checks.mjs';
import { Participant } from './participant.mjs';

export class Stage {
  checks = new Checks();
  browsers = new Map();
  people = {};

  constructor(name) { this.name = name; }

  // enter opens a page for a person in one of the browsers; the tone is what his microphone would give, options are
  // Participant.open's.
  async enter(who, home, tone, options) {
    if (!this.browsers.has(home)) this.browsers.set(home, await launch(home));
    const name = who[0].toUpperCase() + who.slice(1);
    this.people[who] = await Participant.open(this.browsers.get(home), name, tone, options);
  }

  async title() {
    const versions = await Promise.all([...this.browsers.values()].map((b) => b.version()));
    console.log(`-- ${this.name}: ${versions.join(', ')}`);
  }

  noErrors() {
    for (const p of Object.values(this.people)) {
      this.checks.that(p.errors.length === 0, `${p.name}'s page has no errors`, p.errors.join(' | '));
    }
  }

  // pictures keeps what the pages look like, for whoever has to find out what went wrong.
  async pictures() {
    const dir = await mkdtemp(join(tmpdir(), 'spaces-story-'));
    for (const [who, p] of Object.entries(this.people)) {
      const path = join(dir, `${this.name}-${who}.png`);
      await within(5000, 'screenshot', p.page.screenshot({ path }))
        .then(() => console.log(`      picture: ${path}`), (err) => console.log(`      no picture of ${who}: ${err.message}`));
    }
  }

  async close() {
    for (const b of this.browsers.values()) await within(10_000, 'browser closes', b.close()).catch(() => b.process()?.kill('SIGKILL'));
  }

  // play runs the story against programs that have been started, for so many ms at most, stops everything, prints "N
  // passed, N failed", and ends the process.
  async play(limit, programs) {
    try {
      await within(limit, 'the story', this.run());
    } catch (err) {
      this.checks.that(false, 'the story goes on to its end', err.message);
    }
    if (this.checks.failed > 0) await this.pictures();
    await this.close();
    for (const p of programs) {
      const code = await p.stop().catch((err) => err.message);
      this.checks.that(code === 0, `${p.name} stops politely`, `exit ${code}`);
    }
    const { passed, failed } = this.checks;
    if (failed > 0) for (const p of programs) console.log(`-- log of ${p.name}\n${p.log.join('\n')}`);
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed > 0 ? 1 : 0);
  }
}
