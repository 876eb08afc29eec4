// Package control is the protocol by which an app server drives the daemon: JSON-RPC 2.0, one object a line, over a Unix
// stream socket. docs/control-protocol.md is its reference for all languages; this page tells how the package does it.
//
// The words come first. types.go has every parameter, result and event, errors.go the closed list of reasons, engine.go
// the interface that the server drives. The server knows no rooms and no peers, and the engine knows no sockets.
//
// A request's way (session.go, methods.go):
//
//  1. wire.go reads a line, up to the limit of bytes;
//  2. decode.go checks that it is a request, strictly: what jrpc2 would answer by itself is answered before, with a reason;
//  3. one of the connection's 64 tokens is taken; without one, nothing more is read;
//  4. jrpc2 runs the request beside the connection's others;
//  5. decode.go fills the parameters and validate.go checks them: unknown fields, wrong types and missing names end here;
//  6. the engine answers, and the response is written under a deadline.
//
// Requests of one connection run concurrently: a caller that needs an order waits for each answer before it sends what
// depends on it.
//
// Events travel by cursor. The engine appends to one Log, a fixed ring; each subscription is a Follower, which is a number and a
// filter. Nothing is queued for a subscriber: one that does not read is disconnected after ten seconds, comes back with
// the cursor of its last event, and gets what it missed, or cursor_expired if the ring has gone round. Then it takes a snapshot.
// Watcher does all this for Go programs.
//
// What is bounded, and by what: connections (ServerConfig.MaxConnections), a line (MaxMessageBytes), requests in flight
// (64 a connection), events in memory (the log's capacity, and one batch of 64 a subscriber), the time a write may take.
package control
