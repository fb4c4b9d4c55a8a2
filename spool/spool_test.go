package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

func openSpool(t *testing.T, dir string) *Spool {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func reopen(t *testing.T, s *Spool) *Spool {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openSpool(t, filepath.Dir(s.path))
}

// entry is one entry whose cursor and message are made from n.
func entry(n int, actions ...string) Routed {
	e := Routed{Record: journal.NewRecord(fmt.Sprintf("c%d", n), time.UnixMicro(int64(n)), 0,
		journal.Field{Name: "MESSAGE", Value: fmt.Appendf(nil, "X: message %d", n)})}
	for _, a := range actions {
		e.To = append(e.To, Target{Action: a, Rule: "rule", Strip: 3, Captures: map[string]string{"n": fmt.Sprint(n)}})
	}
	return e
}

func appendEntries(t *testing.T, s *Spool, position string, entries ...Routed) {
	t.Helper()
	if err := s.Append("journal", position, entries); err != nil {
		t.Fatal(err)
	}
}

func peek(t *testing.T, q *Queue, limit int) []Delivery {
	t.Helper()
	batch, err := q.Peek(limit)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func settle(t *testing.T, q *Queue, batch []Delivery, fates ...Fate) {
	t.Helper()
	outcomes := make([]Outcome, len(fates))
	for i, f := range fates {
		outcomes[i].Fate = f
		if f != Accepted {
			outcomes[i].Cause = "no luck"
		}
	}
	if err := q.Settle(batch, outcomes, 0); err != nil {
		t.Fatal(err)
	}
}

func texts(batch []Delivery) []string {
	var all []string
	for _, d := range batch {
		all = append(all, d.Text())
	}
	return all
}

// keys counts what a bucket holds.
func keys(t *testing.T, s *Spool, path ...string) int {
	t.Helper()
	n := 0
	err := s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(path[0]))
		for _, name := range path[1:] {
			b = b.Bucket([]byte(name))
		}
		return b.ForEach(func(_, _ []byte) error { n++; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDeliveryKeepsEverything(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c1", entry(1, "a"))
	for _, when := range []string{"from memory", "from the file"} {
		batch := peek(t, s.Queue("a"), 10)
		if len(batch) != 1 {
			t.Fatalf("%s: %d deliveries, want 1", when, len(batch))
		}
		d := batch[0]
		if d.ID != DeliveryID("c1", "rule", "a") || d.Rule != "rule" || d.Action != "a" || d.Text() != "message 1" ||
			d.Captures["n"] != "1" || d.Record.Cursor() != "c1" || time.Since(d.QueuedAt) > time.Hour {
			t.Errorf("%s: got %+v", when, d)
		}
		s = reopen(t, s)
	}
	if p, err := s.Position("journal"); p != "c1" || err != nil {
		t.Errorf("Position = %q, %v, want c1", p, err)
	}
	if p, err := s.Position("another"); p != "" || err != nil {
		t.Errorf("Position of an unknown source = %q, %v, want nothing", p, err)
	}
}

func TestDeliveryIDDependsOnEachPart(t *testing.T) {
	seen := make(map[string]string)
	for _, parts := range [][3]string{{"c", "r", "a"}, {"d", "r", "a"}, {"c", "s", "a"}, {"c", "r", "b"}, {"cr", "", "a"}, {"c", "ra", ""}} {
		id := DeliveryID(parts[0], parts[1], parts[2])
		if len(id) != 32 {
			t.Errorf("id %q has not 32 digits", id)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %s have the same id", parts, other)
		}
		seen[id] = fmt.Sprint(parts)
	}
}

func TestQueuesAreIndependent(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c2", entry(1, "a", "b"), entry(2, "b"))
	appendEntries(t, s, "c3", entry(3, "a", "b"))
	a, b := s.Queue("a"), s.Queue("b")
	if diff := cmp.Diff([]string{"message 1", "message 3"}, texts(peek(t, a, 10))); diff != "" {
		t.Error("queue a (-want +got):\n", diff)
	}
	settle(t, a, peek(t, a, 10), Accepted, Accepted)
	if got := keys(t, s, "blocks"); got != 2 {
		t.Errorf("%d blocks, want 2: queue b needs them still", got)
	}
	if diff := cmp.Diff([]string{"message 1", "message 2"}, texts(peek(t, b, 2))); diff != "" {
		t.Error("queue b (-want +got):\n", diff)
	}
	settle(t, b, peek(t, b, 10), Accepted, Accepted, Accepted)
	for _, bucket := range [][]string{{"blocks"}, {"queues", "a"}, {"queues", "b"}} {
		if got := keys(t, s, bucket...); got != 0 {
			t.Errorf("%d keys are left in %v", got, bucket)
		}
	}
	if st := b.Status(); st.Queued != 0 || st.Bytes != 0 {
		t.Errorf("the empty queue counts %+v", st)
	}
	if batch := peek(t, b, 1); batch != nil {
		t.Errorf("the empty queue has %v", batch)
	}
}

func TestSettleEachDifferently(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c4", entry(1, "a"), entry(2, "a"), entry(3, "a"), entry(4, "a"))
	q := s.Queue("a")
	settle(t, q, peek(t, q, 3), Retry, Accepted, Rejected)
	s = reopen(t, s)
	q = s.Queue("a")
	batch := peek(t, q, 10)
	if diff := cmp.Diff([]string{"message 1", "message 4"}, texts(batch)); diff != "" {
		t.Fatal("left (-want +got):\n", diff)
	}
	if batch[0].Attempts != 1 || batch[1].Attempts != 0 {
		t.Errorf("attempts %d and %d, want 1 and 0", batch[0].Attempts, batch[1].Attempts)
	}
	if st := q.Status(); st.Queued != 2 || st.Failures.Count != 1 || st.Failures.Error != "no luck" {
		t.Errorf("status %+v", st)
	}
	settle(t, q, batch, Accepted, Accepted)
	if st := q.Status(); st.Queued != 0 || st.Failures != (Failures{}) {
		t.Errorf("status after success %+v", st)
	}
	if got := keys(t, s, "dead"); got != 1 {
		t.Errorf("%d dead letters, want 1", got)
	}
}

// TestRetryStateSurvives: the wait and the time since when it fails are the
// spool's, not the process's.
func TestRetryStateSurvives(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c2", entry(1, "a"), entry(2, "a"))
	q := s.Queue("a")
	for range 3 {
		if err := q.Settle(peek(t, q, 1), []Outcome{{Cause: "refused"}}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	before := q.Status().Failures
	s = reopen(t, s)
	q = s.Queue("a")
	after := q.Status().Failures
	if after.Count != 3 || after.Error != "refused" || after.Wait != time.Hour || !after.Since.Equal(before.Since) || !after.Last.Equal(before.Last) {
		t.Errorf("after reopening %+v\nbefore %+v", after, before)
	}
	if d := peek(t, q, 1)[0]; d.Attempts != 3 {
		t.Errorf("%d attempts, want 3", d.Attempts)
	}
	// Giving up is no sign of life; a refusal is.
	settle(t, q, peek(t, q, 1), GivenUp)
	if f := q.Status().Failures; !f.Since.Equal(before.Since) || f.Count != 4 {
		t.Errorf("after giving up: %+v", f)
	}
	settle(t, q, peek(t, q, 1), Rejected)
	if f := q.Status().Failures; f != (Failures{}) {
		t.Errorf("after a rejection: %+v", f)
	}
}

// TestFailingTime: only time in which the destination was tried counts against
// it, whatever the clock does and however long the machine was off.
func TestFailingTime(t *testing.T) {
	var f Failures
	now := time.Now()
	for range 10 {
		f.failed(now, time.Minute, "down")
		now = now.Add(90 * time.Second)
	}
	if want := 9 * 90 * time.Second; f.Lasted != want || f.LastedUntil(now) != want+90*time.Second {
		t.Errorf("lasted %v, want %v", f.Lasted, want)
	}
	for name, jump := range map[string]time.Duration{"off for a year": 365 * 24 * time.Hour, "clock set back": -time.Hour} {
		later := now.Add(jump)
		if got := f.LastedUntil(later) - f.Lasted; got < 0 || got > f.Wait+tryTime {
			t.Errorf("%s: %v counted", name, got)
		}
		if due := f.Due(later); due < 0 || due > f.Wait {
			t.Errorf("%s: due in %v", name, due)
		}
	}
}

func TestUntriedCountsForNothing(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c2", entry(1, "a"), entry(2, "a"))
	q := s.Queue("a")
	if err := q.Settle(peek(t, q, 2), []Outcome{{Fate: Accepted}, {Untried: true}}, 0); err != nil {
		t.Fatal(err)
	}
	if st := q.Status(); st.Queued != 1 || st.Failures.Count != 0 {
		t.Errorf("status %+v", st)
	}
	if d := peek(t, q, 1)[0]; d.Attempts != 0 {
		t.Errorf("%d attempts, want 0", d.Attempts)
	}
}

// TestBacklogIsReadFromTheFile: what no longer is in memory comes back the same.
func TestBacklogIsReadFromTheFile(t *testing.T) {
	s := openSpool(t, t.TempDir())
	big := bytes.Repeat([]byte{'x'}, 3<<20)
	const n = 20 // more than recentLimit
	for i := range n {
		e := entry(i, "a")
		e.Record = journal.NewRecord(fmt.Sprint("c", i), time.Now(), 0, journal.Field{Name: "MESSAGE", Value: fmt.Appendf(big[:0:0], "%d %s", i, big)})
		e.To[0].Strip = 0
		appendEntries(t, s, fmt.Sprint("c", i), e)
	}
	if s.recent.size > recentLimit {
		t.Errorf("%d bytes are kept in memory, more than %d", s.recent.size, recentLimit)
	}
	q := s.Queue("a")
	for i := range n {
		batch := peek(t, q, 100)
		if len(batch) == 0 || len(batch) > 3 {
			t.Fatalf("a batch of %d, want 1 to 3: it is bounded in bytes", len(batch))
		}
		if text := batch[0].Text(); !strings.HasPrefix(text, fmt.Sprintf("%d xxx", i)) || len(text) < len(big) {
			t.Fatalf("delivery %d begins with %.20q and has %d bytes", i, text, len(text))
		}
		settle(t, q, batch[:1], Accepted)
	}
	if s.recent.size != 0 || len(s.recent.order) != 0 {
		t.Errorf("memory still holds %d blocks of %d bytes", len(s.recent.order), s.recent.size)
	}
}

func TestReadyAndFreed(t *testing.T) {
	s := openSpool(t, t.TempDir())
	q := s.Queue("a")
	freed := s.Freed()
	appendEntries(t, s, "c1", entry(1, "a"))
	select {
	case <-q.Ready():
	default:
		t.Error("Ready is silent after an append")
	}
	settle(t, q, peek(t, q, 1), Accepted)
	select {
	case <-freed:
	default:
		t.Error("Freed is open after a delivery left")
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	defer s.Close()
	_, err := Open(dir)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), filepath.Join(dir, File)) {
		t.Errorf("the second Open: %v, want ErrLocked with the file's name", err)
	}
}

// TestDamagedFileIsRefused: whatever is wrong with it, the file stays as it is.
func TestDamagedFileIsRefused(t *testing.T) {
	sound := func(t *testing.T) []byte {
		s := openSpool(t, t.TempDir())
		for i := range 200 {
			appendEntries(t, s, fmt.Sprint("c", i), entry(i, "a"))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, damage := range map[string]func(t *testing.T, b []byte) []byte{
		"empty":   func(*testing.T, []byte) []byte { return nil },
		"garbage": func(*testing.T, []byte) []byte { return bytes.Repeat([]byte("no spool "), 10000) },
		"short":   func(*testing.T, []byte) []byte { return []byte("x") },
		"cut to the meta pages": func(t *testing.T, b []byte) []byte {
			return b[:2*os.Getpagesize()]
		},
		"cut in half": func(t *testing.T, b []byte) []byte { return b[:len(b)/2/os.Getpagesize()*os.Getpagesize()] },
		"zeroed pages": func(t *testing.T, b []byte) []byte {
			clear(b[2*os.Getpagesize():])
			return b
		},
		"random pages": func(t *testing.T, b []byte) []byte {
			r := rand.New(rand.NewPCG(1, 2))
			for i := range b[2*os.Getpagesize():] {
				b[2*os.Getpagesize()+i] = byte(r.Uint32())
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, File)
			before := damage(t, sound(t))
			if err := os.WriteFile(path, before, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir)
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move the file away") {
				t.Errorf("Open: %v, want ErrCorrupt, the file's name and what to do", err)
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

// TestAnotherVersion: the file is sound, and must not be called damaged.
func TestAnotherVersion(t *testing.T) {
	s := openSpool(t, t.TempDir())
	err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyVersion, []byte("0")) })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Dir(s.path)); !errors.Is(err, ErrVersion) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), s.path) {
		t.Errorf("Open: %v, want ErrVersion and the file's name", err)
	}
}

// smallDisk is a file system of that many MiB.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Fatalf("mount a small file system, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestReadOnlyDisk: that is no damage, and must not be called so.
func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, 16)
	if err := openSpool(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, unix.EROFS) || errors.Is(err, ErrCorrupt) {
		t.Errorf("Open: %v, want EROFS", err)
	}
}

// TestFullDisk: when nothing more can be appended, what is there can still be
// taken out, in order, and then there is room again.
func TestFullDisk(t *testing.T) {
	s := openSpool(t, smallDisk(t, 12))
	defer s.Close()
	fill := func() (appended int) {
		for {
			var entries []Routed
			for range 100 {
				e := entry(appended+len(entries), "a", "b")
				e.Record = journal.NewRecord(e.Record.Cursor(), time.Now(), 0,
					journal.Field{Name: "MESSAGE", Value: fmt.Appendf(nil, "X: message %d %s", appended+len(entries), bytes.Repeat([]byte("x"), 500))})
				entries = append(entries, e)
			}
			err := s.Append("journal", fmt.Sprint(appended), entries)
			if errors.Is(err, syscall.ENOSPC) {
				return appended
			}
			if err != nil {
				t.Fatal(err)
			}
			appended += len(entries)
		}
	}
	appended := fill()
	if appended < 1000 {
		t.Fatalf("only %d deliveries fit", appended)
	}
	for _, name := range []string{"a", "b"} {
		q := s.Queue(name)
		for n := range appended {
			batch := peek(t, q, 1)
			if want := fmt.Sprintf("message %d ", n); len(batch) != 1 || !strings.HasPrefix(batch[0].Text(), want) {
				t.Fatalf("queue %s has %.20q, want %q", name, texts(batch), want)
			}
			settle(t, q, batch, Accepted)
		}
	}
	if again := fill(); again < appended/2 {
		t.Errorf("after it was emptied %d deliveries fit, before %d", again, appended)
	}
}

func TestUnwritableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "state")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Open: %v, want an error with the path", err)
	}
	if _, err := OpenExisting(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenExisting of nothing: %v, want ErrNotExist", err)
	}
}

