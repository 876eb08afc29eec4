// The Spaces server under test, with an engine inside.

import { spawn } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { createInterface } from 'node:readline';
import { within } from './checks.mjs';

// addresses are loopback and, because Firefox never uses that for media, the machine's own: what goes there does not
// leave the machine either.
function addresses() {
  const own = Object.values(networkInterfaces()).flat().filter((a) => a.family === 'IPv4' && !a.internal);
  return ['127.0.0.1', ...own.map((a) => a.address)];
}

// serve starts the program on free ports and returns its address and a way to stop it.
export async function serve(program) {
  const advertise = addresses().flatMap((a) => ['--advertise', a]);
  const child = spawn(program, ['--listen', '127.0.0.1:0', '--media', '0.0.0.0:0', ...advertise], { stdio: ['ignore', 'pipe', 'pipe'] });
  const log = [];
  createInterface(child.stderr).on('line', (line) => log.push(line));
  const exited = new Promise((done) => child.on('exit', (code, signal) => done(signal ?? code)));
  const address = new Promise((done, fail) => {
    createInterface(child.stdout).on('line', (line) => {
      const url = line.match(/^Spaces is at (\S+)$/)?.[1];
      if (url) done(url);
    });
    exited.then((code) => fail(new Error(`spaces ended with ${code}:\n${log.join('\n')}`)));
  });
  const stop = () => {
    child.kill('SIGTERM');
    return within(10_000, 'spaces stops', exited);
  };
  return { url: await within(10_000, 'spaces starts', address), log, stop };
}
