package journaltest_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// read returns every entry of the namespace that has these fields, as the
// values of the fields.
func read(t *testing.T, namespace string, fields ...string) (entries [][]string) {
	t.Helper()
	r, err := sdjournal.Open(sdjournal.Options{Namespace: namespace, Start: journal.Beginning})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Keep(fields, nil)
next:
	for {
		e, err := r.Next()
		if err == io.EOF {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		var values []string
		for _, field := range fields {
			v := e.Values(nil, field)
			if len(v) != 1 {
				continue next
			}
			values = append(values, string(v[0]))
		}
		entries = append(entries, values)
	}
}

func TestSendSurvivesRestart(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{Persistent: true})
	j.Send(journaltest.Fields("MESSAGE", "one", "TEST", "1")...)
	j.Sync()
	j.Kill()
	j.Restart()
	j.Send(journaltest.Fields("MESSAGE", "two", "TEST", "1")...)
	j.Sync()
	want := [][]string{{"one", "1"}, {"two", "1"}}
	if d := cmp.Diff(want, read(t, j.Namespace(), "MESSAGE", "TEST")); d != "" {
		t.Errorf("logged (-want +got):\n%s", d)
	}
}

func TestStdout(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	f, err := j.Stdout("shop")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "a line\n<3>an error\n")
	f.Close()
	j.Sync()
	logged := read(t, j.Namespace(), "SYSLOG_IDENTIFIER", "PRIORITY", "MESSAGE")
	logged = slices.DeleteFunc(logged, func(e []string) bool { return e[0] != "shop" }) // journald's own
	want := [][]string{{"shop", "6", "a line"}, {"shop", "3", "an error"}}
	if d := cmp.Diff(want, logged); d != "" {
		t.Errorf("logged (-want +got):\n%s", d)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	for _, persistent := range []bool{false, true} {
		j, err := journaltest.Run(journaltest.Options{Persistent: persistent})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Print("hello"); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(j.Dir()); err != nil {
			t.Errorf("the journal is not where Dir says: %v", err)
		}
		pid := j.PID()
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(fmt.Sprint("/proc/", pid)); err == nil {
			t.Error("journald is still running")
		}
		for _, pattern := range []string{"/run/systemd/*" + j.Namespace() + "*", "/run/log/journal/*." + j.Namespace(), "/var/log/journal/*." + j.Namespace()} {
			if left, _ := filepath.Glob(pattern); left != nil {
				t.Errorf("left behind: %q", left)
			}
		}
	}
}
