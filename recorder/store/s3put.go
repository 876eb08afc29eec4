package store

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"
)

// Put sends the body, small ones with one request, and asks the bucket what it has. Each request is signed with the
// SHA-256 of what it carries, so the bucket refuses what changes underway.
func (s *s3Store) Put(ctx context.Context, key string, body io.ReaderAt, p Properties) error {
	if err := errors.Join(CheckKey(key), p.check()); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	send := s.putWhole
	if p.Size > s.part {
		send = s.putParts
	}
	if err := send(ctx, key, body, p); err != nil {
		return fmt.Errorf("put %s: %w", key, meaning(err))
	}
	e, err := s.Stat(ctx, key)
	if err != nil {
		return fmt.Errorf("put %s: confirm: %w", key, err)
	}
	if e.Size != p.Size || e.SHA256 != p.SHA256 {
		return fmt.Errorf("put %s: the bucket has %d bytes of %q, want %d of %q", key, e.Size, e.SHA256, p.Size, p.SHA256)
	}
	return nil
}

func (s *s3Store) options(key string, p Properties) minio.PutObjectOptions {
	return minio.PutObjectOptions{
		ContentType: contentType(key, p), CacheControl: p.CacheControl, UserMetadata: map[string]string{checksumHeader: p.SHA256},
		DisableContentSha256: true, // of chunks, on plain HTTP: the whole request's is given
	}
}

func (s *s3Store) putWhole(ctx context.Context, key string, body io.ReaderAt, p Properties) error {
	r := io.NewSectionReader(body, 0, p.Size)
	_, err := s.client.PutObject(ctx, s.bucket, s.prefix+key, r, p.Size, "", p.SHA256, s.options(key, p))
	return err
}

// putParts uploads in parts, and goes on with what an earlier attempt left in the bucket. It leaves its own half behind
// when it fails, for the next attempt or for DeletePrefix.
func (s *s3Store) putParts(ctx context.Context, key string, body io.ReaderAt, p Properties) error {
	upload, have, err := s.resume(ctx, key)
	if err == nil && upload == "" {
		upload, err = s.client.NewMultipartUpload(ctx, s.bucket, s.prefix+key, s.options(key, p))
	}
	if err != nil {
		return err
	}
	size := max(s.part, (p.Size+partsMax-1)/partsMax)
	whole := sha256.New()
	var parts []minio.CompletePart
	for offset := int64(0); offset < p.Size; offset += size {
		r := io.NewSectionReader(body, offset, min(size, p.Size-offset))
		part, err := s.putPart(ctx, key, upload, len(parts)+1, r, whole, have)
		if err != nil {
			return err
		}
		parts = append(parts, part)
	}
	if hex.EncodeToString(whole.Sum(nil)) != p.SHA256 {
		return ErrChanged
	}
	if _, err := s.client.CompleteMultipartUpload(ctx, s.bucket, s.prefix+key, upload, parts, minio.PutObjectOptions{}); err != nil {
		return err
	}
	return s.disown(ctx, key, p)
}

// disown removes an object whose upload was begun for other content, years or a version ago: its metadata is of that
// time. The next attempt finds neither the upload nor the object, and begins anew.
func (s *s3Store) disown(ctx context.Context, key string, p Properties) error {
	e, err := s.Stat(ctx, key)
	if err != nil || e.SHA256 == p.SHA256 {
		return err
	}
	if err := s.Delete(ctx, key); err != nil {
		return err
	}
	return errors.New("an upload of other content was resumed; it is removed")
}

// resume finds the newest half-finished upload of the key and the parts that it has, and aborts older ones. "" if there
// is none.
func (s *s3Store) resume(ctx context.Context, key string) (upload string, have map[int]minio.ObjectPart, err error) {
	var newest minio.ObjectMultipartInfo
	ctx2, cancel := context.WithCancel(ctx)
	defer cancel() // the listing's goroutine ends with it
	for u := range s.client.ListIncompleteUploads(ctx2, s.bucket, s.prefix+key, true) {
		if u.Err != nil {
			return "", nil, u.Err
		}
		if u.Key == s.prefix+key && (newest.UploadID == "" || u.Initiated.After(newest.Initiated)) {
			newest = u
		}
	}
	if newest.UploadID == "" {
		return "", nil, nil
	}
	have = map[int]minio.ObjectPart{}
	for marker := 0; ; {
		l, err := s.client.ListObjectParts(ctx, s.bucket, s.prefix+key, newest.UploadID, marker, 1000)
		if err != nil {
			return "", nil, err
		}
		for _, part := range l.ObjectParts {
			have[part.PartNumber] = part
		}
		if !l.IsTruncated || l.NextPartNumberMarker <= marker {
			return newest.UploadID, have, nil
		}
		marker = l.NextPartNumberMarker
	}
}

// putPart uploads a part, unless the bucket has it: a part's ETag is its MD5, or something else that no part of ours
// equals (with encryption by KMS), and then it is sent again. Reading the part twice costs less than keeping it.
func (s *s3Store) putPart(ctx context.Context, key, upload string, number int, r *io.SectionReader, whole hash.Hash,
	have map[int]minio.ObjectPart,
) (minio.CompletePart, error) {
	sum, tag := sha256.New(), md5.New()
	if _, err := io.Copy(io.MultiWriter(sum, tag, whole), &contextReader{ctx, r}); err != nil {
		return minio.CompletePart{}, err
	}
	etag := hex.EncodeToString(tag.Sum(nil))
	if h, ok := have[number]; ok && h.Size == r.Size() && strings.Trim(h.ETag, `"`) == etag {
		return minio.CompletePart{PartNumber: number, ETag: h.ETag}, nil
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return minio.CompletePart{}, err
	}
	o := minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum.Sum(nil)), DisableContentSha256: true}
	part, err := s.client.PutObjectPart(ctx, s.bucket, s.prefix+key, upload, number, r, r.Size(), o)
	return minio.CompletePart{PartNumber: number, ETag: part.ETag}, err
}
