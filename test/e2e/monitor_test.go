package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal/journaltest"
)

// get asks the program's own HTTP listener, at the address that it has logged last.
func (p *program) get(path string) (status int, body string) {
	p.t.Helper()
	found := regexp.MustCompile(`http=(\S+)`).FindAllStringSubmatch(p.log.String(), -1)
	if found == nil {
		p.t.Fatal("the log has no address")
	}
	resp, err := http.Get("http://" + found[len(found)-1][1] + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func (p *program) metric(line string) bool {
	p.t.Helper()
	_, all := p.get("/metrics")
	return slices.Contains(strings.Split(all, "\n"), "journald_router_"+line)
}

// TestGapIsShown: while the program was away, the journal deleted what it had read
// and more. The log, the metrics and the status tell.
func TestGapIsShown(t *testing.T) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	entry := func(after time.Duration, message string) journaltest.Entry {
		return journaltest.Entry{Time: noon.Add(after), Monotonic: time.Hour + after, Boot: journaltest.Boot1, Fields: journaltest.Fields("MESSAGE", message)}
	}
	dir := t.TempDir()
	first := filepath.Join(dir, "first.journal")
	journaltest.ForgeFile(t, first, slices.Values([]journaltest.Entry{entry(0, "X: read"), entry(time.Minute, "none")}))
	hook := newHook(t)
	p := newProgram(t, nil, "")
	p.configure(fmt.Sprintf(`
journal: {directory: %s, start: beginning}
http: 127.0.0.1:0
actions: {hook: {webhook: {url: "%s"}, text: "{{ .Text }}"}}
rules: [{name: all, prefix: "X: ", actions: hook}]
`, dir, hook.URL))
	p.startReady()
	waitFor(t, "the first entry", func() bool { return len(hook.received()) == 1 })
	if out := p.run("status"); strings.Contains(out, "lost:") {
		t.Errorf("before the gap:\n%s", out)
	}
	p.stop()

	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	journaltest.ForgeFile(t, filepath.Join(dir, "second.journal"), slices.Values([]journaltest.Entry{entry(time.Hour, "X: left")}))
	p.startReady()
	waitFor(t, "the entry after the gap", func() bool { return len(hook.received()) == 2 })
	if p.says("entries of the journal were deleted before they could be read") != 1 {
		t.Error("the log does not tell of it")
	}
	for _, line := range []string{"gaps_total 1", "entries_lost_total 0", "entries_matched_total 1"} {
		if !p.metric(line) {
			t.Errorf("the metrics have no %s", line)
		}
	}
	out := p.run("status")
	want := fmt.Sprintf("1 time entries were deleted before they were read, how many is not known; the last time between %s and %s",
		noon.Add(time.Minute).Local().Format(time.DateTime), noon.Add(time.Hour).Local().Format(time.DateTime))
	if !strings.Contains(out, want) {
		t.Errorf("status:\n%s\nwant %q", out, want)
	}
	p.stop()
}

// TestReadiness: with a queue that is full the program lives, but is not ready;
// the metrics say why, without what the destination said.
func TestReadiness(t *testing.T) {
	const token = "s3cret-token"
	j := journaltest.Start(t, journaltest.Options{})
	var up atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			http.Error(w, "not with "+r.Header.Get("Authorization"), http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	p := newProgram(t, j, fmt.Sprintf(`
http: 127.0.0.1:0
actions:
  hook:
    webhook: {url: "%s", headers: {Authorization: %s}}
    retry: {min: 10ms, max: 100ms}
    queue: {max_bytes: 1MiB}
rules:
  - {name: all, prefix: "X: ", actions: [hook]}
`, server.URL, token))
	p.startReady()
	ready := func(status int, body string) func() bool {
		return func() bool {
			gotStatus, got := p.get("/readyz")
			return gotStatus == status && got == body
		}
	}
	waitFor(t, "the start", ready(200, "ok"))
	// What is read in one go may be more than a queue holds, so: one after the other.
	full := ready(503, "reading has stopped: the queue of action hook is full")
	line := "X: " + strings.Repeat("x", 100_000)
	waitFor(t, "the queue to be full", func() bool {
		j.Print(line)
		j.Sync()
		return full()
	})
	if status, body := p.get("/healthz"); status != 200 {
		t.Errorf("healthz: %d %s", status, body)
	}
	for _, want := range []string{"reading_stopped 1", "ready 0", `queue_limit_bytes{action="hook"} 1.048576e+06`} {
		if !p.metric(want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	_, metrics := p.get("/metrics")
	for where, text := range map[string]string{
		"metrics": metrics, "status": p.run("status"), "status as JSON": p.run("status", "--output", "json"), "log": p.log.String(),
	} {
		if strings.Contains(text, token) {
			t.Errorf("the secret is in the %s", where)
		}
	}
	out := p.run("status")
	for _, want := range []string{"reading has stopped: the queue of action hook is full", "[secret]", " % full; once it is full, reading stops\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("status:\n%s\nwant %q", out, want)
		}
	}
	if n := p.says("a queue fills up; once it is full, reading stops, for all actions"); n != 1 {
		t.Errorf("the log warned of it %d times before, want once", n)
	}
	up.Store(true)
	waitFor(t, "the end of the trouble", ready(200, "ok"))
	p.stop()
}
