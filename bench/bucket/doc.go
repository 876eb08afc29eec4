// Package bucket holds recorder/store against a real S3 server, versitygw, which shares no code with our client. Its
// tests build the server, run it as a process on loopback over a directory of their own, kill it, stop it and cut its
// connections, and look at the objects where they plainly lie: as files in that directory.
//
// It is a module of its own, so that the main module does not require what the server is built from.
package bucket
