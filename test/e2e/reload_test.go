package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/journald-router/journald-router/journal/journaltest"
)

// TestActionIsRenamed while its destination is down, and deliveries and a dead letter
// wait under its old name. They are kept and shown, over a restart too, and nobody
// else gets them; once the name is back they arrive, in order and once.
func TestActionIsRenamed(t *testing.T) {
	t.Parallel() // mostly waiting for journald
	j := journaltest.Start(t, journaltest.Options{})
	var status atomic.Int64 // of what the old destination answers
	status.Store(http.StatusBadRequest)
	var old hook
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := int(status.Load()); code != http.StatusOK {
			http.Error(w, "no", code)
			return
		}
		old.accept(r)
	}))
	defer server.Close()
	other := newHook(t)
	config := func(name, url string) string {
		return fmt.Sprintf(`
actions:
  %s: {webhook: {url: "%s"}, text: "{{ .Text }}", retry: {min: 10ms, max: 100ms}}
rules:
  - {name: x, prefix: "X: ", actions: [%[1]s]}
`, name, url)
	}
	p := newProgram(t, j, config("first", server.URL))
	p.startReady()
	j.Print("X: 100")
	waitFor(t, "the dead letter", func() bool { return p.says(`msg="dead letter"`) == 1 })
	status.Store(http.StatusServiceUnavailable)
	const queued = 5
	for n := range queued {
		j.Print(fmt.Sprintf("X: %d", n))
	}
	waitFor(t, "the queue", func() bool { return p.status().Actions[0].Queued == queued })

	p.reload(config("second", other.URL))
	j.Print("X: 200")
	waitFor(t, "the action of the new name", func() bool { return len(other.received()) == 1 })
	if p.says(`a queue has no action of its name in the configuration; its deliveries are kept" action=first queued=5`) != 1 {
		t.Error("the log does not tell of the queue that is left")
	}
	shown := func(when string) {
		t.Helper()
		text := p.run("status")
		for _, want := range []string{
			`(?m)^left over: +the queue of first, which the configuration does not have$`,
			`(?m)^dead letters: +first 1: see journald-router dead list$`,
			`(?m)^first +5 +0 +[1-9]`,
		} {
			if !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("%s: status has no %s:\n%s", when, want, text)
			}
		}
		if strings.Contains(text, "next try") {
			t.Errorf("%s: a queue without an action is not tried, but status says:\n%s", when, text)
		}
		if list := p.run("dead", "list"); strings.Count(list, "first") != 1 {
			t.Errorf("%s: the dead letters:\n%s", when, list)
		}
		if _, stderr, err := p.try("dead", "retry"); err == nil || !strings.Contains(stderr, `1 dead letter kept: the configuration has no action "first"`) {
			t.Errorf("%s: dead retry: %v\n%s", when, err, stderr)
		}
	}
	shown("after the reload")
	p.kill()
	shown("without a daemon")
	p.startReady()
	shown("after a restart")

	status.Store(http.StatusOK)
	p.reload(config("first", server.URL))
	waitFor(t, "what was kept", func() bool { return len(old.received()) >= queued })
	if out := p.run("dead", "retry"); out != "1 dead letter put back\n" {
		t.Errorf("dead retry: %q", out)
	}
	waitFor(t, "the dead letter", func() bool { return len(old.received()) > queued })
	if got, want := numbersOf(old.received()), append(upTo(queued), 100); !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
	if got := other.received(); !slices.Equal(got, []string{"200"}) {
		t.Errorf("the other destination got %q", got)
	}
	if out := p.run("status"); strings.Contains(out, "left over") || strings.Contains(out, "dead letters") {
		t.Errorf("in the end:\n%s", out)
	}
	p.stop()
}

// TestReloadsInTrouble: reloads during a delivery that hangs, and while a queue is
// full and nothing is read. What comes of one that takes the full queue's action
// away, or raises its limit, holds at once; nothing is lost, and all is in order.
func TestReloadsInTrouble(t *testing.T) {
	t.Parallel() // mostly waiting for journald
	j := journaltest.Start(t, journaltest.Options{})
	var up atomic.Bool
	var hanging hook
	requests := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if up.Load() {
			hanging.accept(r)
			return
		}
		requests <- struct{}{}
		never(nil, w, r)
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	well := newHook(t)
	config := func(max string, actions string) string {
		return fmt.Sprintf(`
actions:
  hangs: {webhook: {url: "%s"}, text: "{{ .Text }}", queue: {max_bytes: %s}}
  well: {webhook: {url: "%s"}, text: "{{ .Text }}"}
rules:
  - {name: x, prefix: "X: ", actions: [%s]}
  - {name: y, prefix: "Y: ", actions: [well]}
`, server.URL, max, well.URL, actions)
	}
	p := newProgram(t, j, config("1MiB", "hangs"))
	p.startReady()
	next := fill(t, j, p, 0)
	<-requests
	j.Print("Y: 0")
	j.Sync()

	p.reload(config("1MiB", "hangs")) // breaks the delivery off
	<-requests
	if a := p.status().Actions[0]; a.FailedAttempts != 0 || a.Failures != 0 {
		t.Errorf("a delivery that a reload broke off counts: %+v", a)
	}
	if n := len(well.received()); n > 0 {
		t.Errorf("%d lines were read while the queue was full", n)
	}

	p.reload(config("100MiB", "hangs"))
	waitFor(t, "the first line behind the full queue", func() bool { return len(well.received()) == 1 })

	p.reload(config("1MiB", "well")) // full again, but nothing more is for it
	j.Print(fmt.Sprintf("X: %d", next))
	waitFor(t, "the line for the other action", func() bool { return len(well.received()) == 2 })

	up.Store(true)
	p.reload(config("100MiB", "hangs"))
	j.Print(fmt.Sprintf("X: %d", next+1))
	waitFor(t, "the last line", func() bool { return len(hanging.received()) > next })
	if got, want := numbersOf(hanging.received()), append(upTo(next), next+1); !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
	if got, want := numbersOf(well.received()), []int{0, next}; !slices.Equal(got, want) {
		t.Errorf("the other action got %v, want %v", got, want)
	}
	p.stop()
}
