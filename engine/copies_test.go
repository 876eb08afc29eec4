package engine

import (
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"stentor/bench/client"
	"stentor/bench/impair/model"
)

// Who takes no redundancy is sent every packet twice while he loses some: nearly all of them come, a packet later at the most,
// however far away he is and whatever his profile is. When the loss ends, so do the copies.
func TestWhoTakesNoRedundancyIsSentCopiesAhead(t *testing.T) {
	gcm, cm := dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80
	for seed, profile := range []dtls.SRTPProtectionProfile{gcm, cm, gcm, cm} { // each loses other packets
		adaptsOnStage(t, func(s *stage) {
			const way, slack = 60 * time.Millisecond, 5 * time.Millisecond
			s.open("r", 3)
			ann := s.joins("r", "ann", speaker)
			firefox := s.joinsWith("r", "firefox", listener, func(c *client.Config) {
				c.TWCC, c.AutoRTCP, c.NoRedundancy, c.Profiles = true, true, true, []dtls.SRTPProtectionProfile{profile}
			})
			s.worsens(firefox, uint64(seed)+1, model.Conditions{Delay: way, Loss: 0.1})
			levels := map[*person]int{ann: -20}
			s.talk(15*time.Second, levels)
			firefox.heard()
			from, began := ann.frame, time.Now()
			s.talk(30*time.Second, levels)
			s.wait(200 * time.Millisecond)
			got := firefox.heard()
			inTime, seen := 0, map[uint32]bool{}
			for _, h := range got {
				for _, so := range s.sounds([]heard{h}) {
					said := began.Add(time.Duration(so.frame-from) * frameTime)
					if so.frame < from || seen[so.frame] {
						continue
					}
					seen[so.frame] = true
					if h.At.Sub(said) <= way+frameTime+slack {
						inTime++
					}
				}
			}
			if share := float64(inTime) / float64(ann.frame-from); share < 0.98 {
				t.Errorf("seed %d: %.1f %% of the frames came within one packet", seed+1, 100*share)
			}
			q, d := firefox.state().Quality, firefox.state().Downlink
			if q.Rung != "live" || q.Redundancy != 1 || !q.Copies || q.Why != "random_loss" {
				t.Errorf("seed %d: firefox is on %+v", seed+1, q)
			}
			if d.LossPercent > 5 || d.Resent > d.Packets/50 {
				t.Errorf("seed %d: firefox reports %.1f %% of loss, and was sent %d packets again", seed+1, d.LossPercent, d.Resent)
			}
			if st := firefox.client.Stats(); st.DecryptFailures > 0 || st.Duplicates < 1000 {
				t.Errorf("seed %d: %d packets could not be read, %d came twice", seed+1, st.DecryptFailures, st.Duplicates)
			}
			s.worsens(firefox, 0, model.Conditions{Delay: way}) // no chance in it
			s.talk(30*time.Second, levels)
			if q := firefox.state().Quality; q.Redundancy != 0 || q.Copies || q.Watched {
				t.Errorf("seed %d: half a minute after the loss firefox is on %+v", seed+1, q)
			}
		})
	}
}
