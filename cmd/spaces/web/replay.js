// A replay: the player, and who spoke when. While the Space is live the recording grows, and so does all of this.

import { $, avatar, el, hue, local, setText, toast } from './dom.js';
import { drawLane, nearest, speakersAt } from './lanes.js';

const REFRESH_MS = 4000;  // of a replay that grows: as long as one of its segments
const SHOW_MS = 100;
const EDGE_S = 3;         // so close to the end of what there is counts as live
const BACK_S = 15;
const FORTH_S = 30;
const HLS = 'application/vnd.apple.mpegurl';

// clock writes seconds as 1:02:03 or 2:03.
export function clock(s) {
  const t = Math.max(0, Math.floor(s));
  const [h, m, sec] = [Math.floor(t / 3600), Math.floor(t / 60) % 60, String(t % 60).padStart(2, '0')];
  return h ? `${h}:${String(m).padStart(2, '0')}:${sec}` : `${m}:${sec}`;
}

// spoken is a length of time for people and screen readers.
function spoken(s) {
  const t = Math.round(s);
  const [h, m, sec] = [Math.floor(t / 3600), Math.floor(t / 60) % 60, t % 60];
  const part = (n, word) => (n ? [`${n} ${word}${n === 1 ? '' : 's'}`] : []);
  return [...part(h, 'hour'), ...part(m, 'minute'), ...(h ? [] : part(sec, 'second'))].join(' ') || '0 seconds';
}

const when = (iso) => new Date(iso).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
const names = (people) => new Intl.ListFormat('en').format(people.map((p) => p.name));

// replayCard is a replay on the start page.
export function replayCard(r) {
  const length = r.live ? `${spoken(Math.floor(r.duration_s / 60) * 60 || r.duration_s)} so far` : spoken(r.duration_s);
  return el('li', {}, el('a', { class: 'card space-card', href: `/r/${r.id}`, 'data-nav': '', 'data-testid': `replay-${r.id}` },
    r.live ? el('span', { class: 'badge' }, 'Live now') : '',
    el('strong', {}, r.title), el('span', { class: 'meta' }, `${r.host} · ${when(r.started_at)} · ${length}`),
    el('span', { class: 'meta' }, r.people.length ? `With ${names(r.people)}` : ''),
    r.live ? el('span', { class: 'meta' }, 'Listen from the beginning') : '',
    el('span', { class: 'faces', 'aria-hidden': 'true' }, ...r.people.slice(0, 4).map((p) => avatar(p.name)))));
}

// Replay is the page of one replay, until it is closed.
export class Replay {
  #audio = $('player');
  #hls = null;
  #view = null;      // as the server tells
  #timeline = { duration_s: 0, people: [] };
  #rows = new Map(); // peer -> row
  #colours = new Map(); // name -> hue
  #closed = false;
  #stop = new AbortController();
  #refreshTimer = 0;
  #showTimer = 0;
  #seeking = false;  // the person drags
  #loaded = '';      // what plays: '', 'playlist' or 'file'
  #loading = false;

  // gone is called when there is no such replay, with a title and words for the person.
  constructor(id, { gone }) {
    Object.assign(this, { id, gone });
    this.base = `/replay/${encodeURIComponent(id)}`;
    for (const e of ['replay-title', 'replay-meta', 'replay-now']) setText($(e), '');
    $('tracks').replaceChildren();
    $('replay-notice').hidden = $('download').hidden = $('download-hint').hidden = $('delete').hidden = true;
    this.#buttons();
    this.#showTimer = setInterval(() => this.#show(), SHOW_MS);
    this.#refresh().then(() => { if (!this.#closed) $('replay-title').focus({ preventScroll: true }); });
  }

  // --- what there is ---

