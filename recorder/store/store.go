package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"time"
)

var (
	// ErrNotFound says that there is no object under the key.
	ErrNotFound = errors.New("no such object")
	// ErrDenied says that the store was reached and refuses us: wrong or missing credentials, no such bucket, no
	// permission. Waiting does not mend it; somebody has to.
	ErrDenied = errors.New("the store refuses")
	// ErrChanged says that the bytes to be put are not those whose checksum was given.
	ErrChanged = errors.New("content differs from its checksum")
)

// Properties is what is known of an object's content before it is put.
type Properties struct {
	Size         int64  // bytes, from offset 0; a longer file is read up to here
	SHA256       string // lower-case hexadecimal
	ContentType  string // "": by the key's extension
	CacheControl string // kept by a bucket, not by a directory
}

// Entry is one object as the store tells of it.
type Entry struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
	ETag     string // changes when the content does; without quotes

	// Of Stat and Open alone; a listing does not know them.
	SHA256       string // as given to Put; "" if the store does not keep it: a directory, or an object put by others
	ContentType  string
	CacheControl string
}

// Object is an open object. It reads as it was when it was opened: if the object is replaced meanwhile, reading goes on
// with the old content or fails, and never mixes two. Not for use by several goroutines.
type Object interface {
	io.ReadSeekCloser
	Entry() Entry
}

// Store holds objects under keys: paths with slashes, see [CheckKey]. A prefix is a directory: "" or with a slash at its
// end. Safe for use by several goroutines, but a key has one writer at a time.
type Store interface {
	// Put stores p.Size bytes of body. Afterwards the object is whole, durable, and has the checksum; after an error
	// the key holds what it held before, or the new object, never a part. ErrChanged: body is not what p says.
	Put(ctx context.Context, key string, body io.ReaderAt, p Properties) error
	// Open opens an object for as long as ctx lasts. ErrNotFound if there is none.
	Open(ctx context.Context, key string) (Object, error)
	// Stat tells of an object. ErrNotFound if there is none.
	Stat(ctx context.Context, key string) (Entry, error)
	// List yields the objects under the prefix, in no promised order. An error is the last that it yields.
	List(ctx context.Context, prefix string) iter.Seq2[Entry, error]
	// Delete removes objects. One that is not there is as good as removed.
	Delete(ctx context.Context, keys ...string) error
	// DeletePrefix removes all under a prefix other than "": objects, their old versions, half-finished uploads.
	DeletePrefix(ctx context.Context, prefix string) error
	// URL names the store, without secrets.
	URL() string
	// Close lets connections go. Nothing else is called during or after it.
	Close() error
}

// Options is what a store's URL does not say. The zero value is sensible.
type Options struct {
	// AccessKey, SecretKey and SessionToken, if AccessKey is set, are used instead of those that the environment, the
	// shared credentials file or the machine's role give.
	AccessKey, SecretKey, SessionToken string

	// PartSize is from where on, and in which pieces, a bucket gets a file in parts. Bytes; default 8 MiB, at least
	// 5 MiB, which is S3's lower limit. A failed upload loses at most one part.
	PartSize int64

	// Stall is for how long a connection may stand still before it is given up. Default 30 s.
	Stall time.Duration
}

// Open makes the store that a URL names; it does not reach out to it yet.
//
//	file:///dir                 a local directory, made if it is not there
//	s3://bucket[/prefix][?…]    a bucket; the query may have
//	    endpoint=host[:port]    default s3.amazonaws.com
//	    region=name             default $AWS_REGION, $AWS_DEFAULT_REGION, or what the endpoint says
//	    insecure=true           plain HTTP
//
// Credentials for s3 are Options', else AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, else those in
// the file that AWS_SHARED_CREDENTIALS_FILE names (~/.aws/credentials), else the machine's role (IAM).
func Open(rawURL string, o Options) (Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if u.User != nil {
		return nil, errors.New("store: credentials do not belong into the URL: they come from the environment")
	}
	if u.Fragment != "" || u.Opaque != "" {
		return nil, fmt.Errorf("store %q: want file:///dir or s3://bucket/prefix", rawURL)
	}
	switch u.Scheme {
	case "file":
		return openFile(u)
	case "s3":
		return openS3(u, o)
	}
	return nil, fmt.Errorf("store %q: want file:///dir or s3://bucket/prefix", rawURL)
}
