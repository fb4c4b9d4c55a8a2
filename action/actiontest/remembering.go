package actiontest

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/action"
)

// A Remembering is a memory under test, of which only what is settled or saved is durable.
type Remembering struct {
	action.Memory
	// Settle ends a call.
	Settle func()
	// Crash is the memory as it is after the process has died now.
	Crash func() action.Memory
}

// RunMemory checks what every action.Memory promises; open makes an empty one.
func RunMemory(t *testing.T, open func(t *testing.T) Remembering) {
	t.Run("put", func(t *testing.T) {
		m := open(t)
		m.Put("a/2", []byte("?"))
		m.Put("a/2", []byte("2"))
		m.Put("a/1", []byte("1"))
		m.Put("b", []byte{})
		m.Put("gone", []byte("?"))
		m.Put("gone", nil)
		m.Put("never", nil)
		want := map[string]string{"a/1": "1", "a/2": "2", "b": ""}
		has(t, "put", m, want)
		on(t, "put", m, "", nil)
		m.Settle()
		has(t, "settled", m, want)
		on(t, "settled", m, "", want)
		on(t, "settled", m, "a/", map[string]string{"a/1": "1", "a/2": "2"})
		on(t, "settled", m, "c", nil)
		has(t, "crashed", m.Crash(), want)
	})
	t.Run("changed", func(t *testing.T) {
		m := open(t)
		before := map[string]string{"a/1": "1", "a/2": "2"}
		m.Put("a/1", []byte("1"))
		m.Put("a/2", []byte("2"))
		m.Settle()
		m.Put("a/1", nil)
		m.Put("a/2", []byte("3"))
		m.Put("a/3", []byte("4"))
		after := map[string]string{"a/2": "3", "a/3": "4"}
		has(t, "put", m, after)
		on(t, "put", m, "", before)
		m.Settle()
		on(t, "settled", m, "", after)
	})
	t.Run("saved", func(t *testing.T) {
		m := open(t)
		m.Put("a", []byte("1"))
		for range 2 { // of which the second has nothing to save
			if err := m.Save(); err != nil {
				t.Fatal(err)
			}
		}
		m.Put("a", []byte("2"))
		m.Put("b", []byte("2"))
		want := map[string]string{"a": "1"}
		on(t, "saved", m, "", want)
		has(t, "crashed", m.Crash(), want)
	})
}

// has compares what Get and Keys tell of the memory.
func has(t *testing.T, when string, m action.Memory, want map[string]string) {
	t.Helper()
	got := make(map[string]string)
	for _, key := range m.Keys("") {
		value := m.Get(key)
		if value == nil {
			t.Errorf("%s: there is no %s", when, key)
		}
		got[key] = string(value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
	if keys := m.Keys("a/"); !slices.IsSorted(keys) || slices.ContainsFunc(keys, func(key string) bool { return key[:2] != "a/" }) {
		t.Errorf("%s: the keys that begin with a/ are %q", when, keys)
	}
	for _, key := range []string{"gone", "never", "a/9", ""} {
		if value := m.Get(key); value != nil {
			t.Errorf("%s: %q is %q", when, key, value)
		}
	}
}

// on compares what is durable of the keys with the prefix.
func on(t *testing.T, when string, m action.Memory, prefix string, want map[string]string) {
	t.Helper()
	got := make(map[string]string)
	var keys []string
	for key, value := range m.Durable(prefix) {
		keys = append(keys, key)
		got[key] = string(value)
	}
	if !slices.IsSorted(keys) || !maps.Equal(got, want) {
		t.Errorf("%s: durable of %q are %q in the order %q, want %q", when, prefix, got, keys, want)
	}
	for range m.Durable(prefix) {
		break // is no reason to panic
	}
}
