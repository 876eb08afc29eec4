// Package fanout measures what it costs a server to send a few speakers to many listeners. It needs Linux.
//
// One run, in the order of the files:
//
//  1. server.go starts the server as a process of its own: stentord (stentord.go), or a peer to compare with (pion.go, janus.go, livekit.go,
//     mediasoup.go). Only Join and the process ids are needed from it. translate.go is for those that make offers themselves.
//  2. ears.go opens one socket for all participants, each with a loopback address of its own (127.x.y.z). Nobody sleeps
//     on that socket: it is drained by recvmmsg on a poll, so that the server never pays for waking a receiver. ear.go
//     makes a transport.Conn of one address, and bench/client makes a participant of that: ICE, DTLS, SRTP.
//  3. crowd.go joins speakers and listeners, eight at a time.
//  4. talk.go lets speakers talk: real Opus speech (speech.go), 50 packets a second each, on a fixed schedule.
//  5. tally.go counts what each listener gets, by the header that SRTP leaves in the clear; a few listeners are probes
//     (probe.go), which decrypt every packet, know each Opus frame again (bench/client/frames.go), and tell how long it took: the
//     kernel's receive stamp less the time at which the speaker sent it.
//  6. process.go reads the server's CPU time from the scheduler's accounts, and its memory.
//  7. floor.go runs the floor in between (floorwindow.go), as a process of its own too (floorworker.go): AES-128-GCM with a key for each
//     destination and sendmmsg, nothing else; the same number, size and rhythm of packets into the same socket.
//  8. run.go tells the story, and makes bench/report's Figures of it.
//
// Another story is overload.go's: the server is bound to one CPU (confine.go), listeners come in steps until they are refused, and go again
// (siege.go); what was lost by when is read from its metrics and events, and from the listeners (overloadlook.go).
package fanout
