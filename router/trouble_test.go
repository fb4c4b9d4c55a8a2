package router

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/action"
	"golang.org/x/sys/unix"
)

// fullDisk is a file system of 2 MiB. fill takes what is left of it, grow gives it more.
func fullDisk(t *testing.T) (dir string, fill, grow func()) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("mount a small file system, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	fill = func() {
		if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 4<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("filling the disk: %v", err)
		}
	}
	grow = func() {
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=16m"); err != nil {
			t.Error(err)
		}
	}
	return dir, fill, grow
}

// TestReloadWhileNothingCanBeNoted: what was answered before the disk was full, and
// could not be noted since, is not sent again because of a reload.
func TestReloadWhileNothingCanBeNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, fill, grow := fullDisk(t)
		// Nothing is set aside for noting it: a file without blocks stands for the reserve.
		reserve := filepath.Join(disk, "spool.reserve")
		if err := errors.Join(os.WriteFile(reserve, nil, 0o600), os.Truncate(reserve, 4<<20)); err != nil {
			t.Fatal(err)
		}
		d := &destination{deliver: func(context.Context, []action.Message) error {
			fill()
			return action.Permanent(errors.New("no"))
		}}
		r := newRig(t, newMemory("X: "+strings.Repeat("a letter of many pages", 5000)), d)
		r.dir = disk
		r.start()
		synctest.Wait()
		again := &destination{}
		routes := r.routes
		routes.Actions = slices.Clone(routes.Actions)
		routes.Actions[0].Destination = again
		for range 3 {
			time.Sleep(time.Minute)
			if err := r.router.Reload(t.Context(), routes); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(r.letters()); n != 0 || !strings.Contains(r.log.String(), "could not be noted") {
			t.Errorf("%d letters on a full disk; the log:\n%s", n, &r.log)
		}
		grow()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(r.letters()); n != 1 {
			t.Errorf("%d letters once there is room, want 1", n)
		}
		if first, second := d.calls.Load(), again.calls.Load(); first != 1 || second != 0 {
			t.Errorf("it was sent %d times, and %d times after the reload; want 1 and 0", first, second)
		}
		r.journal.log("X: 2")
		r.want(again, "2")
		r.stop()
	})
}

// TestBacklogIsNoProbe: with 500 deliveries queued, a destination that is down is asked
// once for each wait, for the first of them, however many it could be asked for at a
// time; and other actions do not wait.
func TestBacklogIsNoProbe(t *testing.T) {
	for _, concurrency := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			const queued = 500
			start := time.Now()
			up := start.Add(time.Hour)
			type probe struct {
				at    time.Duration
				texts []string
			}
			var probes []probe
			d := &destination{batch: 100, deliver: func(_ context.Context, batch []action.Message) error {
				if time.Now().After(up) {
					return nil
				}
				p := probe{at: time.Since(start)}
				for _, m := range batch {
					p.texts = append(p.texts, m.Text)
				}
				probes = append(probes, p)
				return errors.New("down")
			}}
			well := &destination{batch: queued}
			r := newRig(t, newMemory("X: 0"), d, well)
			r.routes.Actions[0].Concurrency = concurrency
			r.start()
			synctest.Wait() // the first one has failed
			want, lines := []string{"0"}, []string(nil)
			for n := 1; n < queued; n++ {
				want = append(want, fmt.Sprint(n))
				lines = append(lines, "X: "+want[n])
			}
			r.journal.log(lines...)
			r.want(well, want...)
			time.Sleep(time.Until(up))
			synctest.Wait()
			for i, p := range probes {
				if !slices.Equal(p.texts, want[:1]) {
					t.Errorf("probe %d is %q, want the first delivery alone", i, p.texts)
				}
				if i == 0 {
					continue
				}
				wait, most := p.at-probes[i-1].at, min(time.Second<<(i-1), 5*time.Minute)
				if wait < most/2 || wait > most {
					t.Errorf("wait %d was %v, want %v to %v", i, wait, most/2, most)
				}
			}
			if s := r.spool.Queue("a").Status(); s.Queued != queued || s.Failures.Count != len(probes) {
				t.Errorf("%d probes; the queue: %+v", len(probes), s)
			}
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			got := d.texts()
			if concurrency > 1 {
				slices.Sort(got)
				slices.Sort(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("with concurrency %d, delivered %q", concurrency, got)
			}
			r.stop()
		})
	}
}

// TestReloadDuringAHangingDelivery: for as long as it has to end, nobody else waits; it
// counts as no attempt; what the new configuration says holds for the next try.
func TestReloadDuringAHangingDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := &destination{deliver: func(ctx context.Context, _ []action.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		well := new(destination)
		r := newRig(t, newMemory("X: 1"), hangs, well)
		r.start()
		r.want(well, "1")
		mended := new(destination)
		routes := r.routes
		routes.Actions = slices.Clone(routes.Actions)
		routes.Actions[0].Destination = mended
		start := time.Now()
		for range 3 { // one reload in the grace of another
			if err := r.router.Reload(t.Context(), routes); err != nil {
				t.Fatal(err)
			}
			r.journal.log("X: 2")
			synctest.Wait()
		}
		if took := time.Since(start); took > 0 || len(mended.texts()) > 0 {
			t.Errorf("the reload took %v; delivered meanwhile: %q", took, mended.texts())
		}
		r.want(well, "1", "2", "2", "2")
		time.Sleep(Grace)
		r.want(mended, "1", "2", "2", "2")
		if n := hangs.calls.Load(); n != 1 || strings.Contains(r.log.String(), "delivery failed") {
			t.Errorf("%d calls of the old destination; the log:\n%s", n, &r.log)
		}
		r.stop()
	})
}
