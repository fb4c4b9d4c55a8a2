package spool

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/journald-router/journald-router/internal/failpoint"
	bolt "go.etcd.io/bbolt"
)

// A Memory is what one action remembers, an action.Memory. What is put into it becomes
// durable with the next Settle that is given it, or by Save; another Memory of the same
// queue knows nothing of what was not.
type Memory struct {
	queue *Queue

	mu  sync.Mutex
	put map[string]*remembered // what may not be durable yet
}

// kept is what all memories of one queue have in common: what is durable.
type kept struct {
	mu  sync.Mutex // locked after spool.mu and Memory.mu
	all map[string][]byte
}

// remembered is a value, or nil for a key that is to be forgotten. That it is one and the
// same tells, after a transaction, that nobody has put another meanwhile.
type remembered struct{ value []byte }

// Memory begins with what is durable.
func (q *Queue) Memory() *Memory { return &Memory{queue: q, put: make(map[string]*remembered)} }

// Get implements action.Memory.
func (m *Memory) Get(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.put[key]; r != nil {
		return r.value
	}
	return m.queue.kept.get(key)
}

// Put implements action.Memory.
func (m *Memory) Put(key string, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put[key] = &remembered{value}
}

// Keys implements action.Memory.
func (m *Memory) Keys(prefix string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]bool)
	for key := range m.queue.kept.beginning(prefix) {
		found[key] = true
	}
	for key, r := range m.put {
		if strings.HasPrefix(key, prefix) {
			found[key] = r.value != nil
		}
	}
	maps.DeleteFunc(found, func(_ string, there bool) bool { return !there })
	return slices.Sorted(maps.Keys(found))
}

// Durable implements action.Memory.
func (m *Memory) Durable(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		all := m.queue.kept.beginning(prefix)
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if !yield(key, all[key]) {
				return
			}
		}
	}
}

// Save implements action.Memory.
func (m *Memory) Save() error {
	failpoint.Hit("save", "begin")
	const op = "save memory"
	s := m.queue.spool
	if err := s.updateFreeing(op, m.store); err != nil {
		return err
	}
	if err := s.synced(); err != nil {
		return fmt.Errorf("%s in spool %s: %w", op, s.path, err)
	}
	return nil
}

// store writes what was put, and returns what is to be done once that is in the file. To
// nil, nothing was.
func (m *Memory) store(tx *bolt.Tx) (then func(), err error) {
	if m == nil {
		return func() {}, nil
	}
	m.mu.Lock()
	put := maps.Clone(m.put)
	m.mu.Unlock()
	if len(put) == 0 {
		return func() {}, nil
	}
	bucket, err := memories(tx, m.queue.action)
	if err != nil {
		return nil, err
	}
	for key, r := range put {
		if r.value == nil {
			err = bucket.Delete([]byte(key))
		} else {
			err = bucket.Put([]byte(key), r.value)
		}
		if err != nil {
			return nil, fmt.Errorf("remember %q: %w", key, err)
		}
	}
	return func() { m.stored(put) }, nil
}

// stored takes over what has become durable, and is not put any more unless anew.
func (m *Memory) stored(put map[string]*remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue.kept.take(put)
	for key, r := range put {
		if m.put[key] == r {
			delete(m.put, key)
		}
	}
}

func (k *kept) get(key string) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[key]
}

// beginning copies what has keys that begin with prefix.
func (k *kept) beginning(prefix string) map[string][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	some := make(map[string][]byte)
	for key, value := range k.all {
		if strings.HasPrefix(key, prefix) {
			some[key] = value
		}
	}
	return some
}

// take takes over what one transaction has made durable, so that nobody sees a part of it.
func (k *kept) take(put map[string]*remembered) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, r := range put {
		if r.value == nil {
			delete(k.all, key)
		} else {
			k.all[key] = r.value
		}
	}
}

// memories is the bucket of an action's memory. Spools of before there were any have none.
func memories(tx *bolt.Tx, action string) (*bolt.Bucket, error) {
	all, err := tx.CreateBucketIfNotExists(bucketMemories)
	if err != nil {
		return nil, err
	}
	return all.CreateBucketIfNotExists([]byte(action))
}

// loadMemories reads what all actions remember.
func (s *Spool) loadMemories(tx *bolt.Tx) error {
	all := tx.Bucket(bucketMemories)
	if all == nil {
		return nil
	}
	return all.ForEachBucket(func(action []byte) error {
		q := s.Queue(string(action))
		return all.Bucket(action).ForEach(func(key, value []byte) error {
			q.kept.all[string(key)] = append([]byte{}, value...) // not nil where it is empty
			return nil
		})
	})
}
