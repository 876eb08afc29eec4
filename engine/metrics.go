package engine

import (
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"stentor/engine/control"
	"stentor/forward"
	"stentor/forward/cc"
	"stentor/transport"
)

// metrics collects at scrape time from counters that their owners keep anyway. No label names a room or a peer: the
// number of series does not depend on who is there.
type metrics struct {
	engine   *Engine
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	callTime *prometheus.HistogramVec
}

var (
	descRooms      = desc("engine_rooms", "Rooms that are open.")
	descPeers      = desc("engine_peers", "Peers by role and state.", "role", "state")
	descDraining   = desc("engine_draining", "1 while the daemon refuses new rooms and peers.")
	descRefusing   = desc("engine_refusing", "1 while the daemon takes no more peers because its cores are busy.")
	descReceived   = desc("transport_received_packets_total", "Datagrams received, by what their first octets say.", "kind")
	descReceivedB  = desc("transport_received_bytes_total", "Octets received, without IP and UDP headers.")
	descTDrops     = desc("transport_drops_total", "Datagrams dropped by transport, by reason.", "reason")
	descHandshakes = desc("transport_handshakes_total", "DTLS handshakes by result.", "result")
	descMoves      = desc("transport_path_moves_total", "Sessions that have changed their network path.")
	descPublished  = desc("forward_published_packets_total", "Packets that went into the rooms' programs.")
	descRecovered  = desc("forward_red_recovered_packets_total", "Packets that had been lost on the way in and came back with redundancy.")
	descSent       = desc("forward_sent_packets_total", "Packets sent, by shard.", "shard")
	descSentB      = desc("forward_sent_bytes_total", "Octets sent, by shard, without IP and UDP headers.", "shard")
	descSendCalls  = desc("forward_send_calls_total", "System calls that sent them, by shard.", "shard")
	descSendDrops  = desc("forward_send_drops_total", "Packets that the kernel did not take, by reason.", "reason")
	descLegs       = desc("forward_legs", "Listeners that a shard serves.", "shard")
	descFollowers  = desc("forward_followers", "Listeners by the rendition that they are sent.", "rendition")
	descRungs      = desc("forward_rungs", "Listeners by what they are sent: what their network takes and the node can afford; without adapt all are 0.", "rung")
	descRungMoves  = desc("forward_rung_moves_total", "Changes of that, by kind.", "move")
	descCopies     = desc("forward_copies_total", "Packets that were sent a second time ahead of any loss, to who takes no redundancy, by shard.", "shard")
	descResent     = desc("forward_resent_packets_total", "Packets that a listener had lost and was sent again, by shard.", "shard")
	descRefused    = desc("forward_resend_refusals_total", "Requests to send a packet again that were not answered, by reason; each number of each NACK is one.", "reason")
	descBusy       = desc("forward_busy_seconds_total", "Time that a shard was at work.", "shard")
	descBehind     = desc("forward_behind_ratio", "Share of a room's program that waited for a shard at its last pass; at 1 packets are lost.", "shard")
	descPacked     = desc("forward_packed_ratio", "Share of those who only listen that a shard sends packed packets to spare itself.", "shard")
	descJoined     = desc("forward_gso_joined_packets_total", "Packets that shared a message with another one (UDP GSO).")
	descFallback   = desc("forward_gso_fallbacks_total", "Messages that the kernel did not take joined, and that were sent apart.")
	descFDrops     = desc("forward_drops_total", "Packets not forwarded, by reason.", "reason")
	descRTCPBad    = desc("forward_rtcp_malformed_total", "RTCP packets that were authentic and not readable.")
	descRTCPDrops  = desc("forward_rtcp_dropped_total", "Reports, NACKs and feedback that came while another one of the listener waited for a busy shard, or too many at once.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("stentor_"+name, help, labels, nil)
}

var kindNames = [...]string{
	transport.KindUnknown: "unknown", transport.KindSTUN: "stun", transport.KindDTLS: "dtls",
	transport.KindRTP: "rtp", transport.KindRTCP: "rtcp",
}

func newMetrics(e *Engine) *metrics {
	m := &metrics{
		engine: e, registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stentor_control_calls_total", Help: "Control calls by method and reason of failure (ok: none).",
		}, []string{"method", "reason"}),
		callTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "stentor_control_call_seconds", Help: "Time that control calls took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}, []string{"method"}),
	}
	m.registry.MustRegister(m, m.calls, m.callTime, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts one control call.
func (m *metrics) observe(method string, reason control.Reason, took time.Duration) {
	if method == "" {
		method = "unknown"
	}
	if reason == "" {
		reason = "ok"
	}
	m.calls.WithLabelValues(method, string(reason)).Inc()
	m.callTime.WithLabelValues(method).Observe(took.Seconds())
}

// Describe tells nothing beforehand: the collector is unchecked, and Collect is the only list.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads every counter (prometheus.Collector).
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	counts := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	m.collectRegistry(gauge)
	m.collectRecorder(out)
	t := m.engine.endpoint.Counters()
	for kind, name := range kindNames {
		count(descReceived, t.Kinds[kind].Load(), name)
	}
	count(descReceivedB, t.Bytes.Load())
	t.Drops(func(reason string, n uint64) { count(descTDrops, n, reason) })
	count(descHandshakes, t.Handshakes.Load(), "ok")
	count(descHandshakes, t.HandshakesFailed.Load(), "failed")
	count(descMoves, t.Moves.Load())

	st := m.engine.plane.Stats(time.Now())
	count(descPublished, st.Published)
	count(descRecovered, st.Recovered)
	count(descRTCPBad, st.RTCPMalformed)
	count(descRTCPDrops, st.RTCPDropped)
	var full, unreachable, joined, fallback uint64
	var followers [4]int
	var rungs [cc.Packed120One + 1]int
	var moves [cc.MovesN]uint64
	var refused [cc.RefusalsN]uint64
	for i, s := range st.Shards {
		shard := strconv.Itoa(i)
		gauge(descLegs, float64(s.Legs), shard)
		counts(descBusy, s.Busy.Seconds(), shard)
		gauge(descBehind, s.Behind, shard)
		gauge(descPacked, s.Packed, shard)
		count(descSentB, s.Sent.Bytes.Load(), shard)
		count(descSendCalls, s.Sent.Calls.Load(), shard)
		count(descSent, s.Sent.Packets.Load(), shard)
		count(descCopies, s.Copies, shard)
		count(descResent, s.Resent, shard)
		full += s.Sent.BufferFull.Load()
		unreachable += s.Sent.Unreachable.Load()
		joined += s.Sent.Joined.Load()
		fallback += s.Sent.Fallbacks.Load()
		for r, n := range s.Followers {
			followers[r] += n
		}
		for r, n := range s.Rungs {
			rungs[r] += n
		}
		for i, n := range s.Moves {
			moves[i] += n
		}
		for i, n := range s.Refused {
			refused[i] += n
		}
	}
	for r, n := range followers {
		gauge(descFollowers, float64(n), forward.Rendition(r).String())
	}
	for r, n := range rungs {
		gauge(descRungs, float64(n), cc.Rung(r).String())
	}
	for i, n := range moves {
		count(descRungMoves, n, cc.Move(i).String())
	}
	for i, n := range refused {
		if why := cc.Refusal(i); why != cc.Granted {
			count(descRefused, n, why.String())
		}
	}
	count(descJoined, joined)
	count(descFallback, fallback)
	count(descSendDrops, full, "buffer_full")
	count(descSendDrops, unreachable, "unreachable")
	m.engine.plane.Drops(func(reason string, n uint64) { count(descFDrops, n, reason) })
}