  // #refresh asks for the replay and its timeline, and again for as long as something may change.
  async #refresh() {
    clearTimeout(this.#refreshTimer);
    try {
      const res = await fetch(`/api/replays/${encodeURIComponent(this.id)}`);
      if (this.#closed) return;
      if (res.status === 404) {
        this.gone('This replay is not there', 'It may have been deleted by its host.');
        this.close();
        return;
      }
      this.#view = await res.json();
      const timeline = await fetch(`${this.base}/timeline.json`);
      if (timeline.ok) this.#timeline = await timeline.json();
      const facts = await fetch(`${this.base}/recording.json`);
      this.whole = facts.ok ? (await facts.json()).whole_bytes ?? 0 : 0;
      if (this.#closed) return;
      this.#notice('');
      this.#showFacts();
      await this.#load();
    } catch (err) {
      if (this.#closed) return;
      console.warn('The replay cannot be refreshed.', err);
      this.#notice('The server cannot be reached. Trying again…');
    }
    if (!this.#closed && !this.whole) this.#refreshTimer = setTimeout(() => this.#refresh(), REFRESH_MS);
  }

  #notice(text) {
    $('replay-notice').hidden = !text;
    setText($('replay-notice'), text);
  }

  #showFacts() {
    const v = this.#view;
    document.title = `${v.title} · Spaces`;
    setText($('replay-title'), v.title);
    setText($('replay-badge'), v.live ? 'Live now' : 'Replay');
    const facts = [`Hosted by ${v.host}`, when(v.started_at), ...(v.live ? [] : [spoken(v.duration_s)]), ...(v.state === 'failed' ? ['ended early'] : [])];
    setText($('replay-meta'), facts.join(' · '));
    setText($('no-tracks'), v.live ? 'Nobody has spoken yet.' : 'Nobody spoke.');
    if (navigator.mediaSession) navigator.mediaSession.metadata = new MediaMetadata({ title: v.title, artist: v.host });
    $('edge').hidden = !v.live;
    $('download').hidden = !this.whole;
    $('download-hint').hidden = Boolean(this.whole);
    setText($('download-hint'), v.live ? 'The file for download is made when the recording ends.' : 'The file for download is being made.');
    Object.assign($('download'), { href: `${this.base}/replay.mp4`, download: `${v.title}.mp4` });
    $('replay-space').hidden = !v.space;
    $('replay-space').href = `/s/${v.space}`;
    $('delete').hidden = v.live || !this.#token();
    this.#showRows();
  }

  #token() { return local.getItem(`spaces.host.${this.id.replace(/-\d+$/, '')}`); }

  // --- playing ---

  // #playsItself tells whether the browser's own player of playlists will do. Safari's does. That of Chromium 156 has a
  // growing playlist begin at its edge and does not seek in it, and one that names another it does not always take.
  #playsItself() {
    return Boolean(this.#audio.canPlayType(HLS)) && (!this.#view.live || navigator.vendor.startsWith('Apple'));
  }

  // #load gives the audio element something to play, as soon as there is something: the playlist where the browser plays
  // it itself, by hls.js where it does not, the whole file where neither goes.
  async #load() {
    if (this.#loaded || this.#loading) return;
    if (!(await fetch(`${this.base}/index.m3u8`, { method: 'HEAD' })).ok || this.#loaded) {
      this.#notice(this.#view.live ? 'The recording has just begun. It can be heard in a few seconds.' : '');
      return;
    }
    this.#loading = true;
    if (this.#playsItself()) {
      this.#loaded = 'playlist';
      this.#audio.src = `${this.base}/index.m3u8`;
      return;
    }
    const { default: Hls } = await import('./hls.light.min.mjs');
    if (this.#closed) return;
    if (!Hls.isSupported()) {
      this.#loadFile();
      return;
    }
    this.#loaded = 'playlist';
    // All of it can be sought in at any time, so nothing that was heard need be kept for long.
    this.#hls = new Hls({ startPosition: 0, enableWorker: false, maxBufferLength: 30, backBufferLength: 120 });
    this.#hls.on(Hls.Events.ERROR, (_, e) => this.#broken(Hls, e));
    this.#hls.loadSource(`${this.base}/main.m3u8`);
    this.#hls.attachMedia(this.#audio);
  }

  // #loadFile plays the whole file, which is there when the recording has ended.
  #loadFile() {
    this.#loading = false;
    if (!this.whole) {
      this.#notice('Your browser cannot play this yet. It can when the recording has ended.');
      return;
    }
    this.#loaded = 'file';
    this.#audio.src = `${this.base}/replay.mp4`;
  }

  // #broken mends what can be mended: a network that comes back, a decoder that is begun anew.
  #broken(Hls, e) {
    if (!e.fatal) return;
    console.warn('The replay stumbles.', e.type, e.details);
    if (e.type === Hls.ErrorTypes.NETWORK_ERROR) {
      setTimeout(() => this.#hls?.startLoad(), 1000);
      this.#refresh(); // It may have been deleted.
    }
    else if (e.type === Hls.ErrorTypes.MEDIA_ERROR) this.#hls.recoverMediaError();
    else this.#loadFile();
  }

  // length is how much there is to hear, in seconds.
  get length() {
    const { seekable, duration } = this.#audio;
    const playable = seekable.length ? seekable.end(seekable.length - 1) : 0;
    return Number.isFinite(duration) && duration > 0 ? Math.max(duration, playable) : playable;
  }

  seek(to) {
    if (!this.#view || !this.length) return;
    this.#audio.currentTime = Math.min(Math.max(0, to), Math.max(0, this.length - (this.#view.live ? EDGE_S / 2 : 0.1)));
    this.#show();
  }

  skip(by) { this.seek(this.#audio.currentTime + by); }

  toggle() {
    if (!this.#audio.paused) this.#audio.pause();
    else this.#audio.play().catch((err) => { if (err.name !== 'AbortError') toast('This cannot be played right now.'); });
  }

  edge() {
    this.seek(this.length);
    this.#audio.play().catch(() => {}); // The button shows that it does not play.
  }

  // --- what is seen ---

  // #span is the time that the bars show.
  get #span() { return Math.max(this.length, this.#timeline.duration_s, 1); }

  #show() {
    if (!this.#view) return;
    const at = this.#audio.currentTime;
    const [length, playing] = [this.length, !this.#audio.paused && !this.#audio.ended];
    setText($('at'), clock(at));
    setText($('length'), clock(this.#view.live ? length : this.#view.duration_s || length));
    const seek = $('seek');
    if (!this.#seeking) Object.assign(seek, { max: this.#span, value: at });
    const words = `${spoken(at)} of ${spoken(length)}`;
    if (seek.getAttribute('aria-valuetext') !== words) seek.setAttribute('aria-valuetext', words);
    const play = $('play');
    play.querySelector('use').setAttribute('href', playing ? '#i-pause' : '#i-play');
    if (play.getAttribute('aria-label') !== (playing ? 'Pause' : 'Play')) play.setAttribute('aria-label', playing ? 'Pause' : 'Play');
    $('tracks').style.setProperty('--at', at / this.#span);
    const atEdge = this.#view.live && length - at < EDGE_S * 3 && playing;
    $('edge').setAttribute('aria-pressed', String(atEdge));
    this.#showSpeakers(at);
  }

  #showSpeakers(at) {
    const now = speakersAt(this.#timeline.people, at);
    for (const [peer, row] of this.#rows) {
      const on = String(now.has(peer));
      if (row.dataset.speaking !== on) row.dataset.speaking = on;
    }
    const who = [...now].map((peer) => this.#nameOf(peer));
    setText($('replay-now'), who.length ? `${new Intl.ListFormat('en').format(who)} ${who.length > 1 ? 'are' : 'is'} speaking` : 'Nobody is speaking');
  }

  #nameOf(peer) { return this.#view.people.find((p) => p.peer === peer)?.name ?? 'Somebody'; }

  #showRows() {
    const speakers = this.#timeline.people.filter((p) => p.speaking?.length || p.peaks?.length);
    $('no-tracks').hidden = speakers.length > 0;
    for (const p of speakers) {
      let row = this.#rows.get(p.person);
      if (row && row.dataset.name !== this.#nameOf(p.person)) { // The name came after the voice.
        row.remove();
        row = null;
      }
      if (!row) {
        row = this.#row(p.person);
        this.#rows.set(p.person, row);
        $('tracks').append(row);
      }
      const total = (p.speaking ?? []).reduce((sum, [from, to]) => sum + to - from, 0);
      const lane = row.querySelector('.lane');
      lane.setAttribute('aria-label', `${this.#nameOf(p.person)} spoke for ${spoken(total)}. Press Enter to hear the next time.`);
      lane.dataset.spoke = JSON.stringify(p.speaking ?? []);
      drawLane(lane.querySelector('svg'), p, this.#span);
    }
  }

  #row(peer) {
    const name = this.#nameOf(peer);
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    const lane = el('div', { class: 'lane', role: 'button', tabindex: '0' }, svg);
    lane.addEventListener('click', (ev) => {
      const box = lane.getBoundingClientRect();
      this.seek(((ev.clientX - box.left) / box.width) * this.#span);
    });
    lane.addEventListener('keydown', (ev) => {
      if (ev.key !== 'Enter') return;
      ev.preventDefault();
      this.seek(nearest(JSON.parse(lane.dataset.spoke), this.#audio.currentTime));
    });
    const face = avatar(name);
    const colour = this.#colour(name);
    for (const e of [lane, face]) e.style.setProperty('--hue', colour);
    return el('li', { class: 'track', 'data-testid': `track-${peer}`, 'data-name': name, 'data-speaking': 'false' },
      el('span', { class: 'who' }, face, el('b', { title: name }, name)), lane);
  }

  // #colour is that of the name, or one beside it that nobody else in this replay has.
  #colour(name) {
    const taken = [...this.#colours].filter(([n]) => n !== name).map(([, h]) => h);
    let h = this.#colours.get(name) ?? hue(name);
    for (let i = 0; i < 7 && taken.some((t) => Math.abs(((h - t + 540) % 360) - 180) < 40); i++) h = (h + 97) % 360;
    this.#colours.set(name, h);
    return h;
  }

  // --- buttons and keys ---

  #buttons() {
    const on = (e, type, f) => e.addEventListener(type, f, { signal: this.#stop.signal });
    on($('play'), 'click', () => this.toggle());
    on($('back'), 'click', () => this.skip(-BACK_S));
    on($('forth'), 'click', () => this.skip(FORTH_S));
    on($('edge'), 'click', () => this.edge());
    on($('speed'), 'change', () => this.#speed());
    on($('seek'), 'input', () => { this.#seeking = true; setText($('at'), clock($('seek').value)); });
    on($('seek'), 'change', () => { this.#seeking = false; this.seek(Number($('seek').value)); });
    on($('delete'), 'click', () => $('delete-dialog').showModal());
    on($('delete-dialog'), 'close', (ev) => {
      if (ev.currentTarget.returnValue === 'delete') this.#delete();
      ev.currentTarget.returnValue = '';
    });
    on(document, 'keydown', (ev) => this.#key(ev));
    on(this.#audio, 'loadedmetadata', () => this.#speed());
    on(this.#audio, 'error', () => {
      if (!this.#hls && this.#loaded === 'playlist') this.#loadFile();
      else if (this.#loaded === 'file') this.#refresh(); // It may have been deleted.
    });
    for (const [action, f] of [['seekbackward', () => this.skip(-BACK_S)], ['seekforward', () => this.skip(FORTH_S)]]) {
      navigator.mediaSession?.setActionHandler(action, f);
    }
  }

  #speed() { this.#audio.playbackRate = Number($('speed').value); }

  #key(ev) {
    const t = ev.target;
    if (ev.ctrlKey || ev.metaKey || ev.altKey || t.closest?.('dialog, select, input')) return;
    if (ev.key === ' ' && t.closest?.('button, a')) return; // Space presses what has the focus.
    const f = { ' ': () => this.toggle(), k: () => this.toggle(), j: () => this.skip(-BACK_S), l: () => this.skip(FORTH_S),
      ArrowLeft: () => this.skip(-BACK_S), ArrowRight: () => this.skip(FORTH_S), Home: () => this.seek(0), End: () => this.seek(this.length) }[ev.key];
    if (!f) return;
    ev.preventDefault();
    f();
  }

  async #delete() {
    try {
      const res = await fetch(`/api/replays/${encodeURIComponent(this.id)}`, { method: 'DELETE', headers: { Authorization: `Bearer ${this.#token()}` } });
      if (!res.ok) throw new Error((await res.json()).message);
    } catch (err) {
      toast(err instanceof TypeError ? 'The server cannot be reached.' : err.message);
      return;
    }
    this.close();
    this.gone('The replay is deleted', 'Nobody can listen to it any more.');
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#refreshTimer);
    clearInterval(this.#showTimer);
    this.#stop.abort();
    this.#hls?.destroy();
    this.#hls = null;
    this.#audio.pause();
    this.#audio.removeAttribute('src');
    this.#audio.load();
    for (const action of ['seekbackward', 'seekforward']) navigator.mediaSession?.setActionHandler(action, null);
  }
}
