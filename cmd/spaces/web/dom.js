// Small things that every part of the page uses.

export const $ = (id) => document.getElementById(id);

// el makes an element; text always goes in as text, never as markup.
export function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) {
    if (k === 'onclick') e.addEventListener('click', v);
    else if (v !== undefined && v !== null) e.setAttribute(k, v);
  }
  e.append(...children);
  return e;
}

// icon shows a symbol of index.html.
export function icon(name) {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  const use = document.createElementNS(ns, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.append(use);
  return svg;
}

// setText touches the page only when something changed: screen readers and selections stay undisturbed.
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

const segments = new Intl.Segmenter();
const firstOf = (word) => segments.segment(word)[Symbol.iterator]().next().value?.segment ?? '';

// initials are the first letters, digits or emoji of the first and the last word.
export function initials(name) {
  const words = name.replace(/[^\p{L}\p{M}\p{N}\p{Extended_Pictographic}\u200d\ufe0f ]/gu, '').split(' ').filter(Boolean);
  const letters = words.length > 1 ? firstOf(words[0]) + firstOf(words.at(-1)) : firstOf(words[0] ?? '?');
  return letters.toLocaleUpperCase();
}

// hue is the colour of a name, the same on every page: FNV-1a, and a last mixing without which short names look alike.
export function hue(name) {
  let h = 0x811c9dc5;
  for (const c of name) h = Math.imul(h ^ c.codePointAt(0), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x45d9f3b);
  return ((h ^ (h >>> 15)) >>> 0) % 360;
}

export function avatar(name) {
  const a = el('span', { class: 'avatar', 'aria-hidden': 'true' }, initials(name));
  a.style.setProperty('--hue', hue(name));
  return a;
}

// toast says something in passing.
export function toast(text) {
  const t = el('p', {}, text);
  const box = $('toasts');
  box.append(t);
  while (box.childElementCount > 2) box.firstElementChild.remove();
  setTimeout(() => t.remove(), 4000);
}

// store wraps a Storage that a browser may refuse to give.
function store(kind) {
  try {
    const s = window[kind];
    s.setItem('spaces.probe', '1');
    s.removeItem('spaces.probe');
    return s;
  } catch {
    const m = new Map();
    return { getItem: (k) => m.get(k) ?? null, setItem: (k, v) => m.set(k, v), removeItem: (k) => m.delete(k) };
  }
}

export const local = store('localStorage');
export const tab = store('sessionStorage');
