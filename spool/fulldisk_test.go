package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// writing is a way to write to a spool.
type writing struct {
	name string
	// least is how many pages it writes at least, beyond those that exist.
	least int
	// takesOut says that the reserve is for it: with that it never fails.
	takesOut bool
	// ready returns what makes the change; the same call is made again after
	// an error.
	ready func(t *testing.T, s *Spool) func() error
}

var writings = []writing{
	{"append", 10, false, appending(nil)},
	{"append, dropping the oldest", 10, false, appending(map[string]Bound{"a": {MaxBytes: 60_000, WhenFull: DropOldest}})},
	{"append, dropping the newest", 10, false, appending(map[string]Bound{"a": {MaxBytes: 110_000, WhenFull: DropNewest}})},
	{"save a position", 2, false, func(_ *testing.T, s *Spool) func() error {
		return func() error {
			_, err := s.Append("journal", "c1001", nil, nil)
			return err
		}
	}},
	{"accepted", 3, true, settling(slices.Repeat([]Fate{Accepted}, 50)...)},
	{"to be tried again", 2, true, settling(Retry)},
	{"each differently", 5, true, settling(Retry, Accepted, Rejected, GivenUp)},
	{"buried", 10, true, settling(slices.Repeat([]Fate{GivenUp}, 12)...)},
	{"letters put back", 5, false, func(_ *testing.T, s *Spool) func() error {
		return func() error {
			_, _, err := s.RetryLetters(Filter{}, func(string) bool { return true })
			return err
		}
	}},
	{"letters dropped", 2, true, func(_ *testing.T, s *Spool) func() error {
		return func() error {
			_, err := s.DropLetters(Filter{Action: "a"})
			return err
		}
	}},
	{"invocation", 2, true, func(_ *testing.T, s *Spool) func() error {
		return func() error {
			_, err := s.Invocations("0123456789abcdef0123456789abcdef")
			return err
		}
	}},
}

// appending appends to queues that are there and to one that is not.
func appending(bounds map[string]Bound) func(t *testing.T, s *Spool) func() error {
	return func(_ *testing.T, s *Spool) func() error {
		var entries []Routed
		for n := range 40 {
			entries = append(entries, noisy(1000+n, "a", "b", "new"))
		}
		return func() error {
			_, err := s.Append("journal", "c1040", entries, bounds)
			return err
		}
	}
}

// settling settles the first deliveries of queue a.
func settling(fates ...Fate) func(t *testing.T, s *Spool) func() error {
	return func(t *testing.T, s *Spool) func() error {
		batch := peek(t, s.Queue("a"), len(fates))
		outcomes := make([]Outcome, len(fates))
		for i, f := range fates {
			if outcomes[i].Fate = f; f != Accepted {
				outcomes[i].Cause, outcomes[i].Text = "no luck", batch[i].Text()
			}
		}
		return func() error { return s.Queue("a").Settle(batch, outcomes, time.Minute, nil) }
	}
}

// noisy is an entry that cannot be compressed.
func noisy(n int, actions ...string) Routed {
	e := entry(n, actions...)
	text := fmt.Appendf(nil, "X: message %d ", n)
	random := rand.NewPCG(uint64(n), 0)
	for range 1000 {
		text = append(text, 'a'+byte(random.Uint64()%26))
	}
	e.Record = journal.NewRecord(e.Record.Cursor(), e.Record.Time(), 0, journal.Field{Name: "MESSAGE", Value: text})
	return e
}

