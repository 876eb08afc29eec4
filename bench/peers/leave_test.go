package peers

import (
	"syscall"
	"testing"

	"github.com/pion/webrtc/v4"

	"stentor/engine/control"
)

// TestDaemonLeavesPolitely: SIGTERM in mid-talk. Everyone gets BYE and close_notify, subscribers their last events, and
// the exit code is 0.
func TestDaemonLeavesPolitely(t *testing.T) {
	const ip = "127.0.0.1"
	d := startDaemon(t, ip)
	d.room(t)
	// A client that closes itself at close_notify may do so before it has read the BYE that came with it: lea does not.
	lea, sam := newPeer(t, "lea", build{ip: ip, stays: true}), newPeer(t, "sam", build{ip: ip})
	lea.join(t, d, false)
	sam.join(t, d, true)
	sam.talk(always)
	lea.ear.hears(t, sam.audioID, 25)
	events := d.follow(t, "")

	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	line := lea.ear.voice(sam.audioID)[0].SSRC
	lea.ear.wait(t, "BYE of the line that was heard", func() bool { return lea.ear.byes[line] })
	left := map[string]string{}
	for {
		e := events.next(t)
		if e.Type == control.EventPeerLeft {
			left[e.Peer] = e.Reason
		}
		if e.Type == control.EventRoomClosed {
			left["the room"] = e.Reason
			break
		}
	}
	for _, who := range []string{"lea", "sam", "the room"} {
		if left[who] != control.LeftShutdown {
			t.Errorf("%s left because of %q, want %q", who, left[who], control.LeftShutdown)
		}
	}
	// Without close_notify a client would notice only when consent has run out.
	sam.becomes(t, webrtc.PeerConnectionStateClosed)
	if code := d.exit(t); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}
