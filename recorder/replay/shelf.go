package replay

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// shelf keeps what was made of files, for as long as the files are the same, in bounded memory: who has not been asked for
// the longest goes first. Each thing is made by one of those who ask at the same time, and the others wait for it.
type shelf[V any] struct {
	room int64 // octets

	mu    sync.Mutex
	taken int64
	items map[string]*item[V]
	order *list.List // of keys, the latest asked for in front
}

// item is written by its maker, under the shelf's lock, before ready is closed, and not any more after. Its size is above 0
// once it is made.
type item[V any] struct {
	version string
	made    time.Time // when the making began
	ready   chan struct{}
	value   V
	size    int64
	err     error
	place   *list.Element
}

func newShelf[V any](room int64) *shelf[V] {
	return &shelf[V]{room: room, items: map[string]*item[V]{}, order: list.New()}
}

// get returns what stands under key if it is of this version, or was made less than fresh ago, and has it made otherwise.
// An error is told to all who wait, and not kept.
func (s *shelf[V]) get(ctx context.Context, key, version string, fresh time.Duration, produce func() (V, int64, error)) (V, error) {
	var none V
	for {
		it, mine := s.take(key, version, fresh)
		if mine {
			s.fill(key, it, produce)
			return it.value, it.err
		}
		select {
		case <-it.ready:
		case <-ctx.Done():
			return none, ctx.Err()
		}
		if it.err != nil || it.version == version || time.Since(it.made) < fresh {
			return it.value, it.err
		}
	}
}

// recent returns what was made under key less than fresh ago.
func (s *shelf[V]) recent(key string, fresh time.Duration) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var none V
	it := s.items[key]
	if it == nil || it.size == 0 || time.Since(it.made) >= fresh {
		return none, false
	}
	s.order.MoveToFront(it.place)
	return it.value, true
}

var errUnmade = errors.New("its making has panicked")

func (s *shelf[V]) fill(key string, it *item[V], produce func() (V, int64, error)) {
	it.err = errUnmade // if it stays so, those who wait are not left waiting
	defer func() {
		s.put(key, it)
		close(it.ready)
	}()
	value, size, err := produce()
	s.mu.Lock()
	it.value, it.size, it.err = value, size, err
	s.mu.Unlock()
}

// take finds the item to wait for, or makes a new one, which is then the caller's to make.
func (s *shelf[V]) take(key, version string, fresh time.Duration) (it *item[V], mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it = s.items[key]; it != nil {
		s.order.MoveToFront(it.place)
		select {
		case <-it.ready:
		default:
			return it, false
		}
		if it.version == version || time.Since(it.made) < fresh {
			return it, false
		}
		s.drop(key, it)
	}
	it = &item[V]{version: version, made: time.Now(), ready: make(chan struct{}), place: s.order.PushFront(key)}
	s.items[key] = it
	return it, true
}

// put counts what was made, and lets the oldest go where there is too much. What is still being made counts nothing yet.
func (s *shelf[V]) put(key string, it *item[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken += it.size; it.err != nil {
		s.drop(key, it)
	}
	for e := s.order.Back(); e != nil && s.taken > s.room; {
		before := e.Prev()
		if old := s.items[e.Value.(string)]; old.size > 0 {
			s.drop(e.Value.(string), old)
		}
		e = before
	}
}

func (s *shelf[V]) drop(key string, it *item[V]) {
	s.taken -= it.size
	s.order.Remove(it.place)
	delete(s.items, key)
}
