package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action/nats/natstest"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestNATS: a stream of lines goes to JetStream while the server is killed in the middle
// and started again, then the router, then both at once. Each line is there, in its
// order, and none twice.
func TestNATS(t *testing.T) {
	const lines, kills = 1200, 3
	const password = "the-password-0123"
	asRouter := nats.UserInfo("router", password)
	server, err := natstest.Start(t.TempDir(), `authorization {users: [{user: router, password: "`+password+`"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Kill() })
	if err := server.MakeStream(t.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.*"}}, asRouter); err != nil {
		t.Fatal(err)
	}
	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, fmt.Sprintf(`
actions:
  events:
    nats: {url: "%s", subject: "logs.{{ .Rule }}", stream: LOGS, user: router, password: "${env:NATS_PASSWORD}"}
    batch: {max: 20}
    retry: {min: 10ms, max: 100ms}
rules:
  - {name: shop, prefix: "SHOP: ", actions: [events]}
`, server.URL()))
	t.Setenv("NATS_PASSWORD", "another-password")
	if out, _, err := p.try("check", "--connect"); err == nil || !strings.Contains(out, "Authorization Violation") {
		t.Errorf("check --connect with a wrong password: %v, %s", err, out)
	}
	t.Setenv("NATS_PASSWORD", password)
	p.run("check", "--connect")
	p.startReady()

	s := newStream(j, lines, kills, func(n int) string { return fmt.Sprint("SHOP: order ", n) })
	count := func() int {
		n, err := server.Count(t.Context(), "LOGS", asRouter)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for kill := range kills {
		s.next()
		due := kill*lines/(kills+1) + lines/(kills+1)/4
		p.waitFor("a part of the lines", func() bool { return count() >= due })
		if kill != 0 {
			p.kill()
		}
		if kill != 1 {
			server.Kill()
			if kill == 0 {
				p.waitFor("the router to notice", func() bool { return p.says("connection refused") > 0 })
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
		}
		if kill != 0 {
			p.start()
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	p.waitFor("all lines", func() bool { return count() >= lines })
	p.stop()

	messages, err := server.Messages(t.Context(), "LOGS", asRouter)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for n := range lines {
		want = append(want, fmt.Sprint("logs.shop order ", n))
	}
	ids := make(map[string]bool)
	for _, m := range messages {
		var body struct {
			ID, Rule, Text string
			Fields         map[string]any
		}
		if err := json.Unmarshal(m.Data(), &body); err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Subject()+" "+body.Text)
		if id := m.Headers().Get("Nats-Msg-Id"); ids[id] || id != body.ID || body.Rule != "shop" || body.Fields["MESSAGE"] != "SHOP: "+body.Text {
			t.Errorf("%s has the id %q: %.300s", body.Text, id, m.Data())
		} else {
			ids[id] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is in the stream (-want +got):\n%s", diff)
	}
	if n := p.says("level=ERROR"); n > 0 {
		t.Errorf("%d errors in the log", n)
	}
	if n := p.says(password); n > 0 {
		t.Error("the log has the password")
	}
}
