// Package ogg writes and reads Ogg Opus files (RFC 3533, RFC 7845): a recording's tracks, one person's packets each.
//
// A Writer collects packets into pages, because a page costs 27 octets and one for each packet: 26 % of a 32 kb/s talker
// with one packet a page, 2 % with a second a page. What is collected is in memory only; Flush ends the page and hands it
// to the file in one Write, so that a crash tears at most the last page. Scan finds out up to where a torn file is whole,
// and Resume goes on behind that point as if nothing had been: same serial number, next page number, next granule.
//
// A Reader gives the packets back, each with its place. It checks every page's CRC, looks for the next page where one is
// damaged, and says what it has left out; no length that stands in a file makes it allocate.
//
// Positions are samples at 48 kHz since the first packet, pre-skip included: granule positions (RFC 7845 §4). A file of
// ours has no holes: what was lost or silent is a packet too.
package ogg
