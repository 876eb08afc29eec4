// The page: home, door, room, and the way between them. One document for all of them, so that the click that starts or
// joins a Space is also the click that lets the sound play.

import { $, avatar, el, local, setText, tab, toast } from './dom.js';
import { Media } from './media.js';
import { Replay, replayCard } from './replay.js';
import { Room } from './room.js';
import { Wire } from './wire.js';

const HOME_REFRESH_MS = 4000;
let visit = null; // the Space that this page is in
let replay = null; // the replay that it plays
let refreshTimer = 0;

// --- which view ---

function view(name) {
  for (const id of ['home', 'door', 'over', 'room', 'replay']) $(id).hidden = id !== name;
  $('bar').hidden = name !== 'room';
  $('brand').target = name === 'room' ? '_blank' : ''; // Looking at the start must not put anybody out of a Space.
  document.body.dataset.view = name;
  clearInterval(refreshTimer);
  if (name !== 'room') status('');
}

const spaceIdHere = () => location.pathname.match(/^\/s\/([^/]+)$/)?.[1] ?? null;

const replayIdHere = () => location.pathname.match(/^\/r\/([^/]+)$/)?.[1] ?? null;

function route() {
  visit?.close('leave');
  replay?.close();
  replay = null;
  if (replayIdHere()) {
    showReplay(replayIdHere());
    return;
  }
  const id = spaceIdHere();
  if (!id) showHome();
  else if (tab.getItem(`spaces.session.${id}`)) enter(id, local.getItem('spaces.name') ?? '');
  else showDoor(id);
}

function go(path) {
  history.pushState(null, '', path);
  route();
}

addEventListener('popstate', route);
addEventListener('click', (ev) => {
  const a = ev.target.closest?.('a[data-nav]');
  if (!a || a.target === '_blank' || ev.ctrlKey || ev.metaKey || ev.shiftKey || ev.button) return;
  ev.preventDefault();
  go(a.getAttribute('href'));
});

function status(text) {
  $('status').hidden = !text;
  setText($('status'), text);
}

function formError(form, text) {
  const p = form.querySelector('.form-error');
  p.hidden = !text;
  p.textContent = text;
}

// --- home ---

async function showHome() {
  view('home');
  document.title = 'Spaces';
  $('start-form').elements.name.value ||= local.getItem('spaces.name') ?? '';
  formError($('start-form'), '');
  showCards();
  refreshTimer = setInterval(showCards, HOME_REFRESH_MS);
}

async function showCards() {
  let found;
  try {
    const answers = await Promise.all(['/api/spaces', '/api/replays'].map(async (path) => (await fetch(path)).json()));
    found = Object.assign(...answers);
  } catch {
    status('The server cannot be reached. Trying again…');
    return;
  }
  if (document.body.dataset.view !== 'home') return;
  status(found.media ? '' : 'The audio server cannot be reached right now.');
  showReplays(found);
  const key = JSON.stringify(found.spaces);
  if ($('cards').dataset.key === key) return;
  $('cards').dataset.key = key;
  $('cards').replaceChildren(...found.spaces.map(card));
  $('no-cards').hidden = found.spaces.length > 0;
}

function showReplays({ replays, record, media }) {
  $('start-record').disabled = media && !record;
  if (media && !record) $('start-record').checked = false;
  setText($('record-hint'), media && !record ? 'This server keeps no recordings.' :
    'Everybody sees that it is recorded. Anyone with the link can listen, from the beginning and afterwards.');
  const key = JSON.stringify(replays.map((r) => ({ ...r, duration_s: r.live ? Math.floor(r.duration_s / 60) : r.duration_s })));
  if ($('replays').dataset.key === key) return;
  $('replays').dataset.key = key;
  $('replays').replaceChildren(...replays.map(replayCard));
  $('replays-box').hidden = replays.length === 0;
}

function card(s) {
  const faces = el('span', { class: 'faces' }, ...s.speakers.map(avatar));
  const people = s.people === 1 ? '1 person' : `${s.people} people`;
  return el('li', {}, el('a', { class: 'card space-card', href: `/s/${s.id}`, 'data-nav': '', 'data-testid': `space-${s.id}` },
    el('span', { class: 'badges' }, el('span', { class: 'badge' }, 'Live'), s.recording ? el('span', { class: 'rec' }, 'Rec') : ''),
    el('strong', {}, s.title),
    el('span', { class: 'meta' }, `${s.host} · ${people}`), faces));
}

