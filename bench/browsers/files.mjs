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

async function samples(program, args) {
  const { stdout } = await run(program, args, { ...LIMITS, encoding: 'buffer' });
  return new Float32Array(stdout.buffer, stdout.byteOffset, stdout.length >> 2);
}

export const byFFmpeg = (file) => samples('ffmpeg', ['-nostdin', '-v', 'error', '-i', file, '-f', 'f32le', '-ac', '1', '-ar', `${RATE}`, '-']);

// byOpusdec gives the left of two channels, which are the same where there was one.
export async function byOpusdec(file) {
  const both = await samples('opusdec', ['--quiet', '--float', '--force-stereo', '--rate', `${RATE}`, file, '-']);
  return both.filter((_, i) => i % 2 === 0);
}

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

// change is the time around a second at which a tone begins (on) or ends, within 3 s; null: it does neither.
export function change(pcm, hz, around, on, loudDb) {
  const STEP = 0.02;
  for (let t = Math.max(0, around - 1.5); t < around + 1.5; t += STEP) {
    const after = level(pcm, hz, t, t + 0.1);
    if ((after > loudDb) === on) return t;
  }
  return null;
}

export const seconds = (pcm) => pcm.length / RATE;