func TestInvocationsAreRemembered(t *testing.T) {
	s := openSpool(t, t.TempDir())
	var got []string
	for i := range 70 {
		s = reopen(t, s)
		var err error
		if got, err = s.Invocations(fmt.Sprint("id", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 64 || got[0] != "id6" || got[63] != "id69" {
		t.Errorf("remembered %d: %v", len(got), got)
	}
}

// TestAgainstModel does random things to a spool, with crashes, and to a simple
// model of it, and compares.
func TestAgainstModel(t *testing.T) {
	actions := []string{"a", "b", "c"}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := openSpool(t, t.TempDir())
		model := make(map[string][]string)
		dead, next := 0, 0
		for range 300 {
			switch r.IntN(10) {
			case 0:
				s = reopen(t, s)
			case 1, 2, 3:
				var entries []Routed
				for range 1 + r.IntN(5) {
					var to []string
					for _, a := range actions {
						if r.IntN(2) == 0 {
							to = append(to, a)
							model[a] = append(model[a], fmt.Sprintf("message %d", next))
						}
					}
					entries = append(entries, entry(next, to...))
					next++
				}
				appendEntries(t, s, fmt.Sprint("c", next), entries...)
			default:
				a := actions[r.IntN(len(actions))]
				q := s.Queue(a)
				batch := peek(t, q, 1+r.IntN(4))
				if diff := cmp.Diff(model[a][:len(batch)], texts(batch)); diff != "" {
					t.Fatalf("seed %d: queue %s (-want +got):\n%s", seed, a, diff)
				}
				var left []string
				fates := make([]Fate, len(batch))
				for i := range batch {
					fates[i] = Fate(r.IntN(4))
					switch fates[i] {
					case Retry:
						left = append(left, model[a][i])
					case Rejected, GivenUp:
						dead++
					}
				}
				settle(t, q, batch, fates...)
				model[a] = append(left, model[a][len(batch):]...)
			}
			for _, a := range actions {
				if got := s.Queue(a).Status().Queued; got != int64(len(model[a])) {
					t.Fatalf("seed %d: queue %s counts %d, want %d", seed, a, got, len(model[a]))
				}
			}
		}
		if got := keys(t, s, "dead"); got != dead {
			t.Errorf("seed %d: %d dead letters, want %d", seed, got, dead)
		}
		for _, a := range actions {
			if diff := cmp.Diff(model[a], texts(peek(t, s.Queue(a), 1<<20))); diff != "" {
				t.Errorf("seed %d: at the end, queue %s (-want +got):\n%s", seed, a, diff)
			}
		}
		s.Close()
	}
}
