package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	partSizeDefault = 8 << 20
	partSizeMin     = 5 << 20 // S3: "Amazon S3 multipart upload limits"
	partsMax        = 10_000  // likewise
	stallDefault    = 30 * time.Second
	checksumHeader  = "Sha256" // user metadata: x-amz-meta-sha256
)

// s3Store keeps objects in a bucket, under a prefix. It tries everything once: who calls knows how patient to be.
type s3Store struct {
	client    *minio.Core
	transport *http.Transport
	bucket    string
	prefix    string // "" or with a slash at its end
	part      int64  // bytes
	url       string
}

func openS3(u *url.URL, o Options) (Store, error) {
	s, secure, endpoint, region, err := parseS3(u)
	if err != nil {
		return nil, fmt.Errorf("store %q: %w", u, err)
	}
	s.part = max(o.PartSize, partSizeMin)
	if o.PartSize == 0 {
		s.part = partSizeDefault
	}
	stall := o.Stall
	if stall == 0 {
		stall = stallDefault
	}
	if s.transport, err = transport(secure, stall); err != nil {
		return nil, fmt.Errorf("store %q: %w", u, err)
	}
	s.client, err = minio.NewCore(endpoint, &minio.Options{
		Creds: creds(o), Secure: secure, Region: region, Transport: s.transport, MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("store %q: %w", u, err)
	}
	return s, nil
}

// parseS3 takes the URL apart and refuses what it does not know: a misspelt option is not to be found out by an outage.
func parseS3(u *url.URL) (s *s3Store, secure bool, endpoint, region string, err error) {
	s, secure, endpoint, region = &s3Store{bucket: u.Host, url: u.String()}, true, "s3.amazonaws.com", ""
	if u.Host == "" || u.Port() != "" {
		return nil, false, "", "", errors.New("want s3://bucket/prefix")
	}
	if s.prefix = strings.Trim(u.Path, "/"); s.prefix != "" {
		if err := CheckKey(s.prefix); err != nil {
			return nil, false, "", "", err
		}
		s.prefix += "/"
	}
	for _, name := range []string{"AWS_DEFAULT_REGION", "AWS_REGION"} {
		if r := os.Getenv(name); r != "" {
			region = r
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	for name, values := range query {
		if len(values) != 1 || values[0] == "" {
			return nil, false, "", "", fmt.Errorf("want one value for %s", name)
		}
		switch name {
		case "endpoint":
			endpoint = values[0]
		case "region":
			region = values[0]
		case "insecure":
			insecure, err := strconv.ParseBool(values[0])
			if err != nil {
				return nil, false, "", "", errors.New("insecure is true or false")
			}
			secure = !insecure
		default:
			return nil, false, "", "", fmt.Errorf("%s is none of endpoint, region, insecure", name)
		}
	}
	if strings.Contains(endpoint, "/") {
		return nil, false, "", "", fmt.Errorf("endpoint %q: want host or host:port", endpoint)
	}
	return s, secure, endpoint, region, err
}

func creds(o Options) *credentials.Credentials {
	if o.AccessKey != "" {
		return credentials.NewStaticV4(o.AccessKey, o.SecretKey, o.SessionToken)
	}
	return credentials.New(&chain{credentials.Chain{Providers: []credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	}}})
}

// chain says so when there are no credentials. Requests would else go out unsigned, and the bucket's answer would not
// tell why it refuses.
type chain struct{ credentials.Chain }

func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	v, err := c.Chain.RetrieveWithCredContext(cc)
	if err == nil && v.AccessKeyID == "" {
		return v, fmt.Errorf("%w: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", ErrDenied)
	}
	return v, err
}

func (s *s3Store) URL() string { return s.url }

func (s *s3Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

func (s *s3Store) Stat(ctx context.Context, key string) (Entry, error) {
	if err := CheckKey(key); err != nil {
		return Entry{}, fmt.Errorf("stat: %w", err)
	}
	o, err := s.client.StatObject(ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{})
	if err != nil {
		return Entry{}, fmt.Errorf("stat %s: %w", key, meaning(err))
	}
	e := s.entry(o)
	e.SHA256, e.ContentType, e.CacheControl = o.UserMetadata[checksumHeader], o.ContentType, o.Metadata.Get("Cache-Control")
	return e, nil
}

func (s *s3Store) entry(o minio.ObjectInfo) Entry {
	return Entry{
		Key: strings.TrimPrefix(o.Key, s.prefix), Size: o.Size, Modified: o.LastModified, ETag: strings.Trim(o.ETag, `"`),
	}
}

func (s *s3Store) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Entry{}, fmt.Errorf("list: %w", err))
			return
		}
		for o := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
			if o.Err != nil {
				yield(Entry{}, fmt.Errorf("list %s: %w", prefix, meaning(o.Err)))
				return
			}
			if strings.HasSuffix(o.Key, "/") {
				continue // a directory that somebody made by hand
			}
			if !yield(s.entry(o), nil) {
				return
			}
		}
	}
}

