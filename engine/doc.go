// Package engine is the control plane of a daemon, and the only place that knows everybody: it drives transport and
// forward, keeps the registry of rooms and peers, tells what happens as events, and serves the control protocol and
// the metrics.
//
// One lock (Engine.mu) orders everything that changes the registry, and every event is appended under it, so the
// order of events is the order of changes. What is slow (SDP, ICE agents, waiting for the data plane to let go of a
// peer) happens outside of it.
package engine
