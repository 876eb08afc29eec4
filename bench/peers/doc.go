// Package peers holds the daemon against a foreign client: pion/webrtc, which shares no code with ours. Its tests run
// stentord as a process, drive it over its control socket, and talk and listen through real PeerConnections on
// loopback.
//
// It is a module of its own, so that the main module does not require pion/webrtc.
package peers
