package peers

import (
	"regexp"
	"testing"

	"github.com/pion/dtls/v3"
	"github.com/pion/webrtc/v4"

	"stentor/engine/control"
)

const (
	gcm = dtls.SRTP_AEAD_AES_128_GCM
	cm  = dtls.SRTP_AES128_CM_HMAC_SHA1_80
)

// TestForeignClientTalksAndListens goes through both SRTP profiles and both families of addresses: a speaker is heard
// to the octet; a listener is not heard until he is called up, and then is, without a new offer.
func TestForeignClientTalksAndListens(t *testing.T) {
	for _, c := range []struct {
		name, ip string
		profile  dtls.SRTPProtectionProfile
		told     string
	}{
		{"GCM over IPv4", "127.0.0.1", gcm, "AEAD_AES_128_GCM"},
		{"GCM over IPv6", "::1", gcm, "AEAD_AES_128_GCM"},
		{"CM over IPv4", "127.0.0.1", cm, "AES128_CM_HMAC_SHA1_80"},
		{"CM over IPv6", "::1", cm, "AES128_CM_HMAC_SHA1_80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := startDaemon(t, c.ip)
			d.room(t)
			lea := newPeer(t, "lea", build{ip: c.ip, profile: c.profile, mux: onSocket(t, listen(t, c.ip))})
			sam := newPeer(t, "sam", build{ip: c.ip, profile: c.profile, mux: onSocket(t, listen(t, c.ip))})
			lea.join(t, d, false)
			sam.join(t, d, true)
			for _, p := range []*peer{lea, sam} {
				if got := d.get(t, p.name).Path.SRTPProfile; got != c.told {
					t.Errorf("%s has profile %s, want %s", p.name, got, c.told)
				}
			}
			const spoken = 100
			sam.talk(spoken)
			lea.ear.hears(t, sam.audioID, spoken)
			sam.hush()
			lea.ear.fallsSilent(t, sam.audioID)
			lea.ear.whole(t, sam, 0)
			calledUp(t, d, lea, sam)
			if n := len(sam.ear.voice(sam.audioID)); n > 0 {
				t.Errorf("the speaker heard %d packets of himself", n)
			}
		})
	}
}

// calledUp lets a listener talk before and after he may.
func calledUp(t *testing.T, d *daemon, listener, other *peer) {
	t.Helper()
	listener.talk(always)
	eventually(t, "what a listener says is dropped", func() bool { return d.get(t, listener.name).Uplink.Dropped >= 5 })
	if n := other.ear.count(); n != 0 {
		t.Fatalf("a listener is heard: %d packets", n)
	}
	d.admit(t, listener.name)
	other.ear.hears(t, listener.audioID, 50)
	listener.hush()
	if first := other.ear.whole(t, listener, -1); first < 5 {
		t.Errorf("frame %d was heard, which was spoken before he was called up", first)
	}
}

// TestUnknownFingerprintIsRefused: who has another certificate than the one his offer names gets nothing and gives
// nothing.
func TestUnknownFingerprintIsRefused(t *testing.T) {
	const ip = "127.0.0.1"
	d := startDaemon(t, ip)
	d.room(t)
	lea, sam, eve := newPeer(t, "lea", build{ip: ip}), newPeer(t, "sam", build{ip: ip}), newPeer(t, "eve", build{ip: ip})
	lea.join(t, d, false)
	sam.join(t, d, true)
	sam.talk(always)
	lea.ear.hears(t, sam.audioID, 5)

	events := d.follow(t, "")
	offer := regexp.MustCompile(`(a=fingerprint:sha-256 )(..):(..)`).ReplaceAllString(eve.offer(t, nil), "$1$3:$2")
	result, err := d.PeerJoin(t.Context(), &control.PeerJoinParams{Room: room, Peer: "eve", MaySpeak: true, SDP: offer})
	if err != nil {
		t.Fatal(err)
	}
	eve.answer(t, result.SDP)
	eve.talk(always)
	if e := events.until(t, control.EventPeerLeft, "eve"); e.Reason != control.LeftDTLSFailed {
		t.Errorf("eve left because of %s, want %s", e.Reason, control.LeftDTLSFailed)
	}
	lea.ear.hears(t, sam.audioID, len(lea.ear.voice(sam.audioID))+25)
	if n := eve.ear.count(); n != 0 {
		t.Errorf("eve heard %d packets", n)
	}
	if n := len(lea.ear.voice(result.AudioID)); n != 0 {
		t.Errorf("eve was heard: %d packets", n)
	}
	lea.ear.whole(t, sam, 0)
}

// restartLoss is how many frames pion/webrtc may lose in two restarts: two seconds.
const restartLoss = 100

// TestICERestartKeepsTheVoice: speaker and listener look for new paths in mid-talk, and the same streams go on. Nothing
// but what pion/webrtc itself has lost is missing: it leaves the old path before it has a new one.
func TestICERestartKeepsTheVoice(t *testing.T) {
	const ip = "127.0.0.1"
	d := startDaemon(t, ip)
	d.room(t)
	lea, sam := newPeer(t, "lea", build{ip: ip}), newPeer(t, "sam", build{ip: ip})
	lea.join(t, d, false)
	sam.join(t, d, true)
	sam.talk(always)
	for _, p := range []*peer{sam, lea} {
		lea.ear.hears(t, sam.audioID, len(lea.ear.voice(sam.audioID))+25)
		before := d.get(t, p.name).Path.Remote
		p.restart(t, d)
		eventually(t, "the daemon has taken a new path", func() bool { return d.get(t, p.name).Path.Remote != before })
		lea.ear.hears(t, sam.audioID, len(lea.ear.voice(sam.audioID))+50)
	}
	start, missing := lea.ear.faithful(t, sam)
	if start != 0 || missing > restartLoss {
		t.Errorf("heard from frame %d on, %d are missing", start, missing)
	}
	if n := d.counter(t, `stentor_transport_handshakes_total{result="ok"}`); n != 2 {
		t.Errorf("%d DTLS handshakes for two peers", n)
	}
}

// restart begins a new ICE generation through the control protocol.
func (p *peer) restart(t *testing.T, d *daemon) {
	t.Helper()
	sdp := p.offer(t, &webrtc.OfferOptions{ICERestart: true})
	result, err := d.PeerRestart(t.Context(), &control.PeerRestartParams{Room: room, Peer: p.name, SDP: sdp})
	if err != nil {
		t.Fatal(err)
	}
	p.answer(t, result.SDP)
}
