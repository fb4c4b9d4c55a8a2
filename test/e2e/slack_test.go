package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action/slack/slacktest"
	"github.com/journald-router/journald-router/journal/journaltest"
)

// Of the lines for Slack, three that follow each other have the same of ten threads, and may be one
// message; every 25th is so long that it goes on in two further ones.
const slackThreads, slackLong = 10, 25

func slackThread(n int) int { return n / 3 % slackThreads }

func slackLine(n int) string {
	line := fmt.Sprintf("%d %d", slackThread(n), n)
	if n%slackLong == 0 {
		line += strings.Repeat(" more", 1800)
	}
	return line
}

// killedSlack is what Slack has after so many lines, and so many kills.
type killedSlack struct {
	messages []slacktest.Message
	kills    int
	lost     int // replies
	lookUps  int
}

func newKilledSlack(t *testing.T, scopes string, concurrency, lines, kills int) *killedSlack {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	j := journaltest.Start(t, journaltest.Options{})
	slack := slacktest.NewServer()
	defer slack.Close()
	slack.Scopes, slack.Channels = scopes, []string{"#growth"}
	slack.EveryNth(5, slacktest.DropReply())
	p := newProgram(t, j, fmt.Sprintf(`
actions:
  growth:
    slack: {token: %s, channel: "#growth", thread: "{{ slice .Text 0 1 }}", format: text, api_url: "%s"}
    batch: {max: 3}
    concurrency: %d
    retry: {min: 10ms, max: 50ms}
rules:
  - {name: signups, prefix: "SLACK: ", actions: [growth]}
`, slacktest.Token, slack.APIURL(), concurrency))
	p.startReady()
	s := newStream(j, lines, kills, func(n int) string { return "SLACK: " + slackLine(n) })
	for range kills {
		s.next()
		// Some way into the work, or before there is any.
		<-time.After(time.Duration(random.IntN(200_000)) * time.Microsecond)
		p.kill()
		p.start()
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all messages", func() bool { return len(deliveries(slack.Messages())) == lines })
	waitFor(t, "the queue to be empty", func() bool { return p.status().Actions[0].Queued == 0 })
	p.stop()
	if errors := p.says("level=ERROR"); errors > 0 {
		t.Errorf("%d errors in the log", errors)
	}
	k := &killedSlack{messages: slack.Messages(), kills: kills}
	k.lost = len(k.messages) / 5
	k.lookUps = slack.RequestsTo("conversations.history") + slack.RequestsTo("conversations.replies")
	return k
}

// deliveries counts the messages by the lines that they bring, first parts only.
func deliveries(messages []slacktest.Message) map[int]int {
	found := make(map[int]int)
	for _, m := range messages {
		if m.Metadata["part"] != nil {
			continue
		}
		for _, line := range strings.Split(m.Text, "\n") {
			var thread, n int
			if _, err := fmt.Sscanf(line, "%d %d", &thread, &n); err == nil {
				found[n]++
			}
		}
	}
	return found
}

// parts counts the further parts of messages, by the message's id and the part's number.
func parts(messages []slacktest.Message) map[string]int {
	found := make(map[string]int)
	for _, m := range messages {
		if part := m.Metadata["part"]; part != nil {
			found[fmt.Sprint(m.ID, " ", part)]++
		}
	}
	return found
}

// TestSlackOnce: with the right to read the history, no message is there twice, and no thread
// begins twice, whatever moment the router is killed at and whatever reply is lost.
func TestSlackOnce(t *testing.T) { checkSlackOnce(t, 1, 1000, 100) }

// TestSlackOnceAtOnce is that with several calls at once, where only the order is free.
func TestSlackOnceAtOnce(t *testing.T) { checkSlackOnce(t, 4, 300, 30) }

func checkSlackOnce(t *testing.T, concurrency, lines, kills int) {
	k := newKilledSlack(t, slacktest.Scopes, concurrency, lines, kills)
	for n, times := range deliveries(k.messages) {
		if times != 1 {
			t.Errorf("line %d is there %d times", n, times)
		}
	}
	for part, times := range parts(k.messages) {
		if times != 1 {
			t.Errorf("part %s is there %d times", part, times)
		}
	}
	if got, want := len(parts(k.messages)), 2*lines/slackLong; got != want {
		t.Errorf("%d further parts, want %d", got, want)
	}
	roots, before := make(map[string]slacktest.Message), 0
	for _, m := range k.messages {
		var thread string
		var n int
		if fmt.Sscanf(m.Text, "%s %d", &thread, &n); m.Metadata["part"] != nil {
			continue
		}
		if n < before && concurrency == 1 {
			t.Errorf("line %d came after %d", n, before)
		}
		before = n
		if m.ThreadTS == "" {
			if first, ok := roots[thread]; ok {
				t.Errorf("the thread %s has begun twice, with %.20q and %.20q", thread, first.Text, m.Text)
			}
			roots[thread] = m
		} else if m.ThreadTS != roots[thread].TS {
			t.Errorf("%.20q is in another thread", m.Text)
		}
	}
	counts := make(map[string]int)
	for n := range lines {
		counts[fmt.Sprint(slackThread(n))]++
	}
	for thread, m := range roots {
		if want := fmt.Sprintf("*×%d*", counts[thread]); !strings.Contains(m.Text, want) {
			t.Errorf("the first message of thread %s does not say %s: %q", thread, want, m.Text)
		}
	}
	t.Logf("%d messages of %d lines, %d kills, %d replies lost, looked up in %d requests", len(k.messages), lines, kills, k.lost, k.lookUps)
}

// TestSlackBlind: without that right nothing is lost, and only what a kill or a lost reply has cut
// off is there twice.
func TestSlackBlind(t *testing.T) {
	const lines, kills = 300, 30
	k := newKilledSlack(t, "chat:write", 1, lines, kills)
	repeats := 0
	for _, times := range deliveries(k.messages) {
		repeats += times - 1
	}
	if most := 3 * (k.lost + kills); repeats > most { // a message is of three lines at most
		t.Errorf("%d lines are there again, want %d at most", repeats, most)
	}
	for n := 0; n < lines; n += slackLong {
		id := ""
		for _, m := range k.messages {
			if m.ID != "" && strings.Contains(m.Text, fmt.Sprintf("%d %d more", slackThread(n), n)) {
				id = m.ID
			}
		}
		for part := 2; part <= 3; part++ {
			if parts(k.messages)[fmt.Sprint(id, " ", part)] == 0 {
				t.Errorf("part %d of line %d is lost", part, n)
			}
		}
	}
	t.Logf("%d lines of %d are there again, %d kills, %d replies lost", repeats, lines, kills, k.lost)
}
