package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// small are limits that a spool exceeds which sparseSpool has made.
var small = limits{file: 1 << 20, live: 1 << 20}

// sparseSpool has worked off a backlog of some MiB; deliveries, a letter and a
// position are left.
func sparseSpool(t *testing.T, dir string) *Spool {
	t.Helper()
	s := openSpool(t, dir)
	s.limits = small
	for range 4 {
		appendEntries(t, s, "backlog", sized(1000, 1000)...)
	}
	q := s.Queue("a")
	for q.Status().Queued > 0 {
		batch := peek(t, q, 1000)
		settle(t, q, batch, slices.Repeat([]Fate{Accepted}, len(batch))...)
	}
	for n := range 20 {
		appendEntries(t, s, fmt.Sprint("c", n), entry(n, "a", "b"))
	}
	settle(t, q, peek(t, q, 3), Rejected, Retry, Accepted)
	if size := s.Size(); !small.sparse(size) {
		t.Fatalf("the spool is not sparse: %+v", size)
	}
	return s
}

// contents is every key of the file with its value.
func contents(t *testing.T, s *Spool) map[string]string {
	t.Helper()
	all := make(map[string]string)
	var walk func(path string, b *bolt.Bucket) error
	walk = func(path string, b *bolt.Bucket) error {
		all[path] = fmt.Sprint("bucket ", b.Sequence())
		return b.ForEach(func(k, v []byte) error {
			name := fmt.Sprintf("%s/%q", path, k)
			if v == nil {
				return walk(name, b.Bucket(k))
			}
			all[name] = string(v)
			return nil
		})
	}
	err := s.view(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error { return walk(string(name), b) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// leftovers are the names of copies that are not in place.
func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*compact*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestCompactKeepsEverything(t *testing.T) {
	s := sparseSpool(t, t.TempDir())
	if err := os.Chmod(s.path, 0o640); err != nil {
		t.Fatal(err)
	}
	want, before := contents(t, s), s.Size()
	if err := s.compact(); err != nil {
		t.Fatal(err)
	}
	after := s.Size()
	if after.File > before.File/4 || after.File != s.fileSize() || after.Live > after.File {
		t.Errorf("before %+v, after %+v", before, after)
	}
	for _, when := range []string{"compacted", "opened again"} {
		if diff := cmp.Diff(want, contents(t, s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
		s = reopen(t, s)
	}
	appendEntries(t, s, "after", entry(100, "a"))
	if got := texts(peek(t, s.Queue("a"), 100)); len(got) != 19 || got[0] != "message 1" || got[18] != "message 100" {
		t.Errorf("the queue goes on with %q", got)
	}
	if info, err := os.Stat(s.path); err != nil || info.Mode() != 0o640 {
		t.Errorf("the file's mode: %v, %v; want that of the old one", info.Mode(), err)
	}
	if left := leftovers(t, filepath.Dir(s.path)); left != nil {
		t.Errorf("%q are left", left)
	}
}

// TestCompactKilled: a copy of the directory as it is at each step opens, and has
// everything. No other process may take the spool meanwhile.
func TestCompactKilled(t *testing.T) {
	s := sparseSpool(t, t.TempDir())
	defer s.Close()
	want, dir := contents(t, s), filepath.Dir(s.path)
	killed := make(map[string]string) // the directories as they were at the steps
	s.at = func(step string) {
		killed[step] = t.TempDir()
		if err := os.CopyFS(killed[step], os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if other, err := Open(dir); !errors.Is(err, ErrLocked) {
			t.Errorf("at step %s another could open the spool: %v", step, err)
			if err == nil {
				other.Close()
			}
		}
	}
	if err := s.compact(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"created", "copied", "renamed", "synced"} {
		after := openSpool(t, killed[step])
		if diff := cmp.Diff(want, contents(t, after)); diff != "" {
			t.Errorf("killed at step %s (-want +got):\n%s", step, diff)
		}
		if left := leftovers(t, killed[step]); left != nil {
			t.Errorf("killed at step %s: %q are left", step, left)
		}
		after.Close()
	}
}

// TestCompactHoldsTheLock: who waits for the lock of the old file must not have
// the spool when that file is given up.
func TestCompactHoldsTheLock(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer s.Close()
	var done atomic.Bool
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for !done.Load() {
				other, err := Open(filepath.Dir(s.path))
				if !errors.Is(err, ErrLocked) {
					t.Errorf("another could open the spool: %v", err)
				}
				if err == nil {
					other.Close()
				}
			}
		})
	}
	for range 30 {
		if err := s.compact(); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond) // so that all of the others come to wait, now and again
	}
	done.Store(true)
	others.Wait()
}

// TestCompactUnderLoad: those who append, deliver and look on notice nothing.
func TestCompactUnderLoad(t *testing.T) {
	const entries = 150
	s := openSpool(t, t.TempDir())
	defer s.Close()
	var work sync.WaitGroup
	work.Go(func() {
		for n := range entries {
			if _, err := s.Append("journal", fmt.Sprint("c", n), []Routed{entry(n, "a", "b", "dead")}, nil); err != nil {
				t.Error(err)
			}
		}
	})
	for _, name := range []string{"a", "b", "dead"} {
		work.Go(func() { deliverAll(t, s.Queue(name), entries) })
	}
	worked := make(chan struct{})
	go func() {
		work.Wait()
		close(worked)
	}()
	compactions := 0
	for busy := true; busy; compactions++ {
		select {
		case <-worked:
			busy = false
		default:
		}
		if err := s.compact(); err != nil {
			t.Fatal(err)
		}
		for _, err := range s.Letters(Filter{}) {
			if err != nil {
				t.Error(err)
			}
		}
	}
	if got := keys(t, s, "dead"); got != entries {
		t.Errorf("%d letters, want %d", got, entries)
	}
	if got := keys(t, s, "blocks"); got != 0 {
		t.Errorf("%d blocks are left", got)
	}
	if p, err := s.Position("journal"); p != fmt.Sprint("c", entries-1) || err != nil {
		t.Errorf("position %q, %v", p, err)
	}
	t.Log(compactions, "compactions")
}

// deliverAll takes that many deliveries from the queue, and sees to their order.
// What is in the queue "dead" becomes letters.
func deliverAll(t *testing.T, q *Queue, entries int) {
	fate := Accepted
	if q.action == "dead" {
		fate = Rejected
	}
	for n := 0; n < entries; {
		batch, err := q.Peek(7)
		if err != nil {
			t.Error(err)
			return
		}
		if len(batch) == 0 {
			<-q.Ready()
			continue
		}
		outcomes := make([]Outcome, len(batch))
		for i := range batch {
			if want := fmt.Sprint("message ", n+i); batch[i].Text() != want {
				t.Errorf("queue %s: got %q, want %q", q.action, batch[i].Text(), want)
			}
			outcomes[i].Fate = fate
		}
		if err := q.Settle(batch, outcomes, 0, nil); err != nil {
			t.Error(err)
			return
		}
		n += len(batch)
	}
}

// TestCompactOnFullDisk: where there is no room, or none is left half way, the old
// file goes on, and nothing is left of the copy.
func TestCompactOnFullDisk(t *testing.T) {
	dir := smallDisk(t, 64)
	s := sparseSpool(t, dir)
	defer s.Close()
	want, hog := contents(t, s), filepath.Join(dir, "hog")
	fill := func(string) {
		var disk unix.Statfs_t
		if err := unix.Statfs(dir, &disk); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(hog, make([]byte, int64(disk.Bavail)*disk.Bsize), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, full := range []string{"from the beginning", "half way"} {
		if full == "half way" {
			s.at = fill
		} else {
			fill("")
		}
		if err := s.compact(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("full %s: %v, want ENOSPC", full, err)
		}
		if diff := cmp.Diff(want, contents(t, s)); diff != "" {
			t.Errorf("full %s (-want +got):\n%s", full, diff)
		}
		if left := leftovers(t, dir); left != nil {
			t.Errorf("full %s: %q are left", full, left)
		}
		if err := os.Remove(hog); err != nil {
			t.Fatal(err)
		}
	}
	s.at = nil
	if err := s.compact(); err != nil {
		t.Error("when there is room again:", err)
	}
}

// TestCompactDamage: a damaged page that nothing else comes to ends no process.
func TestCompactDamage(t *testing.T) {
	s := sparseSpool(t, t.TempDir())
	defer s.Close()
	q := s.Queue("b")
	settle(t, q, peek(t, q, 20), slices.Repeat([]Fate{Rejected}, 20)...)
	var page int64
	s.view(func(tx *bolt.Tx) error {
		page = int64(tx.Bucket(bucketDead).Root())
		return nil
	})
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, os.Getpagesize()), page*int64(os.Getpagesize())); page == 0 || err != nil {
		t.Fatal(page, err)
	}
	if err := s.compact(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("compact: %v, want ErrCorrupt", err)
	}
	if left := leftovers(t, filepath.Dir(s.path)); left != nil {
		t.Errorf("%q are left", left)
	}
	appendEntries(t, s, "after", entry(100, "b"))
	if got := texts(peek(t, q, 100)); len(got) != 1 || got[0] != "message 100" {
		t.Errorf("the queue goes on with %q", got)
	}
}

// TestMaintain: what is sparse is made smaller by itself, once; a failure is tried
// again, without a change to wait for.
func TestMaintain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sparseSpool(t, t.TempDir())
		defer s.Close()
		want := contents(t, s)
		failing := true
		s.at = func(step string) {
			if step == "created" && failing {
				for _, name := range leftovers(t, filepath.Dir(s.path)) {
					os.Remove(name)
					os.Mkdir(name, 0o700)
				}
			}
		}
		var log bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Maintain(ctx, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		before := s.Size()
		time.Sleep(2*compactRetry + time.Second) // the bubble's time
		synctest.Wait()
		failing = false
		if n := strings.Count(log.String(), "could not be made smaller"); n != 2 || s.Size() != before {
			t.Errorf("%d failures, %+v and before %+v; want 2 failures and no change. Log:\n%s", n, s.Size(), before, &log)
		}
		time.Sleep(2 * compactRetry)
		synctest.Wait()
		if n := strings.Count(log.String(), "was made smaller"); n != 1 || small.sparse(s.Size()) {
			t.Errorf("made smaller %d times, %+v; want once. Log:\n%s", n, s.Size(), &log)
		}
		if diff := cmp.Diff(want, contents(t, s)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		cancel()
		<-ended
	})
}
