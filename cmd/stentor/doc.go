// Stentor is the operator's and developer's tool: it asks a running daemon over its control socket and prints what it
// says, as tables for people or, with --json, as the protocol's own objects, one a line.
//
// Each command makes one or two calls of engine/control's client and prints the results; it keeps nothing and changes
// nothing. Two are different: bench starts daemons of its own and measures them (package bench/fanout), and record also
// starts, stops and deletes recordings, and works on their files without a daemon (package recorder). Exit codes: 0 done, or
// --follow interrupted; 1 no daemon, or it refused, or a recording is not what it says; 2 the command line is wrong.
package main
