// What is seen of a Space: the stage, the hands, the listeners.

import { $, avatar, el, icon, setText, toast } from './dom.js';

const ROLE_TEXT = { host: 'Host', speaker: 'Speaker', listener: 'Listener' };
const ANNOUNCE_MS = 1500; // who speaks is read out only when it stays so: nobody wants every breath announced

export class Room {
  #people = new Map(); // id -> {view, tile}
  #heard = new Set();  // audio ids, from the packets
  #speaking = new Set(); // ids, from the server
  #state = null;
  #hands = new Map();
  #announceTimer = 0;

  // me tells who this page is; act sends a host's wish.
  constructor({ me, act }) {
    Object.assign(this, { me, act });
    for (const id of ['stage', 'listeners', 'hands']) $(id).replaceChildren();
  }

  get state() { return this.#state; }

  show(state) {
    const before = this.#state;
    this.#state = state;
    setText($('room-title'), state.title);
    this.#speaking = new Set(state.stage.filter((p) => p.speaking).map((p) => p.id));
    this.#tell(before, state);
    const all = [...state.stage, ...state.listeners];
    const ids = new Set(all.map((p) => p.id));
    for (const [id, { tile }] of this.#people) {
      if (!ids.has(id)) {
        tile.remove();
        this.#people.delete(id);
      }
    }
    this.#fill($('stage'), state.stage);
    this.#fill($('listeners'), state.listeners);
    this.#showHands(state.listeners.filter((p) => p.hand));
    this.#showCounts(state);
    this.#showSpeaking();
  }

  // #tell says what changed among the people that both states name.
  #tell(before, state) {
    if (!before) return;
    const then = new Map([...before.stage, ...before.listeners].map((p) => [p.id, p]));
    const now = new Map([...state.stage, ...state.listeners].map((p) => [p.id, p]));
    const counted = state.listener_count <= state.listeners.length && before.listener_count <= before.listeners.length;
    for (const [id, p] of then) {
      if (!now.has(id) && id !== this.me() && (counted || p.role !== 'listener')) toast(`${p.name} left`);
    }
    for (const [id, p] of now) {
      const old = then.get(id);
      if (id === this.me()) continue;
      if (!old && counted) toast(`${p.name} joined`);
      else if (old?.role === 'listener' && p.role === 'speaker') toast(`${p.name} is on stage`);
      else if (p.role !== 'listener' && old?.here && !p.here) toast(`${p.name} lost the connection`);
    }
  }

  #fill(list, people) {
    people.forEach((p, i) => {
      let entry = this.#people.get(p.id);
      const changed = !entry || JSON.stringify(entry.view) !== JSON.stringify(p) || entry.host !== this.#isHost();
      if (changed) {
        const hadFocus = entry?.tile.contains(document.activeElement) ? document.activeElement.dataset.testid : null;
        const tile = this.#tile(p);
        if (entry) entry.tile.replaceWith(tile);
        entry = { view: p, tile, host: this.#isHost() };
        this.#people.set(p.id, entry);
        if (list.children[i] !== tile) list.insertBefore(tile, list.children[i] ?? null);
        if (hadFocus) tile.querySelector(`[data-testid="${CSS.escape(hadFocus)}"]`)?.focus();
      } else if (list.children[i] !== entry.tile) {
        list.insertBefore(entry.tile, list.children[i] ?? null);
      }
    });
  }

  #isHost() { return this.role === 'host'; }

