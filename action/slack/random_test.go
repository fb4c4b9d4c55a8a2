package slack_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/slack"
)

// TestRandom: whatever happens to requests and to the router, each message is in Slack exactly
// once with all its parts, in order, each thread begins once, and its first message says how many
// have come. Without the right to look, nothing is lost.
func TestRandom(t *testing.T) {
	const schedules = 100
	first := rand.Uint64()
	t.Logf("the first seed is %d", first)
	for i := range uint64(schedules) {
		seed := first + i
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			w := newWorld(t, random, randomConfig(random))
			w.batch, w.calls = 1+random.IntN(4)*random.IntN(4), 1
			w.trouble = trouble{random.IntN(15), random.IntN(10), random.IntN(10), random.IntN(10), random.IntN(10)}
			w.queue = randomMessages(random, 5+random.IntN(20))
			w.sets = random.IntN(2) == 0
			switch random.IntN(6) {
			case 0:
				w.slack.Scopes = "chat:write,files:write"
				checkAll(t, w)
			case 1: // all is in parts, and none in files
				w.slack.Scopes = "chat:write,channels:read,channels:history"
				checkOnce(t, w)
			default:
				checkOnce(t, w)
			}
		})
	}
}

// TestRandomAtOnce is that with several calls at once, where only the order is free.
func TestRandomAtOnce(t *testing.T) {
	const schedules = 25
	first := rand.Uint64()
	t.Logf("the first seed is %d", first)
	for i := range uint64(schedules) {
		seed := first + i
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			w := newWorld(t, random, randomConfig(random))
			w.batch, w.calls = 1+random.IntN(4), 2+random.IntN(4)
			w.trouble = trouble{random.IntN(10), random.IntN(5), random.IntN(5), random.IntN(5), random.IntN(5)}
			w.queue = randomMessages(random, 5+random.IntN(15))
			checkOnce(t, w)
		})
	}
}

func randomConfig(random *rand.Rand) slack.Config {
	c := slack.Config{Channel: "#growth", Format: slack.Blocks}
	if random.IntN(2) == 0 {
		c.Format = slack.Text
	}
	if random.IntN(3) > 0 {
		c.Thread = "{{ .Fields.KEY }}"
	}
	if random.IntN(2) == 0 {
		c.Long = slack.InFile
	}
	if random.IntN(3) == 0 {
		c.Channel, c.Channels = `#{{ index (split .Fields.KEY "/") 0 }}`, []string{"#a", "#b", "#"}
		c.Channel = `{{ if eq .Fields.KEY "b" }}#b{{ else }}#a{{ end }}`
		c.Channels = []string{"#a", "#b"}
	}
	return c
}

func randomMessages(random *rand.Rand, n int) (all []action.Message) {
	for i := range n {
		text := fmt.Sprintf("line %d", i)
		if random.IntN(6) == 0 {
			text += strings.Repeat(" and more", 500+random.IntN(600))
		}
		all = append(all, logged(i, []string{"", "a", "b"}[random.IntN(3)], text))
	}
	return all
}

// checkAll delivers all, and finds it.
func checkAll(t *testing.T, w *world) {
	all := slices.Clone(w.queue)
	w.run()
	first, parts := posts(w.slack.Messages())
	for _, m := range all {
		if first[m.ID] == 0 {
			t.Errorf("message %s is lost", m.ID)
		}
		for part := 2; len(m.Text) > 4000 && part < 2+len(m.Text)/4000 && w.config.Long == ""; part++ {
			if !slices.Contains(parts[m.ID], part) {
				t.Errorf("part %d of message %s is lost", part, m.ID)
			}
		}
		if len(m.Text) > 4000 && len(parts[m.ID]) == 0 {
			t.Errorf("the rest of message %s is lost", m.ID)
		}
	}
}

// checkOnce delivers all, and finds it once.
func checkOnce(t *testing.T, w *world) {
	all := slices.Clone(w.queue)
	w.run()
	messages := w.slack.Messages()
	once, parts := posts(messages)
	roots := make(map[string]int)  // by channel and key
	counts := make(map[string]int) // the deliveries
	for _, m := range all {
		if once[m.ID] != 1 {
			t.Errorf("message %s is there %d times", m.ID, once[m.ID])
		}
		for i, part := range parts[m.ID] {
			if part != 0 && part != i+2 || part == 0 && i > 0 {
				t.Errorf("the parts of message %s are %v", m.ID, parts[m.ID])
			}
		}
		if (len(m.Text) > 4000) != (len(parts[m.ID]) > 0) {
			t.Errorf("message %s of %d bytes has the parts %v", m.ID, len(m.Text), parts[m.ID])
		}
		counts[w.place(m)]++
	}
	last := make(map[string]int)
	for _, m := range messages {
		if strings.Contains(m.Text, "Slack has not taken it in blocks") {
			t.Errorf("not in blocks: %.300q", m.Text)
		}
		ids := m.IDs()
		if len(ids) == 0 || m.Metadata["part"] != nil {
			continue
		}
		for _, id := range ids {
			var n int
			fmt.Sscanf(id, "%x", &n)
			if w.calls == 1 && last[m.Channel] > n {
				t.Errorf("message %d came after %d", n, last[m.Channel])
			}
			last[m.Channel] = n
			if m.ThreadTS == "" {
				roots[w.place(all[n])]++
			}
		}
		if m.ThreadTS != "" || w.config.Thread == "" {
			continue
		}
		var n int
		fmt.Sscanf(ids[0], "%x", &n)
		place := w.place(all[n])
		if strings.HasSuffix(place, "/") || counts[place] == len(ids) {
			continue
		}
		if said := fmt.Sprintf("*×%d*", counts[place]); !strings.Contains(fmt.Sprint(m.Text, m.Attachments), said) {
			t.Errorf("the first message of %s does not say %s: %.200s", place, said, fmt.Sprint(m.Text, m.Attachments))
		}
	}
	for place, n := range roots {
		if w.config.Thread != "" && !strings.HasSuffix(place, "/") && n > w.batch {
			t.Errorf("the thread %s has begun %d times", place, n)
		}
	}
	for _, key := range w.memory.Keys("sending/") {
		if !strings.Contains(string(w.memory.Get(key)), `"done":true`) {
			t.Errorf("still remembered: %s", w.memory.Get(key))
		}
	}
	if t.Failed() {
		for _, m := range messages {
			t.Logf("%s in %q of %s: %v %v %.40q", m.TS, m.ThreadTS, m.Channel, m.Metadata, len(m.Files), m.Says())
		}
	}
}

// place is where a message belongs: the channel, and behind a slash the key of the thread.
func (w *world) place(m action.Message) string {
	key, _ := m.Record.Get("KEY")
	channel := w.config.Channel
	if len(w.config.Channels) > 0 {
		channel = "#a"
		if string(key) == "b" {
			channel = "#b"
		}
	}
	return channel + "/" + string(key)
}
