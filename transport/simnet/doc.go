// Package simnet is a seeded network in memory. Its sockets are transport.Conns, so that the whole engine and its
// clients run on it: in virtual time inside a testing/synctest bubble, or in real time outside.
//
// The way of a datagram:
//
//  1. Socket.WriteTo or Sender.Flush hands it to Network.send, which shows it to the tap.
//  2. The link between the two hosts decides its fate: dropped, delivered now, delivered later, delivered twice
//     (link.go). Each flow (sender's address, receiver's address) draws from its own generator, seeded by the
//     network's seed and the two addresses: the same sends in a flow meet the same fate, whatever other flows do.
//     A link may leave the decision to a Path of its own (bench/impair has one).
//  3. What is late waits in one heap, ordered by due time and then by sending; one timer serves the heap
//     (schedule.go), so a packet costs no goroutine.
//  4. The receiver's queue is bounded as a kernel's is. Socket.ReadBatch lends up to transport.BatchSize of it;
//     what was lent is overwritten at the next ReadBatch, so that who keeps it is found out.
//
// One mutex guards everything, for short and never while something waits. Channels and the timer belong to the bubble
// in which New and Listen were called: use them there.
package simnet
