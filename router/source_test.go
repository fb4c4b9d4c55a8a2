package router

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/join"
)

func TestFullQueueStopsTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		d := &destination{deliver: func(ctx context.Context, _ []action.Message) error {
			select {
			case <-open:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		r := newRig(t, newMemory("X: 1"), d)
		r.routes.Actions[0].MaxBytes = 1
		r.start()
		synctest.Wait()
		r.journal.log("X: 2")
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.spool.Queue("a").Status().Queued; n != 1 {
			t.Errorf("%d queued in a full queue, want 1", n)
		}
		if p, _ := r.spool.Position("journal"); p != "1" {
			t.Errorf("position %s, want 1: the second entry is nowhere yet", p)
		}
		if err := r.router.Alive(); err != nil {
			t.Errorf("waiting for room counts as stuck: %v", err)
		}
		// A reload may take the limit away.
		routes := r.routes
		routes.Actions = slices.Clone(routes.Actions)
		routes.Actions[0].MaxBytes = 1000
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.spool.Queue("a").Status().Queued; n != 2 {
			t.Errorf("%d queued after the limit was raised, want 2", n)
		}
		close(open)
		time.Sleep(10 * time.Minute)
		r.want(d, "1", "2")
		if n := strings.Count(r.log.String(), "a queue is full"); n != 1 {
			t.Errorf("the full queue was told of %d times, want once:\n%s", n, &r.log)
		}
		r.stop()
	})
}

func TestReaderErrorIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("X: 1", "no", "X: 2", "X: 3"), d)
		r.journal.fail[2] = errors.New("bad message")
		r.journal.fail[4] = errors.New("bad message")
		r.start()
		time.Sleep(time.Minute)
		r.want(d, "1", "2", "3")
		if n := strings.Count(r.log.String(), "opened again"); n != 2 {
			t.Errorf("%d errors in the log, want 2:\n%s", n, &r.log)
		}
		r.stop()
	})
}

// TestReaderErrorWhileTheDiskIsFull: the batch before the error waits for room, which
// is not reading, and there may be room once deleted files are let go of, as long as
// the reader can do that.
func TestReaderErrorWhileTheDiskIsFull(t *testing.T) {
	for _, gone := range []error{nil, errors.New("the journal is gone")} {
		synctest.Test(t, func(t *testing.T) {
			d := new(destination)
			r := newRig(t, newMemory("X: 1"), d)
			r.start()
			r.want(d, "1")
			if err := r.spool.Close(); err != nil { // it cannot be written any more
				t.Fatal(err)
			}
			r.journal.gone = gone
			r.journal.fail[3] = errors.New("bad message")
			r.journal.log("X: 2")
			synctest.Wait()
			r.journal.log("X: 3")
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if r.journal.fail[3] != nil {
				t.Error("the reader has not failed")
			}
			if err := r.router.Alive(); err != nil {
				t.Errorf("waiting for the disk counts as stuck: %v", err)
			}
			if n := r.journal.process; gone == nil && n < 500 || gone != nil && n != 1 {
				t.Errorf("with the error %v, deleted files were let go of %d times in 10 minutes", gone, n)
			}
			r.cancel()
			if err := <-r.done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// TestReaderErrorWithoutAMatch: where a reader stands after an error is not known,
// so there is no position to be saved.
func TestReaderErrorWithoutAMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("no", "X: 1"), d)
		r.journal.fail[2] = errors.New("bad message")
		r.start()
		time.Sleep(time.Minute)
		r.want(d, "1")
		r.stop()
	})
}

// TestReaderErrorInALongLine: the parts that were read before the error are part
// of the line after it, and what came meanwhile does not come again.
func TestReaderErrorInALongLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory(), d)
		part := func(message, ending string) {
			var fields []journal.Field
			for name, value := range map[string]string{
				"_MACHINE_ID": strings.Repeat("a", 32), "_STREAM_ID": strings.Repeat("5", 32), "MESSAGE": message, "_LINE_BREAK": ending,
			} {
				fields = append(fields, journal.Field{Name: name, Value: []byte(value)})
			}
			r.journal.add(fields)
		}
		part("X: lo", "line-max")
		r.journal.log("X: 2")
		part("ng ", "line-max")
		part("line", "eof")
		r.journal.log("X: 5")
		r.journal.fail[3] = errors.New("bad message")
		r.journal.fail[4] = errors.New("bad message")
		r.journal.fail[5] = errors.New("bad message")
		r.options.Open = func(position string) (journal.Reader, error) {
			return join.Open(join.Options{Open: func(position string, _ bool) (journal.Reader, error) { return r.journal.open(position) }, After: position})
		}
		r.start()
		time.Sleep(5 * time.Minute)
		r.want(d, "2", "long line", "5")
		r.stop()
	})
}

// TestErrorWhenTheTimeIsUp: an error of Wait is one also where the position is due to
// be saved meanwhile.
func TestErrorWhenTheTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("no"), d)
		r.journal.late = errors.New("too few file descriptors")
		r.start()
		synctest.Wait() // the position is saved
		r.journal.log("no")
		time.Sleep(time.Minute)
		r.journal.log("X: 1")
		r.want(d, "1")
		if n := strings.Count(r.log.String(), "too few file descriptors"); n != 1 {
			t.Errorf("the error is in the log %d times, want once:\n%s", n, &r.log)
		}
		r.stop()
	})
}

func TestFirstOpeningFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), new(destination))
		cause := errors.New("no journal here")
		r.options.Open = func(string) (journal.Reader, error) { return nil, cause }
		r.start()
		if err := <-r.done; !errors.Is(err, cause) {
			t.Errorf("Run: %v, want %v", err, cause)
		}
		r.spool.Close()
	})
}

func TestPositionIsSavedWithoutAMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newMemory()
		r := newRig(t, j, new(destination))
		position := func() string {
			synctest.Wait()
			p, err := r.spool.Position("journal")
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		r.start()
		if p := position(); p != journal.Head {
			t.Errorf("at the first start %q, want %q", p, journal.Head)
		}
		for range 100 {
			j.log("no")
			time.Sleep(10 * time.Millisecond)
		}
		j.log("no")
		time.Sleep(saveEvery)
		if p := position(); p != "101" {
			t.Errorf("after a second %q, want 101", p)
		}
		j.log("no")
		r.stop()
		r.start()
		if p := position(); p != "102" {
			t.Errorf("after a stop %q, want 102", p)
		}
		r.stop()
	})
}

func TestOwnEntriesAreNotRouted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory(), d)
		guard := &Guard{invocations: map[string]bool{"own": true}}
		r.options.Guard = guard
		r.start()
		for _, id := range []string{"own", "another", ""} {
			r.journal.add([]journal.Field{{Name: "MESSAGE", Value: []byte("X: " + id)},
				{Name: journal.FieldInvocationID, Value: []byte(id)}})
		}
		r.want(d, "another", "")
		r.stop()
	})
}

// TestLostPosition: a reader that has forgotten where it stands keeps nothing
// that it has read from being delivered, once.
func TestLostPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory(), d)
		r.start()
		synctest.Wait()
		r.journal.mu.Lock()
		r.journal.lost = true
		r.journal.mu.Unlock()
		r.journal.log("X: 1", "X: 2")
		r.want(d, "1", "2")
		if p, _ := r.spool.Position("journal"); p != "2" {
			t.Errorf("position %s, want 2", p)
		}
		r.stop()
	})
}
