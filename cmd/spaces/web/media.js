// The page's voice and ears: one RTCPeerConnection for as long as the person is in the Space.
//
// Its first line is sendrecv from the start, without a track: being called up to speak puts a track into it and needs
// no new offer. The other lines receive. Which voice comes on which line changes all the time; the CSRC of the packets
// (RFC 3550 §5.1) says whose it is.

const HEARD_MS = 400;          // a voice is shown for so long after its last packet: longer than a lost one, shorter than a pause
const POLL_MS = 100;
const DISCONNECTED_MS = 3000;  // a path often comes back by itself sooner
const RESTARTS_MAX = 3;        // then the connection is made anew
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

// The same object for the whole life of the page, for those who look in from outside.
export const inspect = window.spaces = { pc: null, audioId: 0, receivers: [], offers: 0, negotiationNeeded: 0 };

// asking is an offer in which Opus has NACK (RFC 4585 §6.2.1): the server then sends again what was lost, while there is time.
// Chromium asks for lost packets of sound where an answer names it, but never offers it; Firefox leaves it be.
const asking = (sdp) => sdp.replace(/^a=rtpmap:(\d+) opus\/48000\/2\r\n/gim, (line, pt) =>
  sdp.includes(`a=rtcp-fb:${pt} nack\r\n`) ? line : `${line}a=rtcp-fb:${pt} nack\r\n`);

export class Media {
  #pc = null;
  #pending = null;      // the offer that waits for its answer: {n, sdp, restart}
  #n = 0;
  #restarts = 0;
  #failures = 0;
  #timers = new Set();
  #lostTimer = 0;
  #mic = null;          // the microphone's track
  #micWanted = false;
  #micAsking = null;
  #muted = false;
  #lastSeen = new Map(); // csrc -> [packet timestamp, when we saw it change]
  #closed = false;

