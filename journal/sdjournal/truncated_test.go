package sdjournal_test

import (
	"os"
	"testing"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// libsystemd opens no file that is shorter than its header says. What was in it
// is told of at a restart, wherever the position is, and the rest is read.
func TestTruncatedFile(t *testing.T) {
	for _, tt := range []struct {
		name     string
		position string // the message that was read last
		gap      bool   // the position is gone, too
	}{
		{"position before it", "before", false},
		{"position in it", "line 3", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := journaltest.Start(t, journaltest.Options{})
			say(j, "before")
			j.Sync()
			j.Rotate()
			say(j, numbers(1, 10)...)
			j.Sync()
			j.Rotate()
			say(j, "after")
			j.Sync()
			var gaps []journal.Gap
			var told damages
			o := sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, OnDamage: told.add,
				OnGap: func(g journal.Gap) { gaps = append(gaps, g) }}
			r := open(t, o)
			for follow(t, r, 1)[0] != tt.position {
			}
			o.After = cursor(t, r)
			r.Close()
			j.Stop() // it may yet set the file's size, to wake readers
			f := fileWith(t, j.Dir(), "line 1")
			if err := os.Truncate(f.path, int64(len(f.data)/2)); err != nil {
				t.Fatal(err)
			}

			r = open(t, o)
			check(t, "read", drain(t, r), []string{"after"})
			o.After = cursor(t, r)
			if tt.gap && (len(gaps) != 1 || gaps[0].Entries < 7 || len(told) > 0) {
				t.Errorf("gaps %+v, damage %+v; want one gap of the seven lines and some of journald's own", gaps, told)
			}
			if !tt.gap && (len(told) != 1 || told.entries() < 10 || len(gaps) > 0) {
				t.Errorf("gaps %+v, damage %+v; want one damage of the ten lines and some of journald's own", gaps, told)
			}

			gaps, told = nil, nil
			r = open(t, o)
			j.Restart()
			say(j, "later")
			check(t, "read after a restart", follow(t, r, 1), []string{"later"})
			cursor(t, r)
			if len(gaps)+len(told) > 0 {
				t.Errorf("told of again: gaps %+v, damage %+v", gaps, told)
			}
		})
	}
}