// collectRegistry counts rooms and peers.
func (m *metrics) collectRegistry(gauge func(*prometheus.Desc, float64, ...string)) {
	states := []string{control.StateConnecting, control.StateConnected, control.StateDisconnected}
	e := m.engine
	e.mu.Lock()
	rooms, draining, refusing := len(e.rooms), e.draining, e.protection.refuses
	peers := map[[2]string]int{}
	for _, r := range e.rooms {
		for _, p := range r.peers {
			peers[[2]string{role(p), p.state}]++
		}
	}
	e.mu.Unlock()
	gauge(descRooms, float64(rooms))
	gauge(descDraining, map[bool]float64{true: 1}[draining])
	gauge(descRefusing, map[bool]float64{true: 1}[refusing])
	for _, role := range []string{"speaker", "listener"} {
		for _, state := range states {
			gauge(descPeers, float64(peers[[2]string{role, state}]), role, state)
		}
	}
}

func role(p *peer) string {
	if p.maySpeak {
		return "speaker"
	}
	return "listener"
}

// httpMux serves /metrics, /healthz and, if that is set, /debug/pprof/. A daemon that drains is not healthy: whoever balances load looks elsewhere.
func (e *Engine) httpMux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(e.metrics.registry, promhttp.HandlerOpts{}))
	if e.config.Profile {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		e.mu.Lock()
		draining := e.draining
		e.mu.Unlock()
		if draining {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}