  // send takes a message to the server; on.blocked, on.state and on.mic tell the page what happens.
  constructor({ slots, box, send, on }) {
    Object.assign(this, { slots, box, send, on });
    this.poll = setInterval(() => this.#listen(), POLL_MS);
    this.#begin();
  }

  // --- the connection ---

  #begin() {
    this.#drop();
    const pc = this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: [] });
    Object.assign(inspect, { pc, audioId: 0 });
    pc.addEventListener('negotiationneeded', () => inspect.negotiationNeeded++);
    pc.addEventListener('track', (ev) => this.#hear(ev.track));
    pc.addEventListener('connectionstatechange', () => this.#stateChanged(pc));
    pc.addEventListener('iceconnectionstatechange', () => this.#stateChanged(pc));
    this.voice = pc.addTransceiver('audio', { direction: 'sendrecv' });
    for (let i = 1; i < this.slots; i++) pc.addTransceiver('audio', { direction: 'recvonly' });
    inspect.receivers = pc.getReceivers();
    if (this.#mic) this.#putTrack(this.#mic);
    this.#offer(false);
  }

  #drop() {
    clearTimeout(this.#lostTimer);
    this.#lostTimer = 0;
    this.#pending = null;
    const old = this.#pc;
    this.#pc = null;
    old?.close();
    for (const a of this.box.querySelectorAll('audio')) a.srcObject = null;
    this.box.replaceChildren();
    this.#lastSeen.clear();
  }

  // #offer sends at once: the server answers with its own candidates and learns ours from the checks themselves.
  async #offer(restart) {
    const pc = this.#pc;
    const offer = await pc.createOffer();
    if (pc !== this.#pc || pc.signalingState === 'closed') return;
    await pc.setLocalDescription(offer);
    if (pc !== this.#pc) return;
    inspect.offers++;
    this.#pending = { n: ++this.#n, sdp: asking(pc.localDescription.sdp), restart };
    this.#sendPending();
  }

  #sendPending() {
    const { n, sdp, restart } = this.#pending;
    this.send(restart ? { type: 'offer', n, sdp, restart } : { type: 'offer', n, sdp });
  }

  async answered({ n, sdp, audio_id: audioId }) {
    if (n !== this.#pending?.n) return;
    this.#pending = null;
    this.#failures = 0;
    if (audioId) inspect.audioId = audioId;
    try {
      await this.#pc.setRemoteDescription({ type: 'answer', sdp });
      inspect.receivers = this.#pc.getReceivers();
    } catch (err) {
      console.error('The answer does not fit the offer.', err);
      this.#later(() => this.rejoin());
    }
  }

  // refused: the server could not take the offer; it is tried again with growing pauses.
  refused({ n }) {
    if (n !== this.#pending?.n) return;
    this.#pending = null;
    this.#later(() => this.rejoin());
  }

  #later(what) {
    const wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)];
    const t = setTimeout(() => {
      this.#timers.delete(t);
      if (!this.#closed) what();
    }, wait);
    this.#timers.add(t);
  }

  // resumed: the WebSocket is back. An offer whose answer may have been lost is said again.
  resumed(joined) {
    if (this.#pending) this.#sendPending();
    else if (!joined) this.rejoin();
  }

  // rejoin makes a new connection, unless a new one is already on its way.
  rejoin() {
    if (this.#closed || (this.#pending && !this.#pending.restart)) return;
    this.#restarts = 0;
    this.#begin();
  }

  // restart looks for a new path with the same keys: the network has changed, or the old path is silent.
  restart() {
    const pc = this.#pc;
    if (this.#closed || !pc || this.#pending || !pc.remoteDescription) return;
    if (this.#restarts++ >= RESTARTS_MAX) {
      this.rejoin();
      return;
    }
    pc.restartIce();
    this.#offer(true);
  }

  #stateChanged(pc) {
    if (pc !== this.#pc) return;
    const state = pc.connectionState;
    this.on.state(state);
    clearTimeout(this.#lostTimer);
    if (state === 'connected') this.#restarts = 0;
    else if (state === 'failed') this.restart();
    else if (state === 'disconnected') this.#lostTimer = setTimeout(() => this.restart(), DISCONNECTED_MS);
  }

  // --- listening ---

  #hear(track) {
    const a = document.createElement('audio');
    a.autoplay = true;
    a.srcObject = new MediaStream([track]);
    this.box.append(a);
    this.#play(a);
  }

  #play(a) {
    a.play().catch((err) => {
      if (err.name === 'NotAllowedError') this.on.blocked(true);
    });
  }

  // unlock is called from a click, which is what browsers wait for.
  unlock() {
    this.on.blocked(false);
    for (const a of this.box.querySelectorAll('audio')) this.#play(a);
  }

  // #listen looks whose packets came. Only that a timestamp moved counts, not its value: browsers differ in its origin.
  #listen() {
    const now = performance.now();
    for (const r of this.#pc?.getReceivers() ?? []) {
      for (const { source, timestamp } of r.getContributingSources?.() ?? []) {
        const last = this.#lastSeen.get(source);
        if (!last) this.#lastSeen.set(source, [timestamp, 0]);
        else if (timestamp !== last[0]) this.#lastSeen.set(source, [timestamp, now]);
      }
    }
    this.on.heard(this.heard());
  }

  // heard is the set of audio ids whose voice arrives right now.
  heard() {
    const since = performance.now() - HEARD_MS;
    return new Set([...this.#lastSeen].filter(([, [, at]]) => at > 0 && at > since).map(([id]) => id));
  }

  // --- speaking ---

  // setStage asks for the microphone when the person is called up, and gives it back when he steps down.
  setStage(onStage, muted) {
    this.#muted = muted;
    if (this.#mic) this.#mic.enabled = !muted;
    if (onStage === this.#micWanted) return;
    this.#micWanted = onStage;
    if (onStage) this.openMic();
    else this.#closeMic();
  }

  get hasMic() { return this.#mic !== null; }

  openMic() {
    this.#micAsking ??= this.#askMic().finally(() => { this.#micAsking = null; });
    return this.#micAsking;
  }

  async #askMic() {
    if (this.#mic) return true;
    try {
      if (!navigator.mediaDevices?.getUserMedia) throw new DOMException('', 'InsecureError');
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
      const [track] = stream.getAudioTracks();
      if (!this.#micWanted || this.#closed) {
        track.stop();
        return false;
      }
      track.enabled = !this.#muted;
      track.addEventListener('ended', () => this.#micLost(track));
      await this.#putTrack(track);
      this.on.mic(true, '');
      return true;
    } catch (err) {
      this.on.mic(false, explainMic(err));
      return false;
    }
  }

  // #putTrack lets the sender's line carry a track, or none; this never needs an offer.
  async #putTrack(track) {
    this.#mic = track;
    await this.voice.sender.replaceTrack(track);
  }

  #micLost(track) {
    if (track !== this.#mic) return;
    this.#putTrack(null);
    this.on.mic(false, 'Your microphone has gone. Plug it in again, then press the microphone button.');
  }

  #closeMic() {
    const track = this.#mic;
    if (this.#pc) this.#putTrack(null);
    track?.stop();
  }

  close() {
    this.#closed = true;
    clearInterval(this.poll);
    for (const t of this.#timers) clearTimeout(t);
    this.#micWanted = false;
    this.#mic?.stop();
    this.#mic = null;
    this.#drop();
    Object.assign(inspect, { pc: null, receivers: [] });
  }
}

function explainMic(err) {
  switch (err.name) {
    case 'NotAllowedError':
      return 'Your browser does not let this page use the microphone. Allow it beside the address, then press the microphone button.';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'No microphone was found. Plug one in, then press the microphone button.';
    case 'NotReadableError':
    case 'AbortError':
      return 'Another program is using the microphone. Close it there, then press the microphone button.';
    case 'InsecureError':
      return 'Browsers give the microphone only to pages on https or localhost.';
  }
  return `The microphone could not be opened (${err.name}).`;
}
