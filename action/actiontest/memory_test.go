package actiontest_test

import (
	"errors"
	"testing"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
)

// rememberer is an action with a memory.
type rememberer struct {
	action.Action
	memory action.Memory
}

func (r *rememberer) Remember(m action.Memory) { r.memory = m }

// TestMemory: the memory for tests is as that of the spool.
func TestMemory(t *testing.T) {
	actiontest.RunMemory(t, func(*testing.T) actiontest.Remembering {
		m := actiontest.Remember(&rememberer{}, nil)
		m.Hold()
		return actiontest.Remembering{Memory: m, Settle: m.Settle, Crash: func() action.Memory {
			var again rememberer
			actiontest.Remember(&again, m.Crash())
			return again.memory
		}}
	})
}

// TestMemoryNotHeld: without Hold, all that is put is durable at once; where Save fails, it
// is put still.
func TestMemoryNotHeld(t *testing.T) {
	m := actiontest.Remember(&rememberer{}, map[string][]byte{"a": []byte("1")})
	m.Put("b", []byte("2"))
	if got := m.Crash(); len(got) != 2 || string(got["b"]) != "2" {
		t.Errorf("%q", got)
	}
	m.Hold()
	no := errors.New("no")
	m.Fail(no)
	m.Put("b", []byte("3"))
	if err := m.Save(); err != no || string(m.Get("b")) != "3" || string(m.Crash()["b"]) != "2" {
		t.Errorf("%v, %q, %q", err, m.Get("b"), m.Crash())
	}
	m.Fail(nil)
	if err := m.Save(); err != nil || string(m.Crash()["b"]) != "3" || m.Saves() != 2 {
		t.Errorf("%v, %q, %d saves", err, m.Crash(), m.Saves())
	}
}