func (s *s3Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := CheckKey(key); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
	}
	return s.remove(ctx, func(yield func(minio.ObjectInfo) bool) {
		for _, key := range keys {
			if !yield(minio.ObjectInfo{Key: s.prefix + key}) {
				return
			}
		}
	})
}

// DeletePrefix aborts uploads first: one that completes in between is an object that the listing then finds. (A MinIO
// server lists uploads by an object's whole name only; those that it hides here it removes by itself after a day.)
func (s *s3Store) DeletePrefix(ctx context.Context, prefix string) error {
	if err := checkPrefix(prefix); err != nil || prefix == "" {
		return fmt.Errorf("delete %q: want a prefix with a slash at its end (%v)", prefix, err)
	}
	if err := s.abort(ctx, prefix, ""); err != nil {
		return fmt.Errorf("delete %s: %w", prefix, meaning(err))
	}
	versioning, err := s.client.GetBucketVersioning(ctx, s.bucket)
	old := err == nil && (versioning.Enabled() || versioning.Suspended()) // who may not ask has no old versions to remove
	var listing error
	err = s.remove(ctx, func(yield func(minio.ObjectInfo) bool) {
		o := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true, WithVersions: old}
		for found := range s.client.ListObjectsIter(ctx, s.bucket, o) {
			if listing = found.Err; listing != nil || !yield(found) {
				return
			}
		}
	})
	if err = errors.Join(meaning(listing), err); err != nil {
		return fmt.Errorf("delete %s: %w", prefix, err)
	}
	return nil
}

// remove deletes objects, up to a thousand with one request.
func (s *s3Store) remove(ctx context.Context, objects iter.Seq[minio.ObjectInfo]) error {
	results, err := s.client.RemoveObjectsWithIter(ctx, s.bucket, objects, minio.RemoveObjectsOptions{})
	if err != nil {
		return meaning(err)
	}
	for r := range results {
		if err := meaning(r.Err); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("delete %s: %w", r.ObjectName, err)
		}
	}
	return ctx.Err()
}

// abort ends half-finished uploads under a prefix, but for the one to be kept.
func (s *s3Store) abort(ctx context.Context, prefix, keep string) error {
	for u := range s.client.ListIncompleteUploads(ctx, s.bucket, s.prefix+prefix, true) {
		if u.Err != nil {
			return u.Err
		}
		if u.UploadID == keep {
			continue
		}
		err := s.client.AbortMultipartUpload(ctx, s.bucket, u.Key, u.UploadID)
		if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
			return err
		}
	}
	return nil
}

// denials are the answers, beside 401 and 403, that waiting does not change.
var denials = []string{"ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed", "PermanentRedirect", "InvalidBucketName"}

// meaning adds this package's word for what a bucket answered.
func meaning(err error) error {
	if err == nil {
		return nil
	}
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.Code == minio.NoSuchKey || answer.Code == minio.NoSuchVersion:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case answer.Code == minio.NoSuchUpload:
		return err // somebody has aborted it; the next attempt begins another
	case slices.Contains(denials, answer.Code) || slices.Contains(denialStatus, answer.StatusCode):
		return fmt.Errorf("%w: %s: %w", ErrDenied, answer.Code, err)
	case answer.Code == "XAmzContentSHA256Mismatch" || answer.Code == "BadDigest":
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}

// denialStatus are those of denials. 404 is one: the object is not meant here any more, so it is the bucket or the user.
var denialStatus = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}
