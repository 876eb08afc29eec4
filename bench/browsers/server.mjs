// The programs under test: the Spaces server, with an engine inside or with a daemon beside it.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { within } from './checks.mjs';

// addresses are loopback and, because Firefox never uses that for media, the machine's own: what goes there does not
// leave the machine either.
function addresses() {
  const own = Object.values(networkInterfaces()).flat().filter((a) => a.family === 'IPv4' && !a.internal);
  return ['127.0.0.1', ...own.map((a) => a.address)];
}

const media = () => ['--media', '0.0.0.0:0', ...addresses().flatMap((a) => ['--advertise', a])];

// What is left to do where a story breaks off before it stops its programs.
const left = [];
process.on('exit', () => left.forEach((f) => f()));

// start runs a program until a line of its output shows that it is there, and returns what that line told, its log, and
// a way to stop it, which gives the exit code.
async function start(name, program, args, there) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  left.push(() => child.kill('SIGKILL'));
  const log = [];
  const exited = new Promise((done) => child.on('exit', (code, signal) => done(signal ?? code)));
  const told = new Promise((done, fail) => {
    const read = (line) => {
      const found = line.match(there);
      if (found) done(found[1]);
    };
    createInterface(child.stdout).on('line', read);
    createInterface(child.stderr).on('line', (line) => { log.push(line); read(line); });
    child.on('error', fail);
    exited.then((code) => fail(new Error(`${name} ended with ${code}:\n${log.join('\n')}`)));
  });
  const stop = () => {
    child.kill('SIGTERM');
    return within(10_000, `${name} stops`, exited);
  };
  return { name, told: await within(10_000, `${name} starts`, told), log, stop };
}

// scratch is a directory that is gone when the story is.
function scratch(prefix) {
  const dir = mkdtempSync(join(tmpdir(), prefix));
  left.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

// serve starts the Spaces server on a free port, with an engine inside, or with the daemon at the control socket.
export async function serve(program, control) {
  const engine = control ? ['--control', control] : media();
  const data = scratch('spaces-');
  const args = ['--listen', '127.0.0.1:0', '--data', data, ...engine];
  const server = await start('spaces', program, args, /^Spaces is at (\S+)$/);
  return { ...server, url: server.told, data };
}

// daemon starts stentord with a control socket of its own, and flags that a story wants.
export async function daemon(program, ...flags) {
  const dir = scratch('stentord-');
  const control = join(dir, 'control.sock');
  const own = ['--control', control, '--http', '', '--spool', join(dir, 'recordings'), ...media()];
  const d = await start('stentord', program, [...own, ...flags], /msg=running/);
  return { ...d, control };
}

// relay starts a relay before a daemon's address, host:port; the network behind it follows a story of bench/impair from
// the first media on.
export async function relay(program, target, story) {
  const host = target.split(':')[0];
  const args = ['bench', 'impair', '--relay', `${host}:0=${target}`, '--scenario', story];
  const r = await start(`relay of ${story}`, program, args, /^(\S+:\d+)$/);
  return { ...r, address: r.told };
}
