package router

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
)

func TestGuardInAUnit(t *testing.T) {
	t.Setenv("INVOCATION_ID", "now")
	t.Setenv("SYSTEMD_EXEC_PID", strconv.Itoa(os.Getpid()))
	g, err := NewGuard(func(id string) ([]string, error) { return []string{"before", id}, nil })
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"now": true, "before": true, "another": false, "": false} {
		r := journal.NewRecord("", time.Now(), 0,
			journal.Field{Name: "_SYSTEMD_INVOCATION_ID", Value: []byte(id)},
			journal.Field{Name: "_PID", Value: []byte("1")})
		if got := g.Own(r); got != want {
			t.Errorf("invocation %q: own is %v, want %v", id, got, want)
		}
	}
}

// TestGuardInAShell: there the invocation is that of the user's session, which
// the newcomer's logger shares.
func TestGuardInAShell(t *testing.T) {
	t.Setenv("INVOCATION_ID", "session")
	t.Setenv("SYSTEMD_EXEC_PID", "1")
	g, err := NewGuard(func(string) ([]string, error) {
		t.Error("an inherited invocation was taken for the own one")
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := g.Spawned(4711)
	entry := func(pid int, at time.Time, boot string) journal.Record {
		return journal.NewRecord("", at, 0,
			journal.Field{Name: "_PID", Value: []byte(strconv.Itoa(pid))},
			journal.Field{Name: "_BOOT_ID", Value: []byte(boot)},
			journal.Field{Name: "_MACHINE_ID", Value: []byte(g.machine)},
			journal.Field{Name: "_SYSTEMD_INVOCATION_ID", Value: []byte("session")})
	}
	now := time.Now()
	for _, test := range []struct {
		name string
		r    journal.Record
		want bool
	}{
		{"the program's", entry(os.Getpid(), now, g.boot), true},
		{"another's", entry(1, now, g.boot), false},
		{"a child's", entry(4711, now, g.boot), true},
		{"the pid in another boot", entry(os.Getpid(), now, "another boot"), false},
		{"the pid long before the program", entry(os.Getpid(), now.Add(-time.Hour), g.boot), false},
		{"without a pid", journal.NewRecord("", now, 0), false},
	} {
		if got := g.Own(test.r); got != test.want {
			t.Errorf("%s: own is %v, want %v", test.name, got, test.want)
		}
	}
	ended()
	if !g.Own(entry(4711, now.Add(time.Second), g.boot)) {
		t.Error("a child's last words are not its own")
	}
	if g.Own(entry(4711, now.Add(time.Minute), g.boot)) {
		t.Error("the next process with a child's pid counts as the child")
	}
	for i := range 2000 {
		g.Spawned(10000 + i)()
	}
	if len(g.processes) > 1025 || !g.Own(entry(os.Getpid(), now, g.boot)) {
		t.Errorf("%d processes are remembered, own: %v", len(g.processes), g.Own(entry(os.Getpid(), now, g.boot)))
	}
}
