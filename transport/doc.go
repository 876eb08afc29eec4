// Package transport moves bytes between addresses: one UDP socket for every peer of the daemon, ICE, DTLS and SRTP
// on it. It knows nothing of rooms.
//
// The way in, in the order of the files:
//
//  1. Conn.ReadBatch (udp_linux.go) fills receive slabs with recvmmsg.
//  2. Endpoint.Poll (endpoint.go) goes by the first byte (demux.go, RFC 7983): STUN to the peer that the USERNAME
//     names: to its ICE agent while it connects (mux.go), and then it is answered on the spot (keeper.go, stun.go);
//     DTLS to the session that ICE has tied to the address: to the handshake (dtls.go), and then to what is left of it
//     (association.go); RTP and RTCP to the Receiver. Media never enters the agent.
//  3. Session.OpenRTP and OpenRTCP (srtp.go) decrypt for the one goroutine that calls Poll.
//
// The way out: whoever sends owns a Sender (one each) and the peer's Egress (gcm.go, srtp.go). It reserves a slot,
// seals into it (the sealing is the copy), commits it with a Dest, and flushes up to BatchSize slots with one
// sendmmsg.
//
// A Session (session.go) is one peer: its credentials and keys, and the addresses that ICE has validated for it. It has
// an ICE agent, a DTLS connection and goroutines only until it is connected. Its Owner hears when it is secured, when its path moves, and when it ends.
package transport
