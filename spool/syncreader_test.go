//go:build torture

package spool

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// TestSyncFailsUnderReader: who reads while the last sync of a change fails goes on
// seeing what was there when it began.
func TestSyncFailsUnderReader(t *testing.T) {
	if os.Getenv("SPOOL_READER") != "" {
		readAcross(t)
		return
	}
	for n := 6; n < 14; n++ {
		cmd := exec.Command("strace", "-f", "-qq", "-e", "signal=none", "-e", "trace=fdatasync", "-e", fmt.Sprintf("inject=fdatasync:error=ENOSPC:when=%d", n),
			"-o", "/dev/null", os.Args[0], "-test.run=^TestSyncFailsUnderReader$", "-test.count=1", "-test.v", "-test.timeout=20s")
		cmd.Env = append(os.Environ(), "SPOOL_READER=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("sync %d fails: %v\n%.1500s", n, err, out)
		}
	}
}

func readAcross(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := openSpool(t, t.TempDir())
	var ids []Routed
	for i := range 40 {
		ids = append(ids, noisy(i, "a"))
	}
	for i := range 3 {
		s.Append("journal", fmt.Sprint("c", i), ids, nil)
	}
	began, checked := make(chan bool), make(chan string, 1)
	done := make(chan bool)
	go func() {
		s.view(func(tx *bolt.Tx) error {
			sum := func() map[string]string {
				all := map[string]string{}
				tx.Bucket(bucketDead).ForEach(func(k, v []byte) error { all[string(k)] = string(v); return nil })
				tx.Bucket(bucketPositions).ForEach(func(k, v []byte) error { all[string(k)] = string(v); return nil })
				tx.Bucket(bucketStates).ForEach(func(k, v []byte) error { all[string(k)] = string(v); return nil })
				return all
			}
			before := sum()
			close(began)
			select {
			case <-done:
			case <-time.After(time.Second):
			}
			checked <- cmp.Diff(before, sum())
			return nil
		})
	}()
	<-began
	for i := range 6 {
		if _, err := s.Append("journal", fmt.Sprint("d", i), []Routed{noisy(i, "a")}, nil); err != nil {
			t.Log(err)
		}
	}
	close(done)
	if diff := <-checked; diff != "" {
		t.Error("what a reader sees has changed:", diff[:min(400, len(diff))])
	}
}
