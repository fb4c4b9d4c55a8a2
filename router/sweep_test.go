package router

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/spool"
)

func refuses() *destination {
	return &destination{deliver: func(context.Context, []action.Message) error {
		return action.Permanent(errors.New("refused"))
	}}
}

func (r *rig) wantLetters(texts ...string) {
	r.t.Helper()
	synctest.Wait()
	var got []string
	for _, l := range r.letters() {
		got = append(got, l.Text())
	}
	if fmt.Sprint(got) != fmt.Sprint(texts) {
		r.t.Errorf("dead letters are %q, want %q", got, texts)
	}
	if n := r.router.Snapshot().DeadLetters["a"]; n != len(texts) {
		r.t.Errorf("%d are counted, want %d", n, len(texts))
	}
}

// TestLimitByNumber: the oldest go at once, and are told of once a minute.
func TestLimitByNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newMemory("X: 1", "X: 2", "X: 3")
		r := newRig(t, j, refuses())
		r.start()
		r.wantLetters("1", "2", "3")
		routes := r.routes
		routes.DeadLetters.Max = 2
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		for n := 4; n < 8; n++ {
			time.Sleep(time.Second)
			j.log(fmt.Sprint("X: ", n))
			r.wantLetters(fmt.Sprint(n-1), fmt.Sprint(n))
		}
		time.Sleep(10 * sweepEvery)
		j.log("X: 8")
		r.wantLetters("7", "8")
		if got := r.router.Snapshot().DeadLettersRemoved["a"]; got != 6 {
			t.Errorf("%d were removed, want 6", got)
		}
		r.stop()
		// The first five in one line, and at the end what was not told of yet.
		log := r.log.String()
		if strings.Count(log, "the oldest dead letters were removed") != 2 || !strings.Contains(log, "count=5 max=2 ") || !strings.Contains(log, "count=1 max=2 ") {
			t.Errorf("log:\n%s", log)
		}
	})
}

// TestLimitByAge: letters go when they are too old, also those that got so while
// nothing ran; a reload changes the age.
func TestLimitByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newMemory("X: 1")
		r := newRig(t, j, refuses())
		r.routes.DeadLetters = spool.LetterLimit{MaxAge: 2 * time.Hour}
		r.start()
		r.wantLetters("1")
		time.Sleep(time.Hour)
		j.log("X: 2")
		r.wantLetters("1", "2")
		time.Sleep(time.Hour - time.Second)
		r.wantLetters("1", "2")
		time.Sleep(time.Second + sweepEvery)
		r.wantLetters("2")

		routes := r.routes
		routes.DeadLetters.MaxAge = time.Hour
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		time.Sleep(sweepEvery)
		r.wantLetters()
		j.log("X: 3")
		r.wantLetters("3")
		r.stop()

		time.Sleep(24 * time.Hour)
		r.start()
		r.wantLetters()
		if got := r.router.Snapshot().DeadLettersRemoved["a"]; got != 3 {
			t.Errorf("%d were removed, want 3", got)
		}
		r.stop()
	})
}

// TestLimitWithOnce: "run --once" does not wait for the next sweep, and tells what
// it removed.
func TestLimitWithOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newMemory("X: 1", "X: 2", "X: 3")
		j.once = true
		r := newRig(t, j, refuses())
		r.options.Once = true
		r.routes.DeadLetters.Max = 1
		start := time.Now()
		r.start()
		r.wantLetters("3")
		r.stop()
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		if log := r.log.String(); !strings.Contains(log, "count=2 max=1 ") {
			t.Errorf("log:\n%s", log)
		}
	})
}
