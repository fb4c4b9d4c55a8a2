//go:build torture

package torture

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/journald-router/journald-router/spool"
)

// TestKills: SIGKILL at random moments under traffic.
func TestKills(t *testing.T) {
	const lines = 40 // are logged for each kill, so that they fall everywhere
	r := newRig(t, released)
	for kill := range *kills {
		r.healed.Store(kill >= *kills*3/4)
		r.allowed.Add(lines)
		r.start()
		r.anyMoment()
		r.kill()
		r.restarted()
	}
	r.start()
	r.finish("kills")
}

// anyMoment waits for some number of lines more at the slow destination, or only
// a time that may be too short for the program to get to work.
func (r *rig) anyMoment() {
	r.Helper()
	if r.random.IntN(4) > 0 {
		target := min(r.slow.reached()+r.random.IntN(80), int(r.allowed.Load()))
		waitFor(r.T, fmt.Sprintf("line %d", target), func() bool { return r.slow.reached() >= target || r.over() })
	}
	<-time.After(time.Duration(r.random.IntN(20_000)) * time.Microsecond)
}

// steps are the fail points.
var steps = []string{
	"append.begin", "append.commit", "append.committed",
	"deliver.begin", "deliver.done",
	"settle.begin", "settle.commit", "settle.committed",
}

// compactSteps are those of a compaction, which the program begins with if the spool's
// file is large and nearly empty.
var compactSteps = []string{"compact.created", "compact.copied", "compact.renamed", "compact.synced"}

// TestSteps: a kill at every step of append, deliver, settle and compaction.
func TestSteps(t *testing.T) {
	r := newRig(t, failing)
	for round := range *rounds {
		r.healed.Store(round >= *rounds-1)
		for _, step := range steps {
			point := fmt.Sprintf("%s:%d", step, 1+r.random.IntN(10))
			r.dieAt(point)
		}
		for _, step := range compactSteps {
			r.bloat()
			r.dieAt(step + ":1")
		}
	}
	r.start()
	r.finish("steps")
	leftovers, err := filepath.Glob(filepath.Join(r.state(), "*.compact-*"))
	if err != nil || len(leftovers) > 0 {
		t.Errorf("left by compactions: %v %v", leftovers, err)
	}
}

// dieAt starts the program, which dies at the fail point.
func (r *rig) dieAt(point string) {
	r.Helper()
	r.start("JOURNALD_ROUTER_FAILPOINT=" + point)
	waitFor(r.T, "the program to die at "+point, func() bool {
		r.allowed.Add(1)
		return r.over()
	})
	r.killed()
	r.restarted()
}

// bloat makes the spool's file so large, with nothing in it, that the program compacts
// it as soon as it starts.
func (r *rig) bloat() {
	r.Helper()
	db, err := bolt.Open(filepath.Join(r.state(), spool.File), 0o600, &bolt.Options{Timeout: patience, NoSync: true})
	if err != nil {
		r.Fatal(err)
	}
	bucket := []byte("bloat")
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(bucket)
		for n := range byte(80) {
			err = errors.Join(err, b.Put([]byte{n}, make([]byte, 1<<20)))
		}
		return err
	})
	remove := func(tx *bolt.Tx) error { return tx.DeleteBucket(bucket) }
	if err := errors.Join(err, db.Update(remove), db.Close()); err != nil {
		r.Fatal(err)
	}
}
