package sdjournal_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// crashed is a namespace whose journal has the entries a, b and c of a boot that
// ended with a crash, and whose clock was an hour ahead of what follows. What log
// adds are entries of the running boot, in a file that numbers anew as journald's
// does after a crash.
func crashed(t *testing.T) (namespace string, log func(seconds int, messages string)) {
	t.Helper()
	namespace, dir := emptyNamespace(t)
	forge := func(file, boot string, seconds int, messages string) {
		var entries []journaltest.Entry
		for i, m := range messages {
			entries = append(entries, at(boot, seconds+i, string(m)))
		}
		journaltest.ForgeFile(t, filepath.Join(dir, file), slices.Values(entries))
	}
	forge("system@crashed.journal", journaltest.Boot1, 3600, "abc")
	return namespace, func(seconds int, messages string) { forge("system.journal", thisBoot(t), seconds, messages) }
}

// emptyNamespace is one without a journald, and the directory for its files.
func emptyNamespace(t *testing.T) (namespace, dir string) {
	t.Helper()
	j := journaltest.Start(t, journaltest.Options{})
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		t.Fatal(err)
	}
	j.Stop()
	if err := os.RemoveAll(j.Dir()); err != nil {
		t.Fatal(err)
	}
	dir = "/var/log/journal/" + strings.TrimSpace(string(id)) + "." + j.Namespace()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return j.Namespace(), dir
}

// toTheEnd reads to the end, and once more after the end was seen.
func toTheEnd(t *testing.T, r journal.Reader) (got string) {
	t.Helper()
	for range 2 {
		got += strings.Join(drain(t, r), "")
	}
	return got
}

func TestClockWasAhead(t *testing.T) {
	namespace, log := crashed(t)
	r := open(t, sdjournal.Options{Namespace: namespace, Start: journal.Beginning})
	var saved []string
	for _, want := range []string{"a", "b", "c"} {
		check(t, "read", follow(t, r, 1), []string{want})
		saved = append(saved, cursor(t, r))
	}
	log(0, "de")
	check(t, "followed", follow(t, r, 2), []string{"d", "e"})
	check(t, "at the end", toTheEnd(t, r), "")

	resumed := func(after, want string) (at string) {
		t.Helper()
		r := open(t, sdjournal.Options{Namespace: namespace, After: after, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }})
		check(t, "read, resumed", toTheEnd(t, r), want)
		return cursor(t, r)
	}
	at := resumed(saved[0], "bcde")
	resumed(saved[1], "cde")
	resumed(saved[2], "de")
	resumed(at, "")
	resumed(journal.Head, "abcde")

	// At every entry, the position leads to the rest.
	r = open(t, sdjournal.Options{Namespace: namespace, After: journal.Head})
	for i := range "abcde" {
		check(t, "read", follow(t, r, 1), []string{"abcde"[i : i+1]})
		resumed(cursor(t, r), "abcde"[i+1:])
	}
	// The clock comes to the time at which it was before, and goes on.
	log(3601, "fg")
	check(t, "followed", follow(t, r, 2), []string{"f", "g"})
	log(7200, "h")
	check(t, "followed", follow(t, r, 1), []string{"h"})
	resumed(saved[2], "defgh")
	resumed(at, "fgh")
}

func TestFirstRunAfterClockWasAhead(t *testing.T) {
	for _, tt := range []struct {
		start journal.Start
		want  string
	}{
		{journal.Beginning, "abcde!"},
		{journal.End, "!"},
		{journal.Boot, "de!"},
		{journal.At(noon.Add(1e9)), "abce!"},
	} {
		t.Run(tt.start.String(), func(t *testing.T) {
			namespace, log := crashed(t)
			log(0, "de")
			o := sdjournal.Options{Namespace: namespace, Start: tt.start, Once: true}
			once := open(t, o)
			got := ""
			for {
				e, err := once.Next()
				if err == journal.ErrEnd {
					break
				}
				if err != nil && err != io.EOF {
					t.Fatal(err)
				}
				if e != nil {
					got += string(e.Values(nil, "MESSAGE")[0])
				}
			}
			check(t, "read once", got, strings.TrimSuffix(tt.want, "!"))
			r := open(t, sdjournal.Options{Namespace: namespace, Start: tt.start})
			got = toTheEnd(t, r)
			log(100, "!")
			check(t, "read", got+strings.Join(follow(t, r, 1), ""), tt.want)
		})
	}
}

// Where the running boot has logged nothing yet, its first entry may be older than
// the last one read.
func TestRunningBootBeginsLater(t *testing.T) {
	namespace, log := crashed(t)
	r := open(t, sdjournal.Options{Namespace: namespace})
	check(t, "at the end", toTheEnd(t, r), "")
	saved := cursor(t, r)
	log(0, "d")
	check(t, "followed", follow(t, r, 1), []string{"d"})
	log(10, "e")
	check(t, "followed", follow(t, r, 1), []string{"e"})
	r = open(t, sdjournal.Options{Namespace: namespace, After: saved})
	check(t, "resumed", toTheEnd(t, r), "de")
}
