// Package model is a network that gets worse on purpose: what one direction of a path does to datagrams, decided by a
// seed and nothing else. It has no clock, waits for nothing and sends nothing.
//
// The way of a datagram (path.go), in this order:
//
//  1. Down: while the path is down, it is lost.
//  2. The bottleneck: a queue of so many octets before a line of so many bits a second. What does not fit is lost (tail
//     drop). Bulk flows (bulk.go), as many as the conditions say, fill the same queue with packets of their own.
//  3. Loss behind it: independent of each other, or in bursts (loss.go).
//  4. Delay and jitter. Datagrams stay in order unless the conditions let them overtake.
//
// Conditions change by a schedule that is known from the start, so the moment a datagram leaves the queue is known when it
// enters, and nothing has to run in between.
package model
