package slack

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
	"github.com/slack-go/slack"
)

const (
	cursor  = "s=0123456789abcdef0123456789abcdef;i=2a;b=fedcba9876543210fedcba9876543210;m=1f;t=6543210;x=abcdef0123456789"
	command = "journalctl --cursor='s=0123456789abcdef0123456789abcdef;i=2a;t=6543210' -n 1 -o verbose"
)

var logged = time.Date(2026, 1, 31, 23, 30, 5, 0, time.UTC)

func record(pairs ...string) journal.Record {
	var fields []journal.Field
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, journal.Field{Name: pairs[i], Value: []byte(pairs[i+1])})
	}
	return journal.NewRecord(cursor, logged, 0, fields...)
}

func bot(format Format, long Long) *Action {
	return &Action{config: Config{Token: "xoxb-1", Channel: "#growth", Format: format, Long: long}}
}

func webhook(format Format) *Action {
	return &Action{config: Config{WebhookURL: "https://hooks.slack.com/services/T/B/X", Format: format}}
}

// asJSON is what Slack gets.
func asJSON(t *testing.T, p post) string {
	t.Helper()
	b, err := json.MarshalIndent(p.attachments, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return p.text + string(b)
}

func TestBlocks(t *testing.T) {
	m := action.Message{ID: "01", Text: "order 4711 failed &amp; stays: https://shop.example.com/4711", Record: record(
		"PRIORITY", "3", "_SYSTEMD_UNIT", "shop.service", "_HOSTNAME", "web1", "SYSLOG_IDENTIFIER", "shop")}
	got, rest, file := bot("", "").compose([]action.Message{m})
	want := `[
 {
  "color": "#e01e5a",
  "fallback": "order 4711 failed \u0026amp; stays: https://shop.example.com/4711",
  "blocks": [
   {
    "type": "section",
    "text": {
     "type": "mrkdwn",
     "text": "order 4711 failed \u0026amp; stays: \u003chttps://shop.example.com/4711\u003e",
     "verbatim": true
    }
   },
   {
    "type": "context",
    "elements": [
     {
      "type": "mrkdwn",
      "text": "shop.service",
      "verbatim": true
     },
     {
      "type": "mrkdwn",
      "text": "web1",
      "verbatim": true
     },
     {
      "type": "mrkdwn",
      "text": "\u003c!date^1769902205^{date_short_pretty} {time_secs}|2026-01-31T23:30:05Z\u003e",
      "verbatim": true
     },
     {
      "type": "mrkdwn",
      "text": "` + "`" + command + "`" + `",
      "verbatim": true
     }
    ]
   }
  ]
 }
]`
	if diff := cmp.Diff(want, asJSON(t, got)); diff != "" || rest != nil || file != nil {
		t.Errorf("and %v, %v (-want +got):\n%s", rest, file, diff)
	}
	if hook, _, _ := webhook(Blocks).compose([]action.Message{m}); asJSON(t, hook) != want {
		t.Errorf("through a webhook it is another: %s", asJSON(t, hook))
	}

	before := asJSON(t, got)
	counted := got.counted(17, logged.Add(time.Hour))
	if diff := cmp.Diff(append(notes(got), "*×17*, the last: <!date^1769905805^{date_short_pretty} {time_secs}|2026-02-01T00:30:05Z>"), notes(counted)); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	long, _, _ := bot("", "").compose([]action.Message{{Text: strings.Repeat("x", 4000), Record: m.Record}})
	two, three := long.counted(2, logged), long.counted(3, logged)
	for n, p := range map[int]post{2: two, 3: three} {
		if all := strings.Join(notes(p), "\n"); strings.Count(all, "×") != 1 || !strings.Contains(all, fmt.Sprintf("*×%d*", n)) {
			t.Errorf("counted as %d: %s", n, all)
		}
	}
	if asJSON(t, got) != before {
		t.Error("counting has changed the post")
	}
	if got := (post{text: "x"}).counted(2, logged); got.text != "x\n*×2*, the last: <!date^1769902205^{date_short_pretty} {time_secs}|2026-01-31T23:30:05Z>" || got.attachments != nil {
		t.Errorf("a text, counted: %v", got)
	}
}

// sections are the texts of a post, notes what stands small below them.
func sections(p post) (texts []string) {
	for _, at := range p.attachments {
		for _, b := range at.Blocks.BlockSet {
			if section, ok := b.(*slack.SectionBlock); ok {
				texts = append(texts, section.Text.Text)
			}
		}
	}
	return texts
}

func notes(p post) (texts []string) {
	for _, at := range p.attachments {
		for _, b := range at.Blocks.BlockSet {
			if c, ok := b.(*slack.ContextBlock); ok {
				for _, e := range c.ContextElements.Elements {
					texts = append(texts, e.(*slack.TextBlockObject).Text)
				}
			}
		}
	}
	return texts
}

func TestColours(t *testing.T) {
	shown := make(map[string]string)
	for _, priority := range []string{"0", "1", "2", "3", "4", "5", "6", "7"} {
		p, _, _ := bot("", "").compose([]action.Message{{Record: record("PRIORITY", priority)}})
		colour := p.attachments[0].Color
		if len(colour) != 7 || colour[0] != '#' {
			t.Errorf("priority %s: %q", priority, colour)
		}
		shown[colour] += priority
	}
	if len(shown) != 6 || shown[colours["0"]] != "012" {
		t.Errorf("%v", shown)
	}
	for _, priority := range []string{"", "8", "err", "33"} {
		if p, _, _ := bot("", "").compose([]action.Message{{Record: record("PRIORITY", priority)}}); p.attachments[0].Color != "" {
			t.Errorf("priority %q: %q", priority, p.attachments[0].Color)
		}
	}
}

// TestOrigin: what an entry's fields make of the line below its text.
func TestOrigin(t *testing.T) {
	at := "<!date^1769902205^{date_short_pretty} {time_secs}|2026-01-31T23:30:05Z>"
	found := "`" + command + "`"
	tests := []struct {
		name   string
		fields []string
		want   []string
	}{
		{"a service", []string{"_SYSTEMD_UNIT", "shop.service", "SYSLOG_IDENTIFIER", "x", "_HOSTNAME", "web1"}, []string{"shop.service", "web1", at, found}},
		{"a service of a user's", []string{"_SYSTEMD_UNIT", "user@1000.service", "_SYSTEMD_USER_UNIT", "sync.service"}, []string{"sync.service", at, found}},
		{"no unit", []string{"SYSLOG_IDENTIFIER", "sshd", "_COMM", "x"}, []string{"sshd", at, found}},
		{"the kernel's, or so", []string{"_COMM", "bash"}, []string{"bash", at, found}},
		{"nothing", nil, []string{at, found}},
		{"escaped", []string{"_SYSTEMD_UNIT", "<!channel>&", "_HOSTNAME", "<@U1>\n*x*\x00"}, []string{"&lt;!channel&gt;&amp;", "&lt;@U1&gt; *x*", at, found}},
		{"long", []string{"SYSLOG_IDENTIFIER", strings.Repeat("<", 4000)}, []string{strings.Repeat("&lt;", 100) + "…", at, found}},
		{"a namespace", []string{"_NAMESPACE", "shop"}, []string{at, strings.Replace(found, "journalctl", "journalctl --namespace=shop", 1)}},
		{"a forged namespace", []string{"_NAMESPACE", "x'; rm -rf ~; '"}, []string{at}},
		{"a namespace that looks like an option", []string{"_NAMESPACE", "-x"}, []string{at}},
		{"a namespace that stands for all", []string{"_NAMESPACE", "*"}, []string{at}},
	}
	for _, tt := range tests {
		p, _, _ := bot("", "").compose([]action.Message{{Text: "x", Record: record(tt.fields...)}})
		if diff := cmp.Diff(tt.want, notes(p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	for _, forged := range []string{"", "x", "s=1;i=2;t=3", strings.Replace(cursor, ";i=2a;", ";i=2a$(id);", 1), strings.Replace(cursor, "t=6543210", "t=6543210'`", 1), strings.Replace(cursor, "s=01", "s=\n1", 1)} {
		r := journal.NewRecord(forged, time.Time{}, 0)
		if p, _, _ := bot("", "").compose([]action.Message{{Text: "x", Record: r}}); len(notes(p)) != 0 && !r.Time().IsZero() {
			t.Errorf("cursor %q: %q", forged, notes(p))
		}
		if got := finds(r); got != "" {
			t.Errorf("cursor %q: %s", forged, got)
		}
	}
}

// TestLong: where the rest of a long text goes.
func TestLong(t *testing.T) {
	line := strings.Repeat("x", 99) + "\n"
	long := strings.Repeat(line, 70)
	m := action.Message{ID: "0123", Text: long + "&lt;end&gt;", Record: record("PRIORITY", "4")}
	huge := m
	huge.Text = strings.Repeat(line, 1000)

	first, rest, file := bot("", "").compose([]action.Message{m})
	if n := notes(first); file != nil || len(rest) != 2 || n[0] != "… 4,105 characters more in the thread" {
		t.Errorf("%d parts, %v, %q", len(rest), file, n)
	}
	if all := sections(first)[0] + sections(rest[0])[0] + sections(rest[1])[0]; all != m.Text {
		t.Errorf("the parts are not the text: %q", all)
	}
	if n := append(notes(rest[0]), notes(rest[1])...); len(n) > 0 || rest[1].attachments[0].Color != colours["4"] {
		t.Errorf("the parts have notes, or no colour: %q", n)
	}

	_, rest, _ = bot("", "").compose([]action.Message{huge})
	if n := notes(rest[len(rest)-1]); len(rest) != 19 || len(n) != 1 || n[0] != "… [42,000 characters more left out] The whole entry: `"+command+"`" {
		t.Errorf("%d parts, the last with %q", len(rest), n)
	}

	for _, p := range rest[:len(rest)-1] {
		if n := notes(p); len(n) > 0 {
			t.Errorf("a part in the middle with %q", n)
		}
	}

	first, rest, file = bot("", InFile).compose([]action.Message{m})
	if n := notes(first); len(rest) != 0 || file == nil || n[0] != "… 4,105 characters more in 0123.txt, in the thread" {
		t.Fatalf("%d parts, %v, %q", len(rest), file, n)
	}
	if file.name != "0123.txt" || string(file.content) != long+"<end>" {
		t.Errorf("%s: %q", file.name, file.content)
	}

	first, rest, file = bot(Text, "").compose([]action.Message{m})
	if len(rest) != 2 || file != nil || !strings.HasSuffix(first.text, "\n_… 3,705 characters more in the thread_") {
		t.Errorf("%d parts, %v, %q", len(rest), file, first.text)
	}
	if all, _, _ := strings.Cut(first.text, "\n_… "); all+rest[0].text+rest[1].text != m.Text {
		t.Errorf("the parts are not the text: %q", all)
	}
	_, rest, _ = bot(Text, "").compose([]action.Message{huge})
	if last := rest[len(rest)-1].text; len(rest) != 19 || !strings.HasSuffix(last, "characters more left out] The whole entry: `"+command+"`") || units(last) > maxLines {
		t.Errorf("%d parts, the last with %q", len(rest), last)
	}
	first, rest, file = bot(Text, InFile).compose([]action.Message{m})
	if len(rest) != 0 || file == nil || string(file.content) != long+"<end>" || !strings.HasSuffix(first.text, "\n_… 3,705 characters more in 0123.txt, in the thread_") {
		t.Errorf("%d parts, %v, %q", len(rest), file, first.text)
	}

	// A webhook has neither thread nor file, and several messages have one post.
	first, rest, file = webhook("").compose([]action.Message{m})
	if s := sections(first)[0]; rest != nil || file != nil || units(s) > maxSection || !strings.HasSuffix(s, "… [4037 more characters cut off]") {
		t.Errorf("%v, %v, %q", rest, file, s)
	}
	first, _, _ = webhook(Text).compose([]action.Message{huge})
	if s := first.text; units(s) > maxText || !strings.HasSuffix(s, "… [60034 more characters cut off]") {
		t.Errorf("%q", s[len(s)-100:])
	}
	first, rest, file = bot("", InFile).compose([]action.Message{m, huge})
	if s := sections(first); rest != nil || file != nil || len(s) != 2 || !strings.HasSuffix(s[0], "more characters cut off]") || !strings.HasSuffix(s[1], "more characters cut off]") {
		t.Errorf("%v, %v, %q", rest, file, s)
	}
}

// TestMentions: what the user writes to page somebody is also said outside of the
// attachment, as Slack notifies nobody of what is only within.
func TestMentions(t *testing.T) {
	tests := []struct{ name, text, want, fallback string }{
		{"here", "<!here> order failed, <!here>", "<!here>", "@here order failed, @here"},
		{"several", "<@U024BE7LH> <!subteam^S1> <@U024BE7LH>\n<!channel>", "<@U024BE7LH> <!subteam^S1> <!channel>", "@U024BE7LH @subteam^S1 @U024BE7LH @channel"},
		{"other mark-up", "<#C024BE7LR> <https://a.example|a> <!date^1^{time}|x> ```code```", "", "#C024BE7LR a x code"},
		{"what was logged", "&lt;!here&gt; @here", "", "&lt;!here&gt; @here"},
		{"long", strings.Repeat("&amp;", 200), "", strings.Repeat("&amp;", 59) + "…"},
	}
	for _, tt := range tests {
		p, _, _ := bot("", "").compose([]action.Message{{Text: tt.text, Custom: true}})
		if got := p.attachments[0].Fallback; p.text != tt.want || got != tt.fallback {
			t.Errorf("%s: %q and %q, want %q and %q", tt.name, p.text, got, tt.want, tt.fallback)
		}
	}
	p, rest, _ := bot("", "").compose([]action.Message{{Text: "<!here>" + strings.Repeat("x", 3000) + "<@U1>", Custom: true}})
	if p.text != "<!here>" || rest[0].text != "<@U1>" {
		t.Errorf("over two posts: %q, %q", p.text, rest[0].text)
	}
}

// TestFitBlocks: how many messages go into one post of blocks.
func TestFitBlocks(t *testing.T) {
	of := func(sizes ...int) (batch []action.Message) {
		for _, n := range sizes {
			batch = append(batch, action.Message{Text: strings.Repeat("é", n), Record: record("_HOSTNAME", "web1")})
		}
		return batch
	}
	var many []int
	for range 100 {
		many = append(many, 1)
	}
	for _, row := range []struct {
		sizes []int
		fit   int
	}{
		{many, 20},
		{[]int{2000, 2000, 2000, 2000, 2000, 2000}, 4},
		{[]int{1, 2999, 1}, 3},
		{[]int{1, 3000, 1}, 1}, // the second has a thread of its own
		{[]int{3000, 1}, 1},
		{[]int{1}, 1},
	} {
		for _, a := range []*Action{bot("", ""), webhook("")} {
			batch := of(row.sizes...)
			n := a.Fit(batch)
			if n != row.fit {
				t.Errorf("%d of %d go together, want %d", n, len(batch), row.fit)
			}
			p, _, _ := a.compose(batch[:n])
			if len(p.attachments) != n {
				t.Errorf("%d messages are %d attachments", n, len(p.attachments))
			}
		}
	}
}

// TestLines: of messages that go together as plain text, nothing is cut off.
func TestLines(t *testing.T) {
	a := bot(Text, "")
	batch := []action.Message{{Text: strings.Repeat("x", 2000)}}
	for range 99 {
		batch = append(batch, action.Message{Text: "y"})
	}
	if n := a.Fit(batch); n != 100 {
		t.Fatalf("%d go together", n)
	}
	first, _, _ := a.compose(batch)
	if want := strings.Repeat("x", 2000) + strings.Repeat("\ny", 99); first.text != want {
		t.Errorf("got %q", first.text)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 1: "1", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		want += " characters"
		if n == 1 {
			want = "1 character"
		}
		if got := fmt.Sprint(count(n)); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
