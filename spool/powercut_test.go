//go:build torture

package spool

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
)

var (
	cuts      = flag.Int("cuts", 300, "cut the power `N` times")
	powerSeed = flag.Uint64("seed", 0, "repeat the choices of a run with this seed (default: any)")
)

// TestPowerCut: whenever the power goes, and whatever of the last writes is on the
// disk then, the spool opens, and is what it was after the last change that had
// been promised, or after the one that was under way.
func TestPowerCut(t *testing.T) {
	seed := *powerSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	fmt.Println("torture: seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	calls := record(t, "TestSpoolIsUsed", fmt.Sprintf("TORTURE_SPOOL=%s", dir), fmt.Sprintf("TORTURE_SEED=%d", seed))
	var states []string // after each change
	b, err := os.ReadFile(filepath.Join(dir, "states"))
	if err == nil {
		err = json.Unmarshal(b, &states)
	}
	if err != nil {
		t.Fatal(err)
	}

	disk := newPowerDisk(filepath.Join(dir, "spool"))
	promises := newPromises(filepath.Join(dir, "promises"))
	var moments []int // at which something on the disk, or what is promised, has changed
	for i, c := range calls {
		if disk.do(c) || promises.do(c) {
			moments = append(moments, i)
		}
	}
	if want := states[len(states)-1]; promises.kept != len(states)-1 || len(states) < 100 {
		t.Fatalf("%d changes are known, %d were promised; the last is\n%s", len(states), promises.kept+1, want)
	}
	chosen := make(map[int]int)
	for range *cuts {
		chosen[moments[random.IntN(len(moments))]]++
	}

	disk, promises = newPowerDisk(disk.dir), newPromises(promises.path)
	unsynced, lost := 0, 0
	for i, c := range calls {
		disk.do(c)
		promises.do(c)
		for range chosen[i] {
			rebuilt := t.TempDir()
			u, l := disk.cut(t, random, rebuilt)
			unsynced, lost = unsynced+u, lost+l
			checkAfterCut(t, rebuilt, states[max(promises.kept, 0):promises.begun+1])
			if t.Failed() {
				t.Fatalf("seed %d: a cut after call %d of %d, in change %d", seed, i, len(calls), promises.begun)
			}
			if err := os.RemoveAll(rebuilt); err != nil {
				t.Fatal(err)
			}
		}
	}
	fmt.Printf("torture: cuts=%d changes=%d unsynced=%d dropped=%d lost=0\n", *cuts, len(states), unsynced, lost)
}

// promises are what the user of the spool was told: that a change has begun, and
// that it is durable. It is written to a file, so that it has its place among the
// calls.
type promises struct {
	path        string
	fd          int
	begun, kept int // number of the last change
}

func newPromises(path string) *promises { return &promises{path: path, fd: -1, begun: -1, kept: -1} }

func (p *promises) do(c call) bool {
	if c.name == "openat" && c.args[1] == p.path {
		p.fd = c.result
	}
	if c.name != "write" || c.args[0] != fmt.Sprint(p.fd) {
		return false
	}
	if _, err := fmt.Sscanf(c.args[1], "begun %d", &p.begun); err == nil {
		return true
	}
	_, err := fmt.Sscanf(c.args[1], "kept %d", &p.kept)
	return err == nil
}

// checkAfterCut wants the spool to be in one of these states, sound in itself, and
// of use.
func checkAfterCut(t *testing.T, dir string, want []string) {
	t.Helper()
	s := openSpool(t, dir)
	if got := describe(t, s); !slices.Contains(want, got) {
		t.Errorf("after the cut (-want +got):\n%s", cmp.Diff(strings.Split(want[0], "\n"), strings.Split(got, "\n")))
	}
	checkSound(t, s)
	appendEntries(t, s, "after the cut", entry(-1, "a", "b", "c"))
	for _, status := range s.Queues() {
		batch := peek(t, s.Queue(status.Action), 1<<20)
		settle(t, s.Queue(status.Action), batch, slices.Repeat([]Fate{Accepted}, len(batch))...)
	}
	s = reopen(t, s)
	for _, status := range s.Queues() {
		if status.Queued != 0 || status.Bytes != 0 {
			t.Errorf("settled after the cut: %+v", status)
		}
	}
	if n := keys(t, s, "blocks"); n != 0 {
		t.Errorf("%d blocks are left that no queue has", n)
	}
	checkSound(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// describe gives all that the spool promises to keep, and checks its counts.
func describe(t *testing.T, s *Spool) string {
	t.Helper()
	var b strings.Builder
	position, err := s.Position("journal")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "position %s\n", position)
	for _, status := range s.Queues() {
		bytes, batch := int64(0), peek(t, s.Queue(status.Action), 1<<20)
		status = s.Queue(status.Action).Status() // with nothing on its way that was dropped
		f, dropped := status.Failures, status.Dropped
		if status.Queued == 0 && f.Count == 0 && dropped.Count == 0 {
			continue // known or not, it is the same
		}
		fmt.Fprintf(&b, "queue %s: %d, %d bytes, dropped: %d, %d bytes, failures: %d %q\n",
			status.Action, status.Queued, status.Bytes, dropped.Count, dropped.Bytes, f.Count, f.Error)
		for _, d := range batch {
			bytes += int64(len(d.Record.Packed()))
			fmt.Fprintf(&b, "\t%s %d %s\n", d.ID, d.Attempts, sum(d.Record))
		}
		if status.Queued != int64(len(batch)) || status.Bytes != bytes {
			t.Errorf("queue %s has %d deliveries, %d bytes; counted are %d, %d bytes", status.Action, len(batch), bytes, status.Queued, status.Bytes)
		}
	}
	kept := make(map[string]int)
	for l, err := range s.Letters(Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		kept[l.Action]++
		fmt.Fprintf(&b, "letter %s %s %d %q %s\n", l.Action, l.ID, l.Attempts, l.Cause, sum(l.Record))
	}
	for _, action := range slices.Sorted(maps.Keys(s.LetterCounts())) {
		c := s.LetterCounts()[action]
		if c.Kept != kept[action] {
			t.Errorf("%d letters of %s are there, %d are counted", kept[action], action, c.Kept)
		}
		if c.Removed > 0 {
			fmt.Fprintf(&b, "letters of %s removed: %d\n", action, c.Removed)
		}
	}
	return b.String()
}

func sum(r journal.Record) string { return fmt.Sprintf("%.8x", sha256.Sum256(r.Packed())) }

// checkSound wants every page of the file in its place, each delivery's entry to be
// there, and no entry that nothing needs.
func checkSound(t *testing.T, s *Spool) {
	t.Helper()
	err := s.db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("the file: %v", err)
		}
		blocks, queues := tx.Bucket(bucketBlocks), tx.Bucket(bucketQueues)
		err := blocks.ForEachBucket(func(key []byte) error {
			if !wanted(tx, key) {
				t.Errorf("block %x is in no queue", key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return queues.ForEachBucket(func(action []byte) error {
			return queues.Bucket(action).ForEach(func(key, _ []byte) error {
				if blocks.Bucket(key) == nil {
					t.Errorf("queue %s wants block %x", action, key)
				}
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSpoolIsUsed is what TestPowerCut has run under strace: it changes a spool in
// every way, and writes down the state after each change.
func TestSpoolIsUsed(t *testing.T) {
	dir := os.Getenv("TORTURE_SPOOL")
	if dir == "" {
		t.Skip("it is run by TestPowerCut")
	}
	var seed uint64
	if _, err := fmt.Sscan(os.Getenv("TORTURE_SEED"), &seed); err != nil {
		t.Fatal(err)
	}
	promises, err := os.Create(filepath.Join(dir, "promises"))
	if err != nil {
		t.Fatal(err)
	}
	defer promises.Close()
	u := &user{t: t, random: rand.New(rand.NewPCG(seed, 1))}
	var states []string
	const changes = 300
	for n := range changes {
		fmt.Fprintf(promises, "begun %d\n", n)
		if n == 0 {
			u.Spool = openSpool(t, filepath.Join(dir, "spool"))
		} else {
			u.change()
		}
		fmt.Fprintf(promises, "kept %d\n", n)
		states = append(states, describe(t, u.Spool))
	}
	b, err := json.Marshal(states)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "states"), b, 0o600)
	}
	if err := errors.Join(err, u.Close()); err != nil {
		t.Fatal(err)
	}
}

// A user does to a spool what there is to be done.
type user struct {
	*Spool
	t       *testing.T
	random  *rand.Rand
	entries int
}

func (u *user) change() {
	u.t.Helper()
	var backlog int64
	for _, status := range u.Queues() {
		backlog += status.Bytes
	}
	var err error
	switch n := u.random.IntN(100); {
	case n < 40 && backlog < 2<<20:
		u.append()
	case n < 80:
		u.settle()
	case n < 85:
		appendEntries(u.t, u.Spool, fmt.Sprintf("moved to %d", u.entries))
	case n < 90:
		_, _, err = u.RetryLetters(u.letters(), func(string) bool { return true })
	case n < 95:
		_, err = u.DropLetters(u.letters())
	case n < 97:
		u.SetLetterLimit(LetterLimit{Max: 1 + u.random.IntN(20)})
		_, err = u.RemoveLetters()
	case n < 99:
		err = u.compact()
	default:
		u.Spool = reopen(u.t, u.Spool)
	}
	if err != nil {
		u.t.Fatal(err)
	}
}

// append adds a few entries, mostly small ones, which cannot be compressed. Two of the
// queues may get full.
func (u *user) append() {
	u.t.Helper()
	var batch []Routed
	for range 1 + u.random.IntN(20) {
		u.entries++
		e := entry(u.entries, []string{"a", "b", "c"}[:1+u.random.IntN(3)]...)
		size := u.random.IntN(1000)
		if u.random.IntN(50) == 0 {
			size *= 100
		}
		noise := make([]byte, size)
		for i := range noise {
			noise[i] = byte(u.random.Uint32())
		}
		e.Record = journal.NewRecord(e.Record.Cursor(), e.Record.Time(), 0,
			journal.Field{Name: "MESSAGE", Value: fmt.Appendf(nil, "X: message %d", u.entries)}, journal.Field{Name: "NOISE", Value: noise})
		batch = append(batch, e)
	}
	appendWithin(u.t, u.Spool, map[string]Bound{"b": {20_000, DropOldest}, "c": {20_000, DropNewest}}, fmt.Sprint("read ", u.entries), batch...)
}

// settle has some of one queue accepted, refused or tried in vain.
func (u *user) settle() {
	u.t.Helper()
	q := u.Queue([]string{"a", "b", "c"}[u.random.IntN(3)])
	batch := peek(u.t, q, 1+u.random.IntN(40))
	fates := make([]Fate, len(batch))
	for i := range fates {
		if fates[i] = Accepted; u.random.IntN(5) == 0 {
			fates[i] = Fate(u.random.IntN(4))
		}
	}
	settle(u.t, q, batch, fates...)
}

// letters chooses one action's dead letters.
func (u *user) letters() Filter { return Filter{Action: []string{"a", "b", "c"}[u.random.IntN(3)]} }
