package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action/slack/slacktest"
	"github.com/journald-router/journald-router/journal/journaltest"
)

// TestKill: a stream of 10,000 lines, of which every tenth is for Slack, while
// the program is killed at 20 random moments. Every one of the 1,000 arrives, in
// order, and none twice: the router looks whether it is there.
func TestKill(t *testing.T) {
	const lines, every, kills = 10_000, 10, 20
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	j := journaltest.Start(t, journaltest.Options{})
	slack := slacktest.NewServer()
	defer slack.Close()
	p := newProgram(t, j, fmt.Sprintf(`
actions:
  growth:
    slack: {token: %s, channel: "#growth", api_url: "%s"}
    retry: {min: 10ms, max: 100ms}
rules:
  - {name: signups, prefix: "SLACK: ", actions: [growth]}
`, slacktest.Token, slack.APIURL()))
	p.startReady()

	s := newStream(j, lines, kills, func(n int) string {
		if n%every == 0 {
			return fmt.Sprintf("SLACK: %d", n/every)
		}
		return fmt.Sprintf("noise %d", n)
	})

	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for kill := range kills {
		s.next()
		// The moment is a number of messages more, which may be none, or a time
		// after the start, which may be too short to get to work.
		if random.IntN(4) > 0 {
			n := len(slack.Messages()) + random.IntN(lines/every/kills)
			if _, err := slack.Wait(ctx, min(n, (kill+1)*lines/every/(kills+1))); err != nil {
				t.Fatal(err)
			}
		} else {
			<-time.After(time.Duration(random.IntN(50_000)) * time.Microsecond)
		}
		p.kill()
		p.start()
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}

	waitFor(t, "the last message", func() bool {
		m := slack.Messages()
		return len(m) > 0 && m[len(m)-1].Says() == strconv.Itoa(lines/every-1)
	})
	if took := p.stop(); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}

	ids := make(map[string]string)
	for n, m := range slack.Messages() {
		if m.Says() != strconv.Itoa(n) {
			t.Fatalf("message %s came where %d was due", m.Says(), n)
		}
		if other, ok := ids[m.ID]; ok || m.ID == "" {
			t.Errorf("message %s has the id %q of %q", m.Says(), m.ID, other)
		}
		ids[m.ID] = m.Says()
	}
	if len(ids) != lines/every {
		t.Errorf("%d delivered, want %d", len(ids), lines/every)
	}
	t.Logf("%d delivered, %d kills", len(ids), kills)
	if errors := p.says("level=ERROR"); errors > 0 {
		t.Errorf("%d errors in the log", errors)
	}
}

// TestSlackFails: what Slack says decides between another try and a dead letter,
// and a webhook beside it is served within a second all the while.
func TestSlackFails(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	slack := slacktest.NewServer()
	defer slack.Close()
	hook := newHook(t)
	p := newProgram(t, j, fmt.Sprintf(`
actions:
  growth:
    slack: {token: %s, channel: "#growth", api_url: "%s", timeout: 300ms}
    retry: {min: 10ms, max: 50ms}
  hook:
    webhook: {url: "%s"}
rules:
  - {name: signups, prefix: "SLACK: ", actions: [growth, hook]}
`, slacktest.Token, slack.APIURL(), hook.URL))
	p.startReady()

	for _, test := range []struct {
		name   string
		faults []slacktest.Fault // of the first tries
		buried string            // the cause of the dead letter, if it becomes one
	}{
		{"well", nil, ""},
		{"ratelimited", []slacktest.Fault{slacktest.RateLimited(time.Second), slacktest.RateLimited(0)}, ""},
		{"internal error", []slacktest.Fault{slacktest.Status(500, "oops"), slacktest.Status(500, "")}, ""},
		{"bad gateway", []slacktest.Fault{slacktest.Status(502, "<html>")}, ""},
		{"timeout", []slacktest.Fault{slacktest.Hang(), slacktest.Hang()}, ""},
		{"connection lost", []slacktest.Fault{slacktest.Drop(), slacktest.Drop()}, ""},
		{"error in words", []slacktest.Fault{slacktest.Error("internal_error")}, ""},
		{"invalid_auth", []slacktest.Fault{slacktest.Error("invalid_auth")}, "invalid_auth"},
		{"channel_not_found", []slacktest.Fault{slacktest.Error("channel_not_found")}, "channel_not_found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			messages, requests, hooks := len(slack.Messages()), slack.Requests(), len(hook.received())
			slack.Script(test.faults...)
			tries := len(test.faults)
			if test.buried == "" {
				tries++
			}
			logged := time.Now()
			j.Print("SLACK: " + test.name)
			waitFor(t, "the webhook", func() bool { return len(hook.received()) > hooks })
			if late := time.Since(logged); late > time.Second {
				t.Errorf("the webhook was served after %v", late)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := slack.WaitRequests(ctx, requests+tries); err != nil {
				t.Fatal(err)
			}
			if test.buried != "" {
				waitFor(t, "the dead letter", func() bool { return strings.Contains(p.run("dead", "list"), test.buried) })
				if n := len(slack.Messages()); n != messages {
					t.Errorf("Slack has %d messages more", n-messages)
				}
				if out := p.run("dead", "drop", "--all"); out != "1 dead letter dropped\n" {
					t.Errorf("dead drop: %q", out)
				}
				return
			}
			got, err := slack.Wait(ctx, messages+1)
			if err != nil {
				t.Fatal(err)
			}
			if last := got[len(got)-1]; last.Says() != test.name || len(got) != messages+1 {
				t.Errorf("Slack got %q as %d more", last.Says(), len(got)-messages)
			}
		})
	}
	p.stop()
	if p.says(slacktest.Token) > 0 {
		t.Error("the token is in the log")
	}
}
