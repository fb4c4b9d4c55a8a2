package spool

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	bolt "go.etcd.io/bbolt"
)

var _ action.Memory = (*Memory)(nil)

func durable(m *Memory, prefix string) map[string]string {
	all := make(map[string]string)
	for key, value := range m.Durable(prefix) {
		all[key] = string(value)
	}
	return all
}

// remembers checks what the memory of an action has on disk.
func remembers(t *testing.T, s *Spool, action string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, durable(s.Queue(action).Memory(), "")); diff != "" {
		t.Errorf("memory of %s (-want +got):\n%s", action, diff)
	}
}

// TestMemoryContract: an action finds here what it does in its own tests.
func TestMemoryContract(t *testing.T) {
	actiontest.RunMemory(t, func(t *testing.T) actiontest.Remembering {
		s := openSpool(t, t.TempDir())
		t.Cleanup(func() { s.Close() })
		n := 0
		m := s.Queue("a").Memory()
		return actiontest.Remembering{
			Memory: m,
			Settle: func() {
				t.Helper()
				n++
				appendEntries(t, s, fmt.Sprint(n), entry(n, "a"))
				if err := s.Queue("a").Settle(peek(t, s.Queue("a"), 1), []Outcome{{Fate: Accepted}}, 0, m); err != nil {
					t.Fatal(err)
				}
			},
			Crash: func() action.Memory {
				s = reopen(t, s)
				return s.Queue("a").Memory()
			},
		}
	})
}

// TestMemory: what was put is on disk with the Settle that is given the memory, for this
// action and not for others, and stays there.
func TestMemory(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer func() { s.Close() }()
	appendEntries(t, s, "1", entry(1, "a", "b"), entry(2, "a"))
	q := s.Queue("a")
	m, other := q.Memory(), q.Memory()
	m.Put("x", []byte("1"))
	m.Put("empty", []byte{})
	settle(t, s.Queue("b"), peek(t, s.Queue("b"), 1), Accepted)
	remembers(t, s, "a", map[string]string{})
	if other.Get("x") != nil {
		t.Error("another memory of the queue has what is not durable")
	}
	if err := q.Settle(peek(t, q, 1), []Outcome{{Fate: Accepted}}, 0, m); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"x": "1", "empty": ""}
	remembers(t, s, "a", want)
	remembers(t, s, "b", map[string]string{})
	if got := other.Get("x"); string(got) != "1" {
		t.Errorf("another memory of the queue has %q", got)
	}
	if err := s.compact(); err != nil {
		t.Fatal(err)
	}
	remembers(t, s, "a", want)
	s = reopen(t, s)
	remembers(t, s, "a", want)
	if n := s.Queue("a").Status().Queued; n != 1 {
		t.Errorf("%d queued", n)
	}
}

// TestMemoryOfBefore: a spool without memories is one without memories.
func TestMemoryOfBefore(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer func() { s.Close() }()
	s.view(func(tx *bolt.Tx) error {
		if tx.Bucket(bucketMemories) != nil {
			t.Error("a new spool has memories: this tests nothing")
		}
		return nil
	})
	m := s.Queue("a").Memory()
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	m.Put("k", []byte("v"))
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	remembers(t, s, "a", map[string]string{"k": "v"})
}

// TestMemoryFails: together with a change that cannot be made, nothing is lost, and
// nothing counts as durable that is not.
func TestMemoryFails(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer s.Close()
	m := s.Queue("a").Memory()
	m.Put("k", []byte("v"))
	no := errors.New("no")
	err := s.update("test", func(tx *bolt.Tx) (func(), error) {
		if _, err := m.store(tx); err != nil {
			return nil, err
		}
		return nil, no
	})
	if !errors.Is(err, no) {
		t.Fatal(err)
	}
	remembers(t, s, "a", map[string]string{})
	if string(m.Get("k")) != "v" {
		t.Error("it is forgotten")
	}
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	remembers(t, s, "a", map[string]string{"k": "v"})
}

// TestMemoryChangesMeanwhile: what is put while a transaction is under way is not
// taken for durable with it.
func TestMemoryChangesMeanwhile(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer s.Close()
	m := s.Queue("a").Memory()
	m.Put("k", []byte("1"))
	m.Put("l", []byte("1"))
	err := s.update("test", func(tx *bolt.Tx) (func(), error) {
		then, err := m.store(tx)
		m.Put("k", []byte("2"))
		m.Put("l", nil)
		return then, err
	})
	if err != nil {
		t.Fatal(err)
	}
	remembers(t, s, "a", map[string]string{"k": "1", "l": "1"})
	if diff := cmp.Diff([]string{"k"}, m.Keys("")); diff != "" || string(m.Get("k")) != "2" {
		t.Errorf("%q, keys (-want +got):\n%s", m.Get("k"), diff)
	}
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	remembers(t, s, "a", map[string]string{"k": "2"})
}

// TestMemoryIsWhole: who looks at what is durable sees all of a transaction or nothing.
func TestMemoryIsWhole(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer s.Close()
	m := s.Queue("a").Memory()
	const keys = 200
	done := make(chan error)
	go func() {
		for n := range 30 {
			for key := range keys {
				m.Put(fmt.Sprint(key), fmt.Append(nil, n))
			}
			if err := m.Save(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		values := make(map[string]bool)
		for _, value := range m.Durable("") {
			values[string(value)] = true
		}
		if len(values) > 1 {
			t.Errorf("values of several transactions: %v", values)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

// TestMemoryAtOnce: for the race detector, and for locks in the wrong order.
func TestMemoryAtOnce(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer s.Close()
	m := s.Queue("a").Memory()
	done := make(chan error)
	for i := range 4 {
		go func() {
			for n := range 20 {
				m.Put(fmt.Sprint(i), fmt.Append(nil, n))
				m.Get("0")
				m.Keys("")
				durable(m, "")
				if err := m.Save(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	remembers(t, s, "a", map[string]string{"0": "19", "1": "19", "2": "19", "3": "19"})
}
