// The plainest audio room that mediasoup makes, to compare costs with: one worker, one router, a WebRtcTransport for each participant.
//
//	node sfu.mjs DIRECTORY HOST:PORT TRACKS      DIRECTORY is where "npm install mediasoup@3" has succeeded
//
//	POST /join {"speaks": bool, "sdp": offer} -> answer, with all candidates
//	GET /healthz -> {"pids": [of Node, of the worker]}
//
// The first TRACKS speakers are heard by everybody but themselves.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const levelURI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const midURI = "urn:ietf:params:rtp-hdrext:sdes:mid";
const opus = { mimeType: "audio/opus", clockRate: 48000, channels: 2 };
const loopback = "127.0.0.1";

/** What matters of an offer: the credentials of its transport, its SSRC, and how many lines it has. */
export function readOffer(sdp) {
  const value = (pattern) => sdp.match(pattern)?.[1];
  const offer = {
    lines: [...sdp.matchAll(/^m=audio /gm)].length,
    fingerprint: value(/^a=fingerprint:sha-256 (\S+)/m),
    ssrc: Number(value(/^a=ssrc:(\d+)/m)),
    cname: value(/^a=ssrc:\d+ cname:(\S+)/m),
  };
  if (!offer.lines || !offer.fingerprint || !offer.ssrc) throw new Error("the offer lacks lines, a fingerprint or an SSRC");
  return offer;
}

/** Answers as many lines as were offered; each names the SSRC of one consumer while there are some. */
export function writeAnswer(offer, transport, ssrcs) {
  const { iceParameters: ice, iceCandidates, dtlsParameters } = transport;
  const fingerprint = dtlsParameters.fingerprints.find((f) => f.algorithm === "sha-256").value;
  const out = ["v=0", `o=- 1 2 IN IP4 ${loopback}`, "s=-", "t=0 0", "a=ice-lite"];
  out.push(`a=group:BUNDLE ${Array.from({ length: offer.lines }, (_, i) => i).join(" ")}`);
  for (let i = 0; i < offer.lines; i++) {
    out.push("m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", `a=mid:${i}`, i === 0 ? "a=sendrecv" : "a=sendonly");
    out.push(`a=ice-ufrag:${ice.usernameFragment}`, `a=ice-pwd:${ice.password}`, `a=fingerprint:sha-256 ${fingerprint}`, "a=setup:passive");
    for (const c of iceCandidates) {
      out.push(`a=candidate:${c.foundation} 1 ${c.protocol} ${c.priority} ${c.ip ?? c.address} ${c.port} typ ${c.type}`);
    }
    out.push("a=rtcp-mux", "a=rtpmap:111 opus/48000/2");
    if (ssrcs[i]) out.push(`a=ssrc:${ssrcs[i]} cname:mediasoup`);
  }
  return out.join("\r\n") + "\r\n";
}

/** One room: who is heard, and the speakers' transports, which are to hear those who join later. */
export class Room {
  constructor(router, tracks, transportOptions) {
    Object.assign(this, { router, tracks, transportOptions, producers: [], speakers: [], ended: Promise.resolve() });
  }

  /** Speakers join one after the other, so that each pair of them meets once. */
  join(speaks, sdp) {
    if (!speaks) return this.enter(false, sdp);
    const joined = this.ended.then(() => this.enter(true, sdp));
    this.ended = joined.catch(() => {}); // told to whoever joined
    return joined;
  }

  async enter(speaks, sdp) {
    const offer = readOffer(sdp);
    const transport = await this.router.createWebRtcTransport(this.transportOptions);
    await transport.connect({ dtlsParameters: { role: "client", fingerprints: [{ algorithm: "sha-256", value: offer.fingerprint }] } });
    const consumers = await Promise.all(this.producers.map((p) => this.follow(transport, p)));
    if (speaks) await this.speak(transport, offer);
    return writeAnswer(offer, transport, consumers.map((c) => c.rtpParameters.encodings[0].ssrc));
  }

  async speak(transport, offer) {
    const others = this.speakers.slice();
    this.speakers.push(transport);
    if (this.producers.length >= this.tracks) return;
    const producer = await transport.produce({
      kind: "audio",
      rtpParameters: {
        mid: "0",
        codecs: [{ ...opus, payloadType: 111 }],
        headerExtensions: [{ uri: levelURI, id: 1 }, { uri: midURI, id: 4 }],
        encodings: [{ ssrc: offer.ssrc }],
        rtcp: { cname: offer.cname },
      },
    });
    this.producers.push(producer);
    await Promise.all(others.map((t) => this.follow(t, producer)));
  }

  follow(transport, producer) {
    const codecs = [{ ...opus, kind: "audio", preferredPayloadType: 111, parameters: {}, rtcpFeedback: [] }];
    return transport.consume({ producerId: producer.id, rtpCapabilities: { codecs, headerExtensions: [] }, paused: false });
  }
}

/** The option in which a release wants the address to listen on: listenInfos since 3.13. */
export function listenOptions(version) {
  const [major, minor] = version.split(".").map(Number);
  const old = major < 3 || (major === 3 && minor < 13);
  return { ...(old ? { listenIps: [{ ip: loopback }] } : { listenInfos: [{ protocol: "udp", ip: loopback }] }), enableUdp: true, enableTcp: false };
}

function serve(room, pids) {
  return createServer((request, response) => {
    const reply = (status, text) => response.writeHead(status).end(text);
    if (request.method === "GET" && request.url === "/healthz") return reply(200, JSON.stringify({ pids }));
    if (request.method !== "POST" || request.url !== "/join") return reply(404, "no such thing");
    let body = "";
    request.setEncoding("utf8").on("data", (part) => (body += part));
    request.on("end", async () => {
      try {
        const { speaks, sdp } = JSON.parse(body);
        reply(200, await room.join(speaks, sdp));
      } catch (error) {
        reply(500, String(error));
      }
    });
  });
}

async function main(directory, address, tracks) {
  const mediasoup = createRequire(pathToFileURL(`${directory}/`))("mediasoup");
  const worker = await mediasoup.createWorker({ logLevel: "error" });
  worker.on("died", () => process.exit(1));
  const router = await worker.createRouter({ mediaCodecs: [{ ...opus, kind: "audio", preferredPayloadType: 111 }] });
  const room = new Room(router, Number(tracks), listenOptions(mediasoup.version));
  const [host, port] = address.split(":");
  serve(room, [process.pid, worker.pid]).listen(Number(port), host);
  process.on("SIGTERM", () => {
    worker.close();
    process.exit(0);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(...process.argv.slice(2));
