// What decoders that are not ours make of a recording's files.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const RATE = 48_000;
const run = promisify(execFile);
const LIMITS = { maxBuffer: 256 << 20, timeout: 30_000 };

// complaints is what ffprobe and ffmpeg have to say of a file; empty when all is well.
export async function complaints(file) {
  const probe = await run('ffprobe', ['-v', 'warning', '-show_streams', '-of', 'json', file], LIMITS);
  const read = await run('ffmpeg', ['-nostdin', '-v', 'warning', '-i', file, '-f', 'null', '-'], LIMITS);
  const [stream] = JSON.parse(probe.stdout).streams;
  return { words: (probe.stderr + read.stderr).trim(), codec: stream.codec_name };
}

// opusinfo gives what it says of an Ogg file, and the lines of that which complain.
export async function opusinfo(file) {
  const { stdout, stderr } = await run('opusinfo', [file], LIMITS);
  const complaints = (stdout + stderr).split('\n').filter((line) => /warning|error|invalid|hole|corrupt/i.test(line));
  return { length: stdout.match(/Playback length: (\S+)/)?.[1], complaints };
}

// samples gives the left of the two channels that a decoder writes, which are the same where there was one.
async function samples(program, args) {
  const { stdout } = await run(program, args, { ...LIMITS, encoding: 'buffer' });
  const both = new Float32Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length - (stdout.length % 8)));
  return both.filter((_, i) => i % 2 === 0);
}

export const byFFmpeg = (file) => samples('ffmpeg', ['-nostdin', '-v', 'error', '-i', file, '-f', 'f32le', '-ac', '2', '-ar', `${RATE}`, '-']);
export const byOpusdec = (file) => samples('opusdec', ['--quiet', '--float', '--force-stereo', '--rate', `${RATE}`, file, '-']);

// level is a tone's, in dB of full scale, between two times in seconds.
export function level(pcm, hz, from, to) {
  const [first, last] = [Math.round(from * RATE), Math.min(Math.round(to * RATE), pcm.length)];
  if (first >= last) return -200;
  let [re, im, weight] = [0, 0, 0];
  for (let i = first; i < last; i++) {
    const w = 0.5 - 0.5 * Math.cos((2 * Math.PI * (i - first)) / (last - first)); // Hann: other tones stay out
    const phase = (2 * Math.PI * hz * i) / RATE;
    re += w * pcm[i] * Math.cos(phase);
    im += w * pcm[i] * Math.sin(phase);
    weight += w;
  }
  return Math.max(-200, 20 * Math.log10((2 / weight) * Math.hypot(re, im)));
}

// change is the time, the nearest to a second and at most 1.5 s from it, at which a tone begins (on) or ends; null: it does
// neither. It is looked for in windows of 60 ms, of which the middle counts.
export function change(pcm, hz, around, on, loudDb) {
  const [STEP, WINDOW] = [0.02, 0.06];
  let [before, found] = [null, null];
  for (let t = Math.max(0, around - 1.5); t < around + 1.5; t += STEP) {
    const now = level(pcm, hz, t, t + WINDOW) > loudDb;
    const at = t + WINDOW / 2;
    if (before === !on && now === on && (found === null || Math.abs(at - around) < Math.abs(found - around))) found = at;
    before = now;
  }
  return found;
}

export const seconds = (pcm) => pcm.length / RATE;
