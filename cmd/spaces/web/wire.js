// The WebSocket to the app server: it comes back by itself, and says hello with the tab's session each time.

// Close codes after which the page does not come back; ws.go has the same list.
const FINAL = new Map([[4000, 'removed'], [4001, 'replaced'], [4002, 'ended'], [4003, 'left'], [4004, 'ended']]);
const FINAL_TYPES = new Set(FINAL.values());
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 8000;

export class Wire {
  #ws = null;
  #wait = FIRST_WAIT_MS;
  #timer = 0;
  #over = false;

  // hello gives the first message; on receives every message; up tells whether the connection stands; over is called
  // once with the reason for which there will be no other.
  constructor(spaceId, { hello, on, up, over }) {
    this.url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/s/${encodeURIComponent(spaceId)}/ws`;
    Object.assign(this, { hello, on, up, over });
    this.#open();
  }

  #open() {
    const ws = this.#ws = new WebSocket(this.url);
    ws.onopen = () => ws.send(JSON.stringify({ type: 'hello', ...this.hello() }));
    ws.onmessage = (ev) => {
      const m = JSON.parse(ev.data);
      if (m.type === 'welcome') {
        this.#wait = FIRST_WAIT_MS;
        this.up(true);
      }
      if (m.message && FINAL_TYPES.has(m.type)) this.lastWord = m.message;
      if (m.type === 'error' && m.for === 'hello') this.lastWord = m.message;
      this.on(m);
    };
    ws.onclose = (ev) => this.#closed(ws, ev.code);
  }

  #closed(ws, code) {
    if (ws !== this.#ws || this.#over) return;
    if (FINAL.has(code)) {
      this.#over = true;
      this.over(FINAL.get(code), this.lastWord ?? '');
      return;
    }
    this.up(false);
    this.#timer = setTimeout(() => this.#open(), this.#wait * (0.5 + Math.random()));
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
  }

  // hurry tries at once instead of after the wait: the network has just come back.
  hurry() {
    if (this.#over || this.#ws.readyState !== WebSocket.CLOSED) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  // send reports whether the message could be given to the network.
  send(message) {
    if (this.#ws.readyState !== WebSocket.OPEN) return false;
    this.#ws.send(JSON.stringify(message));
    return true;
  }

  // close ends it from this side; bye says that the page goes away, and may come back in a moment.
  close(type) {
    this.#over = true;
    clearTimeout(this.#timer);
    if (type) this.send({ type });
    this.#ws.close(1000);
  }
}
