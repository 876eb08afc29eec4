// What runs inside each participant's page, before the page's own scripts: a tone in place of the microphone, and ears
// that tell what the page plays. The functions are sent to the browser as text and see nothing of this file.

// install is called with the participant's tone in Hz, and its mean amplitude, of 1.
export function install(tone, loud) {
  let context = null;
  const audio = () => (context ??= new AudioContext({ sampleRate: 48000 }));

  // The tone swings a little, as voices do: an encoder may take what is quite steady for a noise in the background,
  // and leave it out. The swing's sidebands at 3 Hz fall into the tone's own bins.
  const microphone = async () => {
    const c = audio();
    await c.resume();
    const [sine, swing] = [new OscillatorNode(c, { frequency: tone }), new OscillatorNode(c, { frequency: 3 })];
    const [level, depth] = [new GainNode(c, { gain: loud }), new GainNode(c, { gain: 0.32 * loud })];
    const out = new MediaStreamAudioDestinationNode(c, { channelCount: 1 });
    swing.connect(depth).connect(level.gain);
    sine.connect(level).connect(out);
    sine.start();
    swing.start();
    return out.stream;
  };
  if (navigator.mediaDevices) navigator.mediaDevices.getUserMedia = microphone;

  // Each audio element of the page that plays gets an analyser of its own, and all go into one for the whole.
  const FFT = 8192; // bins of 5.9 Hz, a look back of 171 ms
  const SILENCE = -200; // dB, stands for nothing at all
  const lines = new Map(); // MediaStream, or the element that plays a file -> {source, analyser}
  const files = new WeakMap(); // element -> its source, of which it can have one only
  let whole = null;

  const analyser = () => new AnalyserNode(audio(), { fftSize: FFT, smoothingTimeConstant: 0, minDecibels: -150 });
  const playing = () => [...document.querySelectorAll('audio')]
    .filter((a) => (a.srcObject?.active || a.currentSrc) && !a.paused && !a.muted && a.volume > 0).map((a) => a.srcObject ?? a);

  // A file's sound goes through the graph from then on, and out of it again.
  const sourceOf = (what) => {
    if (what instanceof MediaStream) return audio().createMediaStreamSource(what);
    if (!files.has(what)) files.set(what, audio().createMediaElementSource(what));
    return files.get(what);
  };

  const attach = () => {
    if (!whole) {
      whole = analyser();
      whole.connect(new GainNode(audio(), { gain: 0 })).connect(audio().destination); // keeps the graph running
    }
    const now = new Set(playing());
    for (const [stream, { source }] of lines) {
      if (now.has(stream)) continue;
      source.disconnect();
      lines.delete(stream);
    }
    for (const stream of now) {
      if (lines.has(stream)) continue;
      const line = { source: sourceOf(stream), analyser: analyser() };
      line.source.connect(line.analyser);
      line.source.connect(whole);
      lines.set(stream, line);
    }
  };

  // level is a tone's strength in dB of full scale, and how far it stands out from what is 60 to 250 Hz beside it.
  const level = (node, hz) => {
    const bins = new Float32Array(node.frequencyBinCount);
    node.getFloatFrequencyData(bins);
    const at = (f) => Math.round(f / (audio().sampleRate / FFT));
    const [mid, near, far] = [at(hz), at(60), at(250)];
    const db = Math.max(SILENCE, ...bins.slice(mid - 2, mid + 3));
    const beside = [...bins.slice(mid - far, mid - near), ...bins.slice(mid + near, mid + far)].sort((a, b) => a - b);
    const over = db - Math.max(SILENCE, beside[beside.length >> 1]);
    return { db, over, tone: over > 20 ? db : SILENCE }; // what stands out less is noise: a bin's swings by some 10 dB
  };
  const tick = () => new Promise((done) => setTimeout(done, 20));
  const present = ({ db, over }) => db > -45 && over > 25;

  // A tape measures a tone without a break: its level in each 20 ms of what the page plays, so that no gap can fall
  // between two looks, and with each look how far it stands out. Fields: see record.
  const BLOCK = 960; // samples, 20 ms
  const LOOK = 100; // ms; what is on the analyser reaches back 683 ms, a page may be that late
  let tape = null;

  // loudness is a tone's in n samples from a place on, in dB of full scale.
  const loudness = (samples, from, n, hz) => {
    let [re, im] = [0, 0];
    for (let i = 0; i < n; i++) {
      const phase = (2 * Math.PI * hz * i) / audio().sampleRate;
      re += samples[from + i] * Math.cos(phase);
      im += samples[from + i] * Math.sin(phase);
    }
    return Math.max(SILENCE, 20 * Math.log10((2 / n) * Math.hypot(re, im)));
  };

  const look = () => {
    const { node, samples, hz } = tape;
    const now = Math.round(audio().currentTime * audio().sampleRate);
    const unseen = Math.max(0, now - tape.until - samples.length);
    tape.unseen += unseen;
    tape.until += unseen;
    node.getFloatTimeDomainData(samples);
    for (let at = samples.length - (now - tape.until); at + BLOCK <= samples.length; at += BLOCK) {
      const db = loudness(samples, at, BLOCK, hz);
      tape.until += BLOCK;
      tape.seen += BLOCK;
      tape.gap = db < -45 ? tape.gap + BLOCK : 0;
      tape.absent += db < -45 ? BLOCK : 0;
      tape.longest = Math.max(tape.longest, tape.gap);
      tape.least = Math.min(tape.least, db);
    }
    const { over } = level(whole, hz);
    tape.looks++;
    tape.over = Math.min(tape.over, over);
    if (over > 20) tape.clear++;
  };
  const blank = () => ({ seen: 0, unseen: 0, absent: 0, longest: 0, least: Infinity, over: Infinity, looks: 0, clear: 0 });

  window.ears = {
    context: () => audio().state,

    // open begins to listen.
    async open() {
      await audio().resume();
      attach();
      return audio().state;
    },

    // first waits until a tone is there, and gives the time of day in ms; null after limit ms.
    async first(hz, limit) {
      const end = performance.now() + limit;
      for (attach(); performance.now() < end; await tick(), attach()) {
        if (present(level(whole, hz))) return performance.timeOrigin + performance.now();
      }
      return null;
    },

    // begins waits until a tone begins in the file that plays, and gives the position in it, in seconds; null after limit ms.
    async begins(hz, limit) {
      const player = document.querySelector('#player');
      const end = performance.now() + limit;
      let absent = false; // at first, what was played before it was sought is still heard
      for (attach(); performance.now() < end; await tick(), attach()) {
        const now = present(level(whole, hz));
        if (now && absent) return player.currentTime;
        absent ||= !now;
      }
      return null;
    },

    // gone waits until a tone is below limitDb, and stays there for half a second; it gives the time of day in ms
    // since when it is, null after limit ms.
    async gone(hz, limitDb, limit) {
      const end = performance.now() + limit;
      let since = null;
      for (attach(); performance.now() < end; await tick(), attach()) {
        const now = performance.now();
        since = level(whole, hz).tone < limitDb ? since ?? now : null;
        if (since !== null && now - since >= 500) return performance.timeOrigin + since;
      }
      return null;
    },

    // listen measures tones for a while: the loudest and the median level of each in dB, how far it stands out, and the
    // loudest while it stood out.
    async listen(tones, ms) {
      const seen = tones.map(() => []);
      const end = performance.now() + ms;
      for (attach(); performance.now() < end; await tick(), attach()) {
        tones.forEach((hz, i) => seen[i].push(level(whole, hz)));
      }
      const median = (xs) => xs.sort((a, b) => a - b)[xs.length >> 1];
      return seen.map((s) => ({
        max: Math.max(...s.map((x) => x.db)), tone: Math.max(...s.map((x) => x.tone)),
        median: median(s.map((x) => x.db)), over: median(s.map((x) => x.over)),
      }));
    },

    // voices tells of each receiver whose packets come (by the CSRC, as long as its timestamp moves) and which of the
    // tones are on that very line.
    async voices(tones, ms) {
      attach();
      const before = new Map();
      const now = new Map();
      const look = (into) => window.spaces.receivers.forEach((r, i) => {
        for (const { source, timestamp } of r.getContributingSources()) into.set(`${i}/${source}`, timestamp);
      });
      look(before);
      const end = performance.now() + ms;
      while (performance.now() < end) await tick();
      look(now);
      const found = [];
      for (const [key, timestamp] of now) {
        if (before.get(key) === timestamp) continue;
        const [i, audioId] = key.split('/').map(Number);
        const track = window.spaces.receivers[i].track;
        const line = [...lines].find(([stream]) => stream.getTracks?.().includes(track))?.[1];
        found.push({ line: i, audioId, tones: tones.filter((hz) => line && present(level(line.analyser, hz))) });
      }
      return found;
    },

    // record begins to measure a tone without a break.
    record(hz) {
      attach();
      const node = new AnalyserNode(audio(), { fftSize: 32768 });
      whole.connect(node);
      const until = Math.round(audio().currentTime * audio().sampleRate);
      tape = { ...blank(), node, hz, until, gap: 0, samples: new Float32Array(node.fftSize) };
      setInterval(look, LOOK);
    },

    // recorded gives what was measured since it was last called: ms seen, ms unseen because the page was late, ms without the
    // tone and of the longest gap, dB of the weakest 20 ms, how often the spectrum was looked at, how often the tone stood
    // out by 20 dB then, and the least by which it did.
    recorded() {
      look();
      const { seen, unseen, absent, longest, least, looks, clear, over } = tape;
      Object.assign(tape, blank());
      return { seen: seen / 48, unseen: unseen / 48, absent: absent / 48, gap: longest / 48, least, looks, clear, over };
    },

    // received sums up inbound-rtp statistics, at a time in ms: of all lines, or of the one that a voice comes on.
    async received(audioId) {
      const on = (r) => r.getContributingSources().some(({ source }) => source === audioId);
      const line = audioId && window.spaces.receivers.find(on)?.track.id;
      const sum = {
        at: performance.now(), packets: 0, lost: 0, discarded: 0, samples: 0, concealed: 0, silent: 0, events: 0,
        stretched: 0, squeezed: 0, delay: 0, emitted: 0,
      };
      for (const s of (await window.spaces.pc.getStats()).values()) {
        if (s.type !== 'inbound-rtp' || (audioId && s.trackIdentifier !== line)) continue;
        sum.packets += s.packetsReceived ?? 0;
        sum.lost += s.packetsLost ?? 0;
        sum.discarded += s.packetsDiscarded ?? 0;
        sum.samples += s.totalSamplesReceived ?? 0;
        sum.concealed += s.concealedSamples ?? 0;
        sum.silent += s.silentConcealedSamples ?? 0;
        sum.events += s.concealmentEvents ?? 0;
        sum.stretched += s.insertedSamplesForDeceleration ?? 0;
        sum.squeezed += s.removedSamplesForAcceleration ?? 0;
        sum.delay += s.jitterBufferDelay ?? 0;
        sum.emitted += s.jitterBufferEmittedCount ?? 0;
      }
      return sum;
    },

    // exchange is what would change with another offer.
    exchange() {
      const { pc, offers, negotiationNeeded } = window.spaces;
      return {
        offers, negotiationNeeded, state: pc.signalingState, local: pc.localDescription.sdp.match(/^o=.*$/m)[0],
        remote: pc.remoteDescription.sdp.match(/^o=.*$/m)[0],
      };
    },
  };

  // When the person clicked what, in ms of the day: tests measure from there.
  window.clicked = {};
  addEventListener('click', (ev) => {
    const id = ev.target.closest?.('[data-testid]')?.dataset.testid;
    if (id) window.clicked[id] = performance.timeOrigin + performance.now();
  }, true);
}

// behind is called in a page whose way to the daemon leads through a relay: in place of the daemon's candidates, answers
// have the relay's address alone (RFC 8839 §5.1). Who does not ask leaves out that lost packets can be had again (NACK).
export function behind(host, port, asks) {
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  const lead = (sdp) => {
    let led = false;
    if (!asks) sdp = sdp.replace(/^a=rtcp-fb:\d+ nack\r\n/gm, '');
    return sdp.replace(/^a=candidate:.*\r\n/gm, (line) => {
      if (led) return '';
      led = true;
      return line.replace(/ \S+ \d+ typ host/, ` ${host} ${port} typ host`);
    });
  };
  RTCPeerConnection.prototype.setRemoteDescription = function (answer) {
    return set.call(this, { type: answer.type, sdp: lead(answer.sdp) });
  };
}
