package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action/slack/slacktest"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/router"
)

// TestPace: a backlog goes to Slack as a few messages of many lines, no more often than
// the rate allows, and to an API in several requests at once, of several each.
func TestPace(t *testing.T) {
	const entries = 100
	chat := slacktest.NewServer()
	defer chat.Close()
	api := newCrowd(t)
	j := journaltest.Start(t, journaltest.Options{})
	var want []string
	for i := range entries {
		want = append(want, fmt.Sprintf("line %d", i))
		j.Print("X: " + want[i])
	}
	j.Sync()
	p := newProgramOn(t, fmt.Sprintf("namespace: %s, start: beginning", j.Namespace()), fmt.Sprintf(`
actions:
  chat:
    slack: {token: %s, channel: "#growth", api_url: %s}
    batch: {max: 30, wait: 300ms}
    rate: 5/s
  api:
    webhook: {url: %s, format: ndjson}
    batch: {max: 10}
    concurrency: 4
rules:
  - {name: x, prefix: "X: ", actions: [chat, api]}
`, slacktest.Token, chat.APIURL(), api.URL))
	p.startReady()
	p.waitFor("all to be delivered", func() bool {
		var s router.Snapshot
		if err := json.Unmarshal([]byte(p.run("status", "--output", "json")), &s); err != nil {
			t.Fatal(err)
		}
		return len(s.Actions) == 2 && !slices.ContainsFunc(s.Actions, func(a router.ActionSnapshot) bool { return a.Delivered < entries || a.Queued > 0 || a.InFlight > 0 })
	})
	p.stop()

	messages := chat.Messages()
	var lines []string
	for _, m := range messages {
		lines = append(lines, strings.Split(m.Says(), "\n")...)
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines in Slack (-want +got):\n%s", diff)
	}
	if n := len(messages); n < 4 || n > 8 {
		t.Errorf("%d lines became %d messages", entries, n)
	}
	if took, least := messages[len(messages)-1].Time.Sub(messages[0].Time), time.Duration(len(messages)-1)*200*time.Millisecond; took < least*9/10 {
		t.Errorf("%d messages came within %v, and 5/s allows %v", len(messages), took, least)
	}

	got, most := api.received()
	slices.SortFunc(want, strings.Compare)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the API was sent (-want +got):\n%s", diff)
	}
	if most < 2 || most > 4 {
		t.Errorf("%d requests at once, want 2 to 4", most)
	}
}

// crowd is a web server that answers the first request only once there is another.
type crowd struct {
	*httptest.Server
	second chan struct{}

	mu        sync.Mutex
	texts     []string
	now, most int
}

func newCrowd(t *testing.T) *crowd {
	c := &crowd{second: make(chan struct{})}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c.mu.Lock()
		if c.now++; c.now == 2 && c.most < 2 {
			close(c.second)
		}
		c.most = max(c.most, c.now)
		c.mu.Unlock()
		<-c.second
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now--
		for line := range strings.Lines(string(body)) {
			var one struct{ Text string }
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Error(err)
			}
			c.texts = append(c.texts, one.Text)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// received returns what came, sorted, and how many requests there were at once.
func (c *crowd) received() ([]string, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.texts)), c.most
}