  #tile(p) {
    const own = p.id === this.me();
    const tile = el('li', {
      class: `person ${p.here ? '' : 'away'} ${own ? 'own' : ''}`,
      'data-testid': `person-${p.id}`, 'data-role': p.role, 'data-name': p.name, 'data-speaking': 'false',
      'data-muted': String(Boolean(p.muted)), 'data-hand': String(Boolean(p.hand)), 'data-here': String(p.here),
    });
    const face = el('span', { class: 'face' }, avatar(p.name));
    if (p.muted) face.append(el('span', { class: 'mark muted', title: 'Muted' }, icon('mic-off')));
    if (p.hand) face.append(el('span', { class: 'mark hand', title: 'Asks to speak' }, icon('hand')));
    const self = own && p.role === 'listener' ? el('span', { class: 'self' }, ' (you)') : '';
    tile.append(face, el('span', { class: 'name' }, p.name, self));
    tile.append(el('span', { class: 'role' }, this.#roleText(p, own)));
    if (this.#isHost() && !own) tile.append(this.#controls(p));
    return tile;
  }

  #roleText(p, own) {
    const words = [ROLE_TEXT[p.role]];
    if (own) words.push('you');
    if (p.muted) words.push('muted');
    if (p.hand) words.push('asks to speak');
    if (!p.here) words.push('connection lost');
    return words.join(' · ');
  }

  #controls(p) {
    const box = el('span', { class: 'controls' });
    if (p.role === 'speaker') {
      if (!p.muted) box.append(this.#control('mute', p, 'mic-off', `Mute ${p.name}`));
      box.append(this.#control('demote', p, 'down', `Send ${p.name} back to the listeners`));
    }
    box.append(this.#control('remove', p, 'x', `Remove ${p.name} from the Space`));
    return box;
  }

  #control(type, p, symbol, label) {
    return el('button', {
      type: 'button', class: `small-round ${type}`, 'data-testid': `${type}-${p.id}`, 'aria-label': label, title: label,
      onclick: () => this.act({ type, member: p.id }),
    }, icon(symbol));
  }

  #showHands(hands) {
    const box = $('hands-box');
    const shown = this.#isHost() && hands.length > 0;
    box.hidden = !shown;
    const ids = new Set(hands.map((p) => p.id));
    for (const [id, row] of this.#hands) {
      if (!shown || !ids.has(id)) {
        row.remove();
        this.#hands.delete(id);
      }
    }
    if (!shown) return;
    for (const p of hands) {
      if (this.#hands.has(p.id)) continue;
      const row = el('li', {}, avatar(p.name), el('span', { class: 'name' }, p.name), el('span', { class: 'choice' },
        el('button', { type: 'button', class: 'small', 'data-testid': `decline-${p.id}`, onclick: () => this.act({ type: 'decline', member: p.id }) }, 'Not now'),
        el('button', { type: 'button', class: 'small primary', 'data-testid': `admit-${p.id}`, onclick: () => this.act({ type: 'admit', member: p.id }) }, icon('check'), 'Let speak')));
      this.#hands.set(p.id, row);
      $('hands').append(row);
      setText($('announce'), `${p.name} asks to speak`);
    }
  }

  #showCounts(state) {
    setText($('listener-count'), String(state.listener_count));
    $('no-stage').hidden = state.stage.length > 0;
    $('no-listeners').hidden = state.listener_count > 0;
    const more = state.listener_count - state.listeners.length;
    $('more').hidden = more <= 0;
    setText($('more'), `and ${more} more`);
  }

  // voices: the server says who speaks.
  voices(ids) {
    this.#speaking = new Set(ids);
    this.#showSpeaking();
  }

  // heard: the packets say whose voice arrives.
  heard(audioIds) {
    if (audioIds.size === this.#heard.size && [...audioIds].every((id) => this.#heard.has(id))) return;
    this.#heard = audioIds;
    this.#showSpeaking();
  }

  #showSpeaking() {
    const names = [];
    for (const p of this.#state?.stage ?? []) {
      const on = !p.muted && (this.#speaking.has(p.id) || (p.audio_id && this.#heard.has(p.audio_id)));
      const tile = this.#people.get(p.id)?.tile;
      if (tile && tile.dataset.speaking !== String(Boolean(on))) tile.dataset.speaking = String(Boolean(on));
      if (on) names.push(p.name);
    }
    const text = names.length === 0 ? 'Nobody is speaking' : `${list(names)} ${names.length > 1 ? 'are' : 'is'} speaking`;
    if ($('now').textContent === text) return;
    $('now').textContent = text;
    clearTimeout(this.#announceTimer);
    this.#announceTimer = setTimeout(() => setText($('announce'), names.length ? text : ''), ANNOUNCE_MS);
  }

  close() { clearTimeout(this.#announceTimer); }
}

const listFormat = new Intl.ListFormat('en');
const list = (names) => listFormat.format(names);
