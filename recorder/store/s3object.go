package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"
)

// s3Object asks for the object's bytes from where it is read, in one request until the next Seek elsewhere. It names
// the ETag that it has opened, so a replaced object is an error and not a mixture.
type s3Object struct {
	ctx    context.Context
	store  *s3Store
	entry  Entry
	offset int64
	body   io.ReadCloser // nil, or stands at offset
}

func (s *s3Store) Open(ctx context.Context, key string) (Object, error) {
	e, err := s.Stat(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return &s3Object{ctx: ctx, store: s, entry: e}, nil
}

func (o *s3Object) Entry() Entry { return o.entry }

func (o *s3Object) Read(b []byte) (int, error) {
	if o.offset >= o.entry.Size {
		return 0, io.EOF
	}
	if o.body == nil {
		if err := o.request(); err != nil {
			return 0, fmt.Errorf("read %s at %d: %w", o.entry.Key, o.offset, err)
		}
	}
	n, err := o.body.Read(b)
	o.offset += int64(n)
	if err == nil || n > 0 {
		return n, nil
	}
	if errors.Is(err, io.EOF) && o.offset < o.entry.Size {
		err = io.ErrUnexpectedEOF
	}
	return 0, fmt.Errorf("read %s at %d: %w", o.entry.Key, o.offset, err)
}

func (o *s3Object) request() error {
	var opts minio.GetObjectOptions
	if err := opts.SetMatchETag(o.entry.ETag); err != nil {
		return err
	}
	if o.offset > 0 { // SetRange(0, 0) would mean the first byte
		if err := opts.SetRange(o.offset, 0); err != nil {
			return err
		}
	}
	body, _, _, err := o.store.client.GetObject(o.ctx, o.store.bucket, o.store.prefix+o.entry.Key, opts)
	if err != nil {
		return meaning(err)
	}
	o.body = body
	return nil
}

func (o *s3Object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.entry.Size
	default:
		return 0, fmt.Errorf("seek: whence %d", whence)
	}
	if offset < 0 {
		return 0, errors.New("seek: negative position")
	}
	if offset != o.offset {
		_ = o.Close() // what is not read any more may fail as it likes
		o.offset = offset
	}
	return offset, nil
}

func (o *s3Object) Close() error {
	if o.body == nil {
		return nil
	}
	err := o.body.Close()
	o.body = nil
	return err
}
