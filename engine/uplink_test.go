package engine

import (
	"testing"
	"time"

	"stentor/bench/client"
	"stentor/transport/simnet"
)

// A speaker hears which of his packets have come, so that his browser can send less before it loses more. Who does not
// stamp, or does not speak, hears nothing.
func TestSpeakersHearWhatHasCome(t *testing.T) {
	onStage(t, func(s *stage) {
		s.open("r", 3)
		ann := s.joinsWith("r", "ann", speaker, func(c *client.Config) { c.TWCC = true })
		bob := s.joins("r", "bob", speaker)
		s.net.SetLink(ann.socket.LocalAddr().Addr(), serverAddr.Addr(), simnet.Link{Loss: 0.1, Delay: 20 * time.Millisecond})
		s.talk(10*time.Second, map[*person]int{ann: -20, bob: -20})
		st := ann.client.Stats()
		if st.TWCCFeedback < 80 || st.TWCCFeedback > 110 {
			t.Errorf("%d feedbacks in 10 s, want one each 100 ms", st.TWCCFeedback)
		}
		if told := st.TWCCCame + st.TWCCLost; told < 480 || told > 500 {
			t.Errorf("feedback speaks of %d packets of 500", told)
		}
		if up := ann.state().Uplink; st.TWCCCame+6 < up.Packets || st.TWCCCame > up.Packets {
			t.Errorf("feedback says that %d have come, %d have", st.TWCCCame, up.Packets)
		}
		if st.TWCCLost < 25 || st.TWCCLost > 80 {
			t.Errorf("feedback says that %d of 500 are lost, a tenth was", st.TWCCLost)
		}
		if n := bob.client.Stats().TWCCFeedback; n != 0 {
			t.Errorf("bob, who does not stamp, got %d feedbacks", n)
		}
		before := st.TWCCFeedback
		s.wait(10 * time.Second)
		if n := ann.client.Stats().TWCCFeedback - before; n > 1 {
			t.Errorf("%d feedbacks while nobody spoke", n)
		}
	})
}
