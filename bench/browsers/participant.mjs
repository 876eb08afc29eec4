// One person in a page of his own, whose storage is his own too.

import { behind, install } from './inside.mjs';

const WAIT_MS = 10_000;
const LOUD = 0.25; // of a microphone's tone

export class Participant {
  // open makes a page for a person whose microphone gives a tone, so loud; relay, host:port, is what stands before the daemon.
  static async open(browser, name, tone, { loud = LOUD, relay, asks = true } = {}) {
    const p = new Participant();
    const context = await browser.createBrowserContext();
    Object.assign(p, { name, tone, page: await context.newPage({ type: 'window' }), errors: [] });
    p.page.on('pageerror', (err) => p.errors.push(err.message));
    await p.page.evaluateOnNewDocument(install, tone, loud);
    if (relay) await p.page.evaluateOnNewDocument(behind, ...relay.split(':'), asks);
    return p;
  }

  // do runs a function in the page.
  do(f, ...args) { return this.page.evaluate(f, ...args); }

  // until waits for what a function in the page makes true, and returns it.
  async until(what, f, ...args) {
    const end = performance.now() + WAIT_MS;
    for (;;) {
      const found = await this.do(f, ...args);
      if (found) return found;
      if (performance.now() > end) throw new Error(`${this.name}: ${what}: not within ${WAIT_MS} ms`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  // click waits for a button to be there, and clicks it as a person does.
  async click(testid) {
    const selector = `[data-testid="${testid}"]`;
    await this.until(`${testid} can be clicked`, (s) => {
      const e = document.querySelector(s);
      return Boolean(e && e.checkVisibility() && !e.disabled);
    }, selector);
    await this.page.click(selector);
  }

  async type(testid, text) {
    const selector = `[data-testid="${testid}"]`;
    await this.until(`${testid} is there`, (s) => document.querySelector(s)?.checkVisibility(), selector);
    await this.page.type(selector, text);
  }

  async start(url, title, { recorded = false } = {}) {
    await this.page.goto(url);
    await this.type('start-title', title);
    await this.type('start-name', this.name);
    if (recorded) await this.click('start-record');
    await this.click('start');
    await this.connected();
    return this.do(() => document.querySelector('[data-testid="share-link"]').href);
  }

  async join(link) {
    await this.page.goto(link);
    await this.type('join-name', this.name);
    await this.click('join');
    await this.connected();
  }

  async connected() {
    await this.until('media is connected', () => window.spaces?.pc?.connectionState === 'connected');
    await this.until('ears are open', async () => (await window.ears.open()) === 'running');
    Object.assign(this, await this.do(() => ({
      audioId: window.spaces.audioId,
      id: document.querySelector('.person.own').dataset.testid.replace('person-', ''),
    })));
  }

  // sees waits until a person's tile shows what is asked for, by data attributes; null: no such tile.
  sees(person, attributes) {
    const what = attributes ? `sees ${person.name} ${JSON.stringify(attributes)}` : `sees ${person.name} no more`;
    return this.until(what, (id, wanted) => {
      const tile = document.querySelector(`[data-testid="person-${id}"]`);
      if (!wanted || !tile) return !wanted && !tile;
      return Object.entries(wanted).every(([k, v]) => tile.dataset[k] === v);
    }, person.id, attributes);
  }

  first(tone, limit) { return this.do((hz, ms) => window.ears.first(hz, ms), tone, limit); }
  gone(tone, db, limit) { return this.do((hz, d, ms) => window.ears.gone(hz, d, ms), tone, db, limit); }
  listen(tones, ms) { return this.do((hz, t) => window.ears.listen(hz, t), tones, ms); }
  clicked(testid) { return this.do((id) => window.clicked[id], testid); }
}
