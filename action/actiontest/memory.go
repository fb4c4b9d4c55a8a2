package actiontest

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/journald-router/journald-router/action"
)

// A Memory is an action.Memory that ends with the test: what is put is durable at once,
// or, after Hold, only once it is saved. How it goes along with what becomes of the
// messages, the spool's own shows.
type Memory struct {
	mu           sync.Mutex
	put, durable map[string][]byte
	held         bool
	saves        int
	err          error
}

// Remember gives the action a memory with what is in there, if it wants one.
func Remember(a action.Action, from map[string][]byte) *Memory {
	m := &Memory{put: map[string][]byte{}, durable: map[string][]byte{}}
	maps.Copy(m.put, from)
	maps.Copy(m.durable, from)
	if r, ok := a.(action.Rememberer); ok {
		r.Remember(m)
	}
	return m
}

// Hold has what is put be durable only once it is saved.
func (m *Memory) Hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = true
}

// Fail has Save fail with the error, or not any more.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// Saves returns how often it was saved.
func (m *Memory) Saves() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saves
}

// Crash returns what is left of it if the process dies now, for Remember.
func (m *Memory) Crash() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.durable)
}

// Get implements action.Memory.
func (m *Memory) Get(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put[key]
}

// Put implements action.Memory.
func (m *Memory) Put(key string, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value == nil {
		delete(m.put, key)
	} else {
		m.put[key] = value
	}
	if !m.held {
		m.settle()
	}
}

// Keys implements action.Memory.
func (m *Memory) Keys(prefix string) (keys []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.put)) {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Durable implements action.Memory.
func (m *Memory) Durable(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		all := m.Crash()
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if strings.HasPrefix(key, prefix) && !yield(key, all[key]) {
				return
			}
		}
	}
}

// Save implements action.Memory.
func (m *Memory) Save() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saves++
	if m.err != nil {
		return m.err
	}
	m.settle()
	return nil
}

func (m *Memory) settle() { m.durable = maps.Clone(m.put) }

// Settle makes durable what was put, as the end of a call does.
func (m *Memory) Settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
}