$('start-form').addEventListener('submit', async (ev) => {
  ev.preventDefault();
  const form = ev.currentTarget;
  const { title, name, record } = form.elements;
  const button = form.querySelector('button');
  button.disabled = true;
  formError(form, '');
  try {
    const res = await fetch('/api/spaces', {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ title: title.value, name: name.value, record: record.checked }),
    });
    const answer = await res.json();
    if (!res.ok) throw new Error(answer.message);
    local.setItem('spaces.name', name.value.trim());
    local.setItem(`spaces.host.${answer.id}`, answer.host);
    history.pushState(null, '', `/s/${answer.id}`);
    enter(answer.id, name.value);
    title.value = '';
    record.checked = false;
  } catch (err) {
    formError(form, err instanceof TypeError ? 'The server cannot be reached.' : err.message);
  } finally {
    button.disabled = false;
  }
});

// lastRecording is the latest recording of a Space that has ended.
async function lastRecording(id) {
  try {
    return (await (await fetch('/api/replays')).json()).replays.find((r) => r.id.startsWith(`${id}-`))?.id;
  } catch {
    return undefined; // Then it is not offered.
  }
}

// --- door ---

async function showDoor(id) {
  let s;
  try {
    const res = await fetch(`/api/spaces/${encodeURIComponent(id)}`);
    if (res.status === 404) {
      over('This Space has ended', 'The link was right, but nobody is here any more.', null, await lastRecording(id));
      return;
    }
    s = await res.json();
  } catch {
    over('The server cannot be reached', 'Please try again in a moment.', id);
    return;
  }
  if (spaceIdHere() !== id || visit) return;
  view('door');
  document.title = `${s.title} · Spaces`;
  setText($('door-title'), s.title);
  const people = s.people === 1 ? '1 person is here' : `${s.people} people are here`;
  setText($('door-who'), `Hosted by ${s.host}. ${people}.`);
  $('door-rec').hidden = !s.recording;
  $('door-listen').href = `/r/${s.recording}`;
  const isHost = local.getItem(`spaces.host.${id}`) !== null;
  setText($('join-label'), isHost ? 'Go back in as host' : 'Join and listen');
  setText($('door-hint'), isHost ? 'Your browser asks for the microphone.' : 'You come in as a listener. Your microphone stays off.');
  formError($('join-form'), '');
  const name = $('join-form').elements.name;
  name.value ||= local.getItem('spaces.name') ?? '';
  (name.value ? $('join-form').querySelector('button') : name).focus();
}

$('join-form').addEventListener('submit', (ev) => {
  ev.preventDefault();
  const name = ev.currentTarget.elements.name.value.trim();
  if (!name) {
    formError(ev.currentTarget, 'Please tell us your name.');
    return;
  }
  local.setItem('spaces.name', name);
  enter(spaceIdHere(), name);
});

// --- over ---

function over(title, text, againId, recording) {
  view('over');
  document.title = 'Spaces';
  setText($('over-title'), title);
  setText($('over-text'), text);
  $('over-again').hidden = !againId;
  $('over-replay').hidden = !recording;
  $('over-replay').href = `/r/${recording}`;
}

$('over-again').addEventListener('click', route);

// --- replay ---

function showReplay(id) {
  view('replay');
  replay = new Replay(id, { gone: (title, text) => over(title, text) });
}

// --- room ---

function enter(id, name) {
  visit?.close('leave');
  visit = new Visit(id, name);
}

// Visit is being in one Space: the WebSocket, the media and what is seen, until it is over.
class Visit {
  #role = '';
  #you = null;
  #memberId = '';
  #media = null;
  #wired = false;
  #mediaState = 'new';
  #mediaUp = true;
  #micError = '';

