// Package store brings recordings from the local spool to where they stay: a directory or a bucket.
//
// A Store holds objects under keys and knows nothing of recordings. [Open] makes one from a URL: file:///srv/replays, or
// s3://bucket/prefix for everything that speaks S3. Put is whole or not at all, and what it stored is proven before it
// returns; Open gives an object that http.ServeContent can serve with ranges.
//
// A [Mirror] copies recordings from the spool into a Store in the background. It is told what to copy ([Mirror.Push]),
// keeps at it for as long as it takes, and holds to one order: a file marked Mutable (a playlist, a manifest) is put
// only when everything that was pushed before it is there, so the bucket never holds a playlist that names a segment
// which it lacks. What the bucket has confirmed stands in a journal beside the files, so a restart does not begin anew;
// a large file goes on at the part where it stopped. When all of a sealed recording is confirmed, its owner is told and
// may remove it from the spool. A deletion is written down as a tombstone before it begins, and goes on over restarts
// until the bucket says that nothing is left.
//
// The spool, as this package sees it:
//
//	<spool>/<recording>/…               files, written by others, read when pushed
//	<spool>/<recording>/.stored.jsonl   what the store has confirmed, one line a file
//	<spool>/<recording>/.deleted        the tombstone; all else in the directory is gone
package store
