//go:build torture

package spool

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSyncFails: the n-th fdatasync fails, alone or with the next, for every n of some
// changes, as on a file system that only then finds out that the disk is full. What
// had failed is done again, and then everything is there once.
func TestSyncFails(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatalf("%v: apt-get install strace", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		first, last := 1+n/2, 1+n/2+n%2
		cmd := exec.Command(strace, "-f", "-qq", "-e", "signal=none", "-e", "trace=fdatasync", "-e", fmt.Sprintf("inject=fdatasync:error=ENOSPC:when=%d..%d", first, last), "-o", "/dev/null",
			self, "-test.run=^TestChangesOfSyncFails$", "-test.count=1", "-test.v")
		cmd.Env = append(os.Environ(), "SPOOL_SYNC_FAILS=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("numbers %d to %d fail: %v\n%s", first, last, err, out)
		}
	}
}

// TestChangesOfSyncFails is run by TestSyncFails.
func TestChangesOfSyncFails(t *testing.T) {
	if os.Getenv("SPOOL_SYNC_FAILS") == "" {
		t.Skip("run by TestSyncFails")
	}
	runtime.LockOSThread() // strace counts for each thread
	defer runtime.UnlockOSThread()
	dir := t.TempDir()
	var s *Spool
	failures := 0
	again := func(do func() error) {
		for err := do(); err != nil; err = do() {
			t.Log(err)
			if failures++; failures > 2 {
				t.Fatal(err)
			}
		}
	}
	again(func() (err error) { s, err = Open(dir); return err })
	for i := range 3 {
		again(func() error {
			_, err := s.Append("journal", fmt.Sprint("c", i), []Routed{entry(i, "a")}, nil)
			return err
		})
	}
	m := s.Queue("a").Memory()
	m.Put("k", []byte("v"))
	again(m.Save)
	if s.unsynced.Load() {
		t.Error("what was saved may not be on the disk")
	}
	var got []string
	for range 3 {
		batch := peek(t, s.Queue("a"), 1)
		got = append(got, texts(batch)...)
		again(func() error { return s.Queue("a").Settle(batch, []Outcome{{Fate: Rejected}}, 0, nil) })
	}
	if diff := cmp.Diff([]string{"message 0", "message 1", "message 2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s = reopen(t, s)
	remembers(t, s, "a", map[string]string{"k": "v"})
	if q := s.Queue("a").Status(); q.Queued != 0 || q.Bytes != 0 || len(letters(t, s, Filter{})) != 3 || keys(t, s, "queues", "a") != 0 {
		t.Errorf("in the end: %+v, letters %q, %d blocks", q, letters(t, s, Filter{}), keys(t, s, "queues", "a"))
	}
}