  constructor(id, name) {
    Object.assign(this, { id, name });
    this.sessionKey = `spaces.session.${id}`;
    view('room');
    const link = `${location.origin}/s/${id}`;
    Object.assign($('share-link'), { href: link, textContent: link });
    setText($('room-title'), '');
    setText($('now'), '');
    setText($('you'), 'Connecting…');
    $('notice').hidden = $('unlock').hidden = $('mic').hidden = $('ask').hidden = $('step-down').hidden = $('end').hidden = $('record').hidden = true;
    this.#recorded('');
    this.room = new Room({ me: () => this.#memberId, act: (m) => this.act(m) });
    this.wire = new Wire(id, {
      hello: () => this.#hello(), on: (m) => this.#on(m),
      up: (up) => { this.#wired = up; this.#showStatus(); },
      over: (why, words) => this.#over(why, words),
    });
  }

  #hello() {
    const hello = { name: this.name };
    const session = tab.getItem(this.sessionKey);
    const host = local.getItem(`spaces.host.${this.id}`);
    if (session) hello.session = session;
    if (host) hello.host = host;
    return hello;
  }

  // act sends a wish; without a connection the person is told, rather than left wondering.
  act(message) {
    if (!this.wire.send(message)) toast('Not connected right now. Please try again in a moment.');
  }

  #on(m) {
    switch (m.type) {
      case 'welcome': return this.#welcome(m);
      case 'answer': return void this.#media?.answered(m);
      case 'refused':
        toast(m.message);
        return this.#media?.refused(m);
      case 'rejoin': return this.#media?.rejoin();
      case 'state':
        this.#mediaUp = m.media;
        this.#recorded(m.recording ?? '');
        this.room.show(m);
        document.title = `${m.title} · Spaces`;
        return this.#showStatus();
      case 'speaking': return this.room.voices(m.ids);
      case 'you': return this.#youAre(m);
      case 'error': if (m.for !== 'hello') toast(m.message);
    }
  }

  #welcome(m) {
    tab.setItem(this.sessionKey, m.session);
    this.#memberId = m.you;
    this.#youAre({ ...this.#you, role: m.role });
    if (this.#media) {
      this.#media.resumed(m.joined);
      return;
    }
    this.#media = new Media({
      slots: m.slots, box: $('audio'), send: (x) => this.wire.send(x),
      on: {
        blocked: (b) => { $('unlock').hidden = !b; },
        state: (s) => { this.#mediaState = s; this.#showStatus(); },
        heard: (ids) => this.room.heard(ids),
        mic: (ok, why) => this.#micChanged(ok, why),
      },
    });
    this.#applyStage();
    $('room-title').focus({ preventScroll: true });
  }

  #youAre(you) {
    const before = this.#you;
    this.#you = you;
    this.#role = this.room.role = you.role;
    if (before?.role === 'listener' && you.role === 'speaker') toast('You are on stage. Go ahead!');
    if (before?.role === 'speaker' && you.role === 'listener') toast('You are listening again.');
    if (before && !before.muted && you.muted && !this.mutedMyself && !this.#micError) toast('The host muted you.');
    this.mutedMyself = false;
    this.#applyStage();
    this.#showBar();
    if (this.room.state) this.room.show(this.room.state);
  }

  #applyStage() {
    const onStage = this.#role === 'host' || this.#role === 'speaker';
    if (!onStage) this.#setMicError('');
    this.#media?.setStage(onStage, Boolean(this.#you?.muted));
  }

  // #micChanged: without a microphone the others see a muted speaker, which is what he is.
  #micChanged(ok, why) {
    this.#setMicError(why);
    if (!ok && !this.#you?.muted) this.wire.send({ type: 'mic', on: false });
    this.#showBar();
  }

  #setMicError(why) {
    this.#micError = why;
    $('notice').hidden = !why;
    setText($('notice'), why);
  }

  async toggleMic() {
    const on = this.#you?.muted || !this.#media?.hasMic;
    if (on && !(await this.#media.openMic())) return;
    this.mutedMyself = !on;
    this.act({ type: 'mic', on });
    this.#media.setStage(true, !on); // At once, without waiting for the server: a mute must not leak a word.
  }

  // #recorded shows whether the Space is recorded; a status is read out when it changes.
  #recorded(recording) {
    if (this.recording === recording) return;
    this.recording = recording;
    if (recording.startsWith(`${this.id}-`)) this.wasRecorded = recording;
    $('rec').replaceChildren(...(recording ? [el('span', { class: 'rec' }, 'Rec'), el('span', {}, 'This Space is being recorded')] : []));
    $('record').setAttribute('aria-pressed', String(Boolean(recording)));
    setText($('record').querySelector('span'), recording ? 'Stop recording' : 'Record');
  }

  toggleRecord() { this.act({ type: 'record', on: !this.recording }); }
  toggleHand() { this.act({ type: 'ask', on: !this.#you?.hand }); }
  stepDown() { this.act({ type: 'demote', member: this.#memberId }); }
  unlock() { this.#media?.unlock(); }
  networkChanged() {
    this.wire.hurry();
    this.#media?.restart();
  }

  #showBar() {
    const onStage = this.#role === 'host' || this.#role === 'speaker';
    const live = onStage && !this.#you?.muted && !this.#micError;
    $('mic').hidden = !onStage;
    $('mic').classList.toggle('on', live);
    $('mic').setAttribute('aria-pressed', String(live));
    $('mic').querySelector('use').setAttribute('href', live ? '#i-mic' : '#i-mic-off');
    setText($('mic').querySelector('span'), live ? 'Mute' : 'Unmute');
    $('ask').hidden = onStage;
    const asking = Boolean(this.#you?.hand);
    $('ask').setAttribute('aria-pressed', String(asking));
    setText($('ask').querySelector('span'), asking ? 'Lower your hand' : 'Ask to speak');
    $('step-down').hidden = this.#role !== 'speaker';
    $('end').hidden = $('record').hidden = this.#role !== 'host';
    let text = 'You are listening';
    if (asking) text = 'You asked to speak';
    if (onStage) text = live ? 'Your microphone is on' : 'You are muted';
    setText($('you'), text);
  }

  #showStatus() {
    let text = '';
    if (!this.#wired) text = 'Reconnecting…';
    else if (!this.#mediaUp) text = 'The audio server is away. It will be back.';
    else if (['new', 'connecting'].includes(this.#mediaState)) text = 'Connecting the sound…';
    else if (['disconnected', 'failed'].includes(this.#mediaState)) text = 'The sound is interrupted. Reconnecting…';
    status(text);
  }

  #over(why, words) {
    const titles = { removed: 'You are no longer in this Space', replaced: 'Open in another tab', ended: 'This Space has ended', left: 'You left the Space' };
    if (why !== 'replaced') tab.removeItem(this.sessionKey);
    const bye = this.#role === 'host' ? 'It goes on without you, and you can go back in as its host.' : 'See you next time.';
    const text = words || { replaced: 'You went on in another tab or window.', left: bye }[why] || '';
    this.close();
    over(titles[why], text, why === 'left' || why === 'replaced' ? this.id : null, this.wasRecorded);
  }

  // close ends the visit from this side; say is the message that tells the server why.
  close(say) {
    if (say === 'leave') tab.removeItem(this.sessionKey);
    this.wire.close(say);
    this.#media?.close();
    this.room.close();
    if (visit === this) visit = null;
  }

  // pageHides: the tab is closed or reloaded; the session stays, for the reload.
  pageHides() { this.close('bye'); }
}

$('mic').addEventListener('click', () => visit?.toggleMic());
$('ask').addEventListener('click', () => visit?.toggleHand());
$('step-down').addEventListener('click', () => visit?.stepDown());
addEventListener('click', () => { if (!$('unlock').hidden) visit?.unlock(); }); // Any click will do, the banner's button too.
$('record').addEventListener('click', () => visit?.toggleRecord());
$('leave').addEventListener('click', () => visit?.act({ type: 'leave' }));
$('end').addEventListener('click', () => $('end-dialog').showModal());
$('end-dialog').addEventListener('close', (ev) => {
  if (ev.currentTarget.returnValue === 'end') visit?.act({ type: 'end' });
  ev.currentTarget.returnValue = '';
});

async function copyLink(ev) {
  ev.preventDefault();
  const link = $('share-link').href;
  try {
    await navigator.clipboard.writeText(link);
    toast('Link copied');
  } catch { // Without https there is no clipboard: the person copies the marked text.
    getSelection().selectAllChildren($('share-link'));
    toast('Press Ctrl+C to copy the link');
  }
}
$('copy-link').addEventListener('click', copyLink);
$('share-link').addEventListener('click', copyLink);

addEventListener('pagehide', () => visit?.pageHides());
addEventListener('pageshow', (ev) => { if (ev.persisted) location.reload(); });
addEventListener('online', () => visit?.networkChanged());
navigator.connection?.addEventListener?.('change', () => visit?.networkChanged());

route();
