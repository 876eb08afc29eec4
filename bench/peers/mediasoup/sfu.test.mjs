// Run with: node --test bench/peers/mediasoup
import assert from "node:assert/strict";
import { test } from "node:test";
import { listenOptions, readOffer, Room, writeAnswer } from "./sfu.mjs";

const offer = [
  "v=0",
  ...[0, 1].flatMap((i) => [`m=audio 9 UDP/TLS/RTP/SAVPF 111`, "a=fingerprint:sha-256 AB:CD", `a=mid:${i}`]),
  "a=ssrc:77 cname:me",
].join("\r\n");

/** Stands for mediasoup's router; keeps who consumes whose audio. */
class FakeRouter {
  transports = [];
  followed = [];
  async createWebRtcTransport() {
    const id = this.transports.length;
    const transport = {
      iceParameters: { usernameFragment: `u${id}`, password: "p" },
      iceCandidates: [{ foundation: "f", priority: 1, ip: "127.0.0.1", protocol: "udp", port: 4000 + id, type: "host" }],
      dtlsParameters: { fingerprints: [{ algorithm: "sha-1", value: "no" }, { algorithm: "sha-256", value: "EF:01" }] },
      connect: async ({ dtlsParameters }) => assert.deepEqual(dtlsParameters.fingerprints, [{ algorithm: "sha-256", value: "AB:CD" }]),
      produce: async ({ rtpParameters }) => ({ id, ssrc: rtpParameters.encodings[0].ssrc }),
      consume: async ({ producerId }) => {
        this.followed.push(`${id}<${producerId}`);
        return { rtpParameters: { encodings: [{ ssrc: 1000 + producerId }] } };
      },
    };
    this.transports.push(transport);
    return transport;
  }
}

test("everybody hears the speakers but himself, whoever came first", async () => {
  const router = new FakeRouter();
  const room = new Room(router, 2, {});
  await Promise.all([room.join(true, offer), room.join(true, offer), room.join(true, offer)]); // the third is one too many to be heard
  const answer = await room.join(false, offer);
  assert.deepEqual(router.followed.toSorted(), ["0<1", "1<0", "2<0", "2<1", "3<0", "3<1"]);
  assert.match(answer, /a=ssrc:1000 cname[^]*a=ssrc:1001 cname/);
});

test("the answer has the offer's lines, one fingerprint and the candidate", () => {
  const parsed = readOffer(offer);
  assert.deepEqual(parsed, { lines: 2, fingerprint: "AB:CD", ssrc: 77, cname: "me" });
  const transport = {
    iceParameters: { usernameFragment: "u", password: "p" },
    iceCandidates: [{ foundation: "f", priority: 9, address: "127.0.0.1", protocol: "udp", port: 4000, type: "host" }],
    dtlsParameters: { fingerprints: [{ algorithm: "sha-256", value: "EF:01" }] },
  };
  const answer = writeAnswer(parsed, transport, [5]);
  assert.equal(answer.match(/^m=audio 9/gm).length, 2);
  assert.equal(answer.match(/^a=ssrc:/gm).length, 1);
  assert.match(answer, /^a=candidate:f 1 udp 9 127.0.0.1 4000 typ host\r$/m);
  assert.match(answer, /^a=setup:passive\r$/m);
});

test("an offer without an SSRC is refused", () => assert.throws(() => readOffer(offer.replace("ssrc", "x"))));

test("a release gets the address by the option it knows", () => {
  assert.ok("listenIps" in listenOptions("3.8.4"));
  assert.ok("listenInfos" in listenOptions("3.19.3"));
});