// TestFullDiskAtEveryWrite: the disk is full at the first page that a change
// writes, at the second, and so on. Then nothing has changed, in memory and in
// the file, and the same change succeeds once there is room.
func TestFullDiskAtEveryWrite(t *testing.T) {
	disk := smallDisk(t, 12)
	file := dense(t)
	// inAction opens a copy of the file, with the reserve or without.
	inAction := func(t *testing.T, dir string, reserved bool) *Spool {
		t.Helper()
		for _, name := range []string{File, reserveFile} {
			os.Remove(filepath.Join(dir, name))
		}
		if err := os.WriteFile(filepath.Join(dir, File), file, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openSpool(t, dir)
		if reserved {
			if err := s.reserve.hold(); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	for _, c := range writings {
		t.Run(c.name, func(t *testing.T) {
			s := inAction(t, t.TempDir(), true)
			before := dump(t, s)
			if err := c.ready(t, s)(); err != nil {
				t.Fatal(err)
			}
			after := dump(t, s)
			s.Close()

			failures := 0
			for pages := 0; ; pages++ {
				s := inAction(t, disk, !c.takesOut)
				do := c.ready(t, s)
				release := pin(t, s)
				free := fill(t, disk, pages)
				err := do()
				release()
				if err == nil {
					free()
					s = sameAsReopened(t, s, after)
					s.Close()
					break
				}
				failures++
				if !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("with room for %d pages: %v", pages, err)
				}
				s = sameAsReopened(t, s, before) // while the disk is full
				do = c.ready(t, s)
				free()
				if err := do(); err != nil {
					t.Fatalf("with room for %d pages it failed, and after room was made: %v", pages, err)
				}
				s = sameAsReopened(t, s, after)
				s.Close()
			}
			if failures < c.least {
				t.Errorf("it failed for want of %d pages, want %d at least", failures, c.least)
			}
			t.Logf("failed at each of %d pages", failures)
			if c.takesOut {
				s := inAction(t, disk, true)
				do, release, free := c.ready(t, s), pin(t, s), fill(t, disk, 0)
				err := do()
				release()
				free()
				if err != nil {
					t.Fatalf("on a full disk, with the reserve: %v", err)
				}
				sameAsReopened(t, s, after).Close()
			}
		})
	}
}

// dense is the file of a spool with deliveries and dead letters, and without a
// page that could be used again.
func dense(t *testing.T) []byte {
	t.Helper()
	s := openSpool(t, t.TempDir())
	for n := range 9 {
		var entries []Routed
		for i := range 20 {
			entries = append(entries, noisy(n*20+i, "a", "b"))
		}
		appendEntries(t, s, fmt.Sprint("c", n*20), entries...)
	}
	for _, name := range []string{"a", "b"} {
		q := s.Queue(name)
		settle(t, q, peek(t, q, 30), slices.Repeat([]Fate{Accepted, Rejected, Retry}, 10)...)
	}
	path := filepath.Join(t.TempDir(), File)
	packed, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bolt.Compact(packed, s.db, 0), s.Close()); err != nil {
		t.Fatal(err)
	}
	var size int64
	packed.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil })
	// bbolt maps a power of two, and waits for readers before it maps more.
	mapped := int64(1)
	for mapped < size {
		mapped *= 2
	}
	if room := (mapped - size) >> 12; room < 50 {
		t.Fatalf("a file of %d bytes can grow by no more than %d pages while somebody reads", size, room)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b[:size]
}

// pin has the file grow with the next change, as where others read all the while: no
// page that becomes free is used again until release is called.
func pin(t *testing.T, s *Spool) (release func()) {
	t.Helper()
	var readers []*bolt.Tx
	read := func() {
		tx, err := s.db.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, tx)
	}
	for range 10 { // the pages that are free now are used up
		read()
		err := s.db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket(bucketPositions)
			return b.Put([]byte("journal"), bytes.Clone(b.Get([]byte("journal"))))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read()
	return func() {
		for _, tx := range readers {
			tx.Rollback()
		}
	}
}

// fill leaves room for that many pages on the disk, until free is called.
func fill(t *testing.T, disk string, pages int) (free func()) {
	t.Helper()
	path := filepath.Join(disk, "filler")
	var fs unix.Statfs_t
	if err := unix.Statfs(disk, &fs); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	size := (int64(fs.Bavail) - int64(pages)) * fs.Bsize
	if size > 0 {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	free = func() { os.Remove(path) }
	t.Cleanup(free)
	return free
}

// sameAsReopened compares what the spool holds with what it should, before and after
// it is opened anew.
func sameAsReopened(t *testing.T, s *Spool, want string) *Spool {
	t.Helper()
	if diff := cmp.Diff(want, dump(t, s)); diff != "" {
		t.Fatalf("in memory (-want +got):\n%s", diff)
	}
	s = reopen(t, s)
	if diff := cmp.Diff(want, dump(t, s)); diff != "" {
		t.Fatalf("opened anew (-want +got):\n%s", diff)
	}
	return s
}

// dump is all that a spool holds, but for times.
func dump(t *testing.T, s *Spool) string {
	t.Helper()
	var b strings.Builder
	position, err := s.Position("journal")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, "position", position)
	for _, q := range s.Queues() {
		if q.Queued == 0 { // one that was asked for, and nothing ever came to
			continue
		}
		fmt.Fprintln(&b, "queue", q.Action, q.Queued, q.Bytes, s.Queue(q.Action).state.Dropped.Count, q.Failures.Count, q.Failures.Error, q.Failures.Wait)
		for _, d := range peek(t, s.Queue(q.Action), 1<<20) {
			fmt.Fprintln(&b, d.ID, d.Rule, d.Attempts, d.Captures, d.Text())
		}
	}
	for l, err := range s.Letters(Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, "letter", l.ID, l.Action, l.Rule, l.Attempts, l.Cause, l.Sent, l.Text())
	}
	err = s.db.View(func(tx *bolt.Tx) error {
		fmt.Fprintf(&b, "invocations %s\n", bytes.Clone(tx.Bucket(bucketMeta).Get(keyInvocations)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestQuotaIsAFullDisk: what makes room does so out of the reserve there too.
func TestQuotaIsAFullDisk(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer s.Close()
	appendEntries(t, s, "c1", entry(1, "a"))
	tries := 0
	err := s.updateFreeing("settle", func(*bolt.Tx) (func(), error) {
		if tries++; tries == 1 {
			return nil, &os.PathError{Op: "write", Path: s.path, Err: syscall.EDQUOT}
		}
		return nil, nil
	})
	if err != nil || tries != 2 {
		t.Errorf("%v after %d tries, want 2", err, tries)
	}
}
