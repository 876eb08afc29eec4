// A client of the daemon's control socket (docs/control-protocol.md): JSON-RPC 2.0, one object a line.

import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { within } from './checks.mjs';

const ANSWER_MS = 5000;

export class Control {
  #socket;
  #waiting = new Map(); // id -> {done, fail}
  #last = 0;

  // open connects to a daemon that has said that it runs.
  static open(path) {
    const c = new Control();
    c.#socket = createConnection(path);
    c.#socket.on('error', (err) => c.#end(err));
    c.#socket.on('close', () => c.#end(new Error('the control connection has ended')));
    createInterface(c.#socket).on('line', (line) => c.#answered(JSON.parse(line))).on('error', () => {}); // told by the socket
    return new Promise((done, fail) => {
      c.#socket.once('connect', () => done(c)).once('error', fail);
    });
  }

  // call gives a method's result; an error has the daemon's message.
  call(method, params = {}) {
    const id = ++this.#last;
    const answer = new Promise((done, fail) => this.#waiting.set(id, { done, fail }));
    this.#socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    return within(ANSWER_MS, method, answer);
  }

  close() { this.#socket.end(); }

  #answered({ id, result, error }) {
    const call = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) call?.fail(new Error(`${error.message} (${error.data?.reason})`));
    else call?.done(result);
  }

  #end(err) {
    for (const { fail } of this.#waiting.values()) fail(err);
    this.#waiting.clear();
  }
}
