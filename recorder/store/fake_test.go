package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// bucket is a Store in memory that checks, with every playlist that comes, that it has the segments named there.
type bucket struct {
	t     *testing.T
	fails func(key string) error     // nil: it works
	hangs func(key string) bool      // until the context ends
	late  func(key string, b []byte) // of a hanging put: what becomes of it
	takes time.Duration              // a put
	mu    sync.Mutex
	has   map[string][]byte
	puts  map[string]int // calls, also those that failed
	now   int            // puts under way
	most  int
}

func newBucket(t *testing.T) *bucket {
	return &bucket{t: t, has: map[string][]byte{}, puts: map[string]int{}, takes: 50 * time.Millisecond}
}

func (b *bucket) URL() string  { return "s3://fake" }
func (b *bucket) Close() error { return nil }

func (b *bucket) call(ctx context.Context, key string) error {
	b.mu.Lock()
	fails, hangs := b.fails, b.hangs
	b.mu.Unlock()
	if hangs != nil && hangs(key) {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if fails != nil {
		return fails(key)
	}
	return nil
}

func (b *bucket) Put(ctx context.Context, key string, body io.ReaderAt, p Properties) error {
	b.mu.Lock()
	b.puts[key]++
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.now--
		b.mu.Unlock()
	}()
	content, err := io.ReadAll(io.NewSectionReader(body, 0, p.Size))
	if err != nil || sha(content) != p.SHA256 {
		b.t.Errorf("put of %s with a wrong checksum (%v)", key, err)
	}
	if err := b.call(ctx, key); err != nil {
		if b.late != nil {
			b.late(key, content)
		}
		return err
	}
	time.Sleep(b.takes) // in a bubble: virtual time, the length of an upload
	b.mu.Lock()
	defer b.mu.Unlock()
	b.has[key] = content
	b.check(key, content)
	return nil
}

// check holds the order: whatever a list names by lines is there.
func (b *bucket) check(key string, content []byte) {
	if base := path.Base(key); base != "index.m3u8" && base != "manifest.json" {
		return
	}
	recording, _, _ := strings.Cut(key, "/")
	for name := range strings.FieldsSeq(string(content)) {
		if strings.HasPrefix(name, "#") {
			continue
		}
		if _, ok := b.has[recording+"/"+name]; !ok {
			b.t.Errorf("%s names %s, which is not there", key, name)
		}
	}
}

func (b *bucket) Open(context.Context, string) (Object, error) {
	b.t.Error("the mirror opens an object")
	return nil, ErrNotFound
}

func (b *bucket) Stat(ctx context.Context, key string) (Entry, error) {
	if err := b.call(ctx, key); err != nil {
		return Entry{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.has[key]
	if !ok {
		return Entry{}, ErrNotFound
	}
	return Entry{Key: key, Size: int64(len(c)), SHA256: sha(c)}, nil
}

func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := b.call(ctx, prefix); err != nil {
			yield(Entry{}, err)
			return
		}
		for _, key := range b.keys(prefix) {
			b.mu.Lock()
			size := len(b.has[key])
			b.mu.Unlock()
			if !yield(Entry{Key: key, Size: int64(size)}, nil) {
				return
			}
		}
	}
}

func (b *bucket) keys(prefix string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Sorted(maps.Keys(b.has))
	return slices.DeleteFunc(all, func(k string) bool { return !strings.HasPrefix(k, prefix) })
}

func (b *bucket) Delete(context.Context, ...string) error {
	b.t.Error("the mirror deletes single objects")
	return nil
}

func (b *bucket) DeletePrefix(ctx context.Context, prefix string) error {
	if err := b.call(ctx, prefix); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.has, func(k string, _ []byte) bool { return strings.HasPrefix(k, prefix) })
	return nil
}

// set changes how the bucket behaves.
func (b *bucket) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *bucket) content(key string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.has[key])
}

func (b *bucket) calls() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.puts {
		n += c
	}
	return n
}

// take is a recording that grows in the spool.
type take struct {
	t        *testing.T
	dir      string
	name     string
	segments []string
}

func newTake(t *testing.T, spool, name string) *take {
	t.Helper()
	tk := &take{t: t, dir: filepath.Join(spool, name), name: name}
	if err := os.MkdirAll(filepath.Join(tk.dir, "replay"), 0o755); err != nil {
		t.Fatal(err)
	}
	return tk
}

// write puts a file in place as the recorder does, and describes it.
func (tk *take) write(name, content string, mutable bool) File {
	tk.t.Helper()
	file := filepath.Join(tk.dir, name)
	if err := os.WriteFile(file+"~", []byte(content), 0o644); err != nil {
		tk.t.Fatal(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		tk.t.Fatal(err)
	}
	return File{Name: name, Size: int64(len(content)), SHA256: sha([]byte(content)), Mutable: mutable}
}

// grow adds a segment and returns what is to be pushed.
func (tk *take) grow() []File {
	name := fmt.Sprintf("replay/seg-%05d.m4s", len(tk.segments)+1)
	segment := tk.write(name, string(bytes.Repeat([]byte{byte(len(tk.segments))}, 1000)), false)
	tk.segments = append(tk.segments, name)
	list := fmt.Sprintf("#%d\n%s", len(tk.segments), strings.Join(tk.segments, "\n"))
	return []File{segment, tk.write("replay/index.m3u8", list, true)}
}

// finish is the last push, with the manifest that says ready.
func (tk *take) finish() []File {
	return []File{tk.write("manifest.json", strings.Join(append(tk.segments, "replay/index.m3u8"), "\n"), true)}
}
