package slack

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/slack/slacktest"
	"github.com/journald-router/journald-router/journal"
	"github.com/slack-go/slack"
)

// templates of users, in which something of an entry is inserted wherever that can be.
var templates = []string{
	"", // none: the message as it is
	"*{{ .Rule }}* on {{ .Host }}: {{ .Text }}",
	"`{{ .Text }}` ```{{ .Text }}{{ .Unit }}```",
	"<https://shop.example.com/{{ .Text }}|{{ .Text }}> {{ .Fields.SYSLOG_IDENTIFIER }}",
	"<{{ .Text }}> <{{ .Fields.SYSLOG_IDENTIFIER }}|{{ .Text }}> < {{ .Text }}",
	"> {{ .Text }}\n&{{ .Text }};{{ .Text }}{{ .Text }}",
	"<{{ .Text }}{{ .Fields.SYSLOG_IDENTIFIER }}|open> <https://a.example?q={{ .Text }}|open>",
	`{{ printf "%.100s" .Text }} {{ truncate 9 .Text | upper }}<{{ slice (printf "%s      " .Text) 0 5 }}|open> {{ .Text | replace "a" "<!here>" | split " " | join "|" }}`,
}

// FuzzCompose: whatever an entry holds, it pages nobody and hides no link, every post is one that
// Slack takes, and the posts together say all of the text.
func FuzzCompose(f *testing.F) {
	for _, s := range []string{
		"", " ", "order 4711 failed", "<!channel>", "<@U1>", "<#C1>", "<!subteam^S1>", "<!here|here>", "<!everyone", "!channel>", "<", ">", "&", "&lt;!channel&gt;",
		"!channel", "@U1", "#C1", "<https://evil.example|bank.example>", "https://evil.example/|bank", "https://a.example/<!channel>", "https://a.example/&<@U1>", "http:0", "HTTPS://a.example", "mailto:a@b.example?subject=a b", "\x00\xff\ufdd0!here", "`<!here>`", "```<!here>", "\u202e<!here>",
		"panic: <!channel>\n\tmain.go:100\n  `https://a.example`", strings.Repeat("at x\n\tmain.go:100\n", 400), strings.Repeat("x", 2995) + "<!channel>", strings.Repeat("x", 3995) + "<!channel>", strings.Repeat("<!channel> ", 400), strings.Repeat("&", 700) + "<!here>",
		strings.Repeat("https://a.example/"+strings.Repeat("y", 90)+"<!here> ", 40), "```" + strings.Repeat("<!channel>\n", 400) + "```<@U1>", strings.Repeat("\n", 4500) + "<@U1>",
	} {
		for i := range templates {
			f.Add(s, s, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, text, other string, which uint8) {
		if len(text) > 6000 || len(other) > 6000 {
			return // several times that is in the posts, with escapes
		}
		template := templates[int(which)%len(templates)]
		r := journal.NewRecord(other, time.Unix(int64(which), 0), 0, journal.Field{Name: "MESSAGE", Value: []byte(text)}, journal.Field{Name: "_HOSTNAME", Value: []byte(other)},
			journal.Field{Name: "_SYSTEMD_UNIT", Value: []byte(text)}, journal.Field{Name: "SYSLOG_IDENTIFIER", Value: []byte(other)}, journal.Field{Name: "_NAMESPACE", Value: []byte(other)})
		for _, a := range []*Action{bot("", ""), bot(Text, ""), bot("", InFile), bot(Text, InFile), webhook(""), webhook(Text)} {
			m := action.Message{ID: "0123", Text: a.Escape(text), Record: r, Custom: template != "", Data: action.NewData("0123", other, text, nil, r)}
			if template != "" {
				parsed, err := action.ParseTemplate(template, a.Escape)
				if err != nil {
					t.Fatal(err)
				}
				if m.Text, err = parsed.Render(m.Data); err != nil {
					t.Fatal(err)
				}
			}
			first, rest, file := a.compose([]action.Message{m})
			var all strings.Builder
			for _, p := range append([]post{first.counted(2, r.Time())}, rest...) {
				check(t, a, p, template)
				all.WriteString(saysOf(p))
			}
			if whole := a.config.WebhookURL == "" && file == nil && len(rest) < maxParts-1; whole && !strings.Contains(m.Text, fenceMark) {
				text, link := sectionText(m), anyLink
				if !a.blocks() {
					text, link = textOf(m), shortLink
				}
				got := all.String()
				if strings.Contains(text, fenceMark) { // and again in each part
					got, text = strings.ReplaceAll(got, fenceMark, ""), strings.ReplaceAll(text, fenceMark, "")
					link = func(url string) string { return url }
				}
				if got, want := shown(got), shown(render(text, link)); got != want {
					t.Errorf("%s: of\n%q\nthere is\n%q", a.config.Format, want, got)
				}
			}
			if file != nil && (!utf8.Valid(file.content) || len(file.content) == 0) {
				t.Errorf("a file of %q", file.content)
			}
			several := []action.Message{m, m, m}
			together, _, _ := a.compose(several[:a.Fit(several)])
			check(t, a, together, template)
		}
	})
}

var (
	date  = regexp.MustCompile(`<!date\^\d+\^\{date_short_pretty\} \{time_secs\}\|[0-9TZ:-]+>`)
	links = regexp.MustCompile(`<(?:https?://|mailto:|tel:|slack://)[^<>| ]+(\|[^<>]*)?>`)
)

// check refuses what Slack would refuse, and whatever is no date, and no link that shows where it
// leads to, the user's own aside.
func check(t *testing.T, a *Action, p post, template string) {
	t.Helper()
	harmless := func(s string) {
		s = date.ReplaceAllString(s, "")
		for _, link := range links.FindAllString(s, -1) {
			target, label, ok := strings.Cut(link[1:len(link)-1], "|")
			if begin, end, cut := strings.Cut(label, "…"); ok && (!cut || !strings.HasPrefix(target, begin) || !strings.HasSuffix(target, end)) && label != "open" && !strings.Contains(template, "|{{") {
				t.Errorf("a link that hides where it leads to: %s", link)
			}
		}
		if s = links.ReplaceAllString(s, ""); strings.Contains(s, "<") {
			t.Errorf("mark-up in %q", s)
		}
		if strings.Contains(s, inserted) || !utf8.ValidString(s) {
			t.Errorf("%q", s)
		}
	}
	m := accepted(t, p)
	if len(m.Pages()) > 0 || len(m.Broken()) > 0 && !strings.Contains(asJSON(t, p), "slack://") {
		t.Errorf("pages %q, broken %q: %s", m.Pages(), m.Broken(), asJSON(t, p))
	}
	if len(p.attachments) > 0 {
		m := accepted(t, p.asText("invalid_blocks"))
		if len(m.Pages()) > 0 {
			t.Errorf("as mere text, pages %q: %s", m.Pages(), asJSON(t, p))
		}
		harmless(m.Text)
	}
	most := maxUpdate
	if a.config.WebhookURL != "" {
		most = maxText
	}
	if harmless(p.text); units(p.text) > most || len(p.attachments) > 20 || strings.TrimSpace(p.text) == "" && len(p.attachments) == 0 {
		t.Errorf("%d characters, %d attachments", units(p.text), len(p.attachments))
	}
	sum := 0
	for _, at := range p.attachments {
		sum += weight(at)
		if harmless(at.Fallback); units(at.Fallback) > maxFallback || strings.ContainsAny(at.Fallback, "<") {
			t.Errorf("fallback %q", at.Fallback)
		}
		for _, b := range at.Blocks.BlockSet {
			switch b := b.(type) {
			case *slack.SectionBlock:
				if harmless(b.Text.Text); units(b.Text.Text) > maxSection || strings.TrimSpace(b.Text.Text) == "" || !b.Text.Verbatim {
					t.Errorf("a section of %d characters", units(b.Text.Text))
				}
			case *slack.ContextBlock:
				if n := len(b.ContextElements.Elements); n == 0 || n > 10 {
					t.Errorf("%d elements", n)
				}
				for _, e := range b.ContextElements.Elements {
					if text := e.(*slack.TextBlockObject); !text.Verbatim || text.Text == "" || units(text.Text) > 1000 {
						t.Errorf("an element: %+v", text)
					} else {
						harmless(text.Text)
					}
				}
			}
		}
	}
	if sum > maxWeight {
		t.Errorf("a weight of %d", sum)
	}
}

// accepted fails if Slack would refuse the post, and returns what Slack has of it.
func accepted(t *testing.T, p post) slacktest.Message {
	t.Helper()
	body, err := json.Marshal(map[string]any{"text": p.text, "attachments": p.attachments})
	if err != nil {
		t.Fatal(err)
	}
	fake := slacktest.New()
	request := httptest.NewRequest(http.MethodPost, slacktest.WebhookPath, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	response := httptest.NewRecorder()
	if fake.ServeHTTP(response, request); response.Code != http.StatusOK {
		t.Fatalf("Slack answers %d %s to %s", response.Code, response.Body, body)
	}
	return fake.Messages()[0]
}

// saysOf is a post's share of the text, without what was added to it.
func saysOf(p post) string {
	s := strings.Join(sections(p), "")
	if len(p.attachments) == 0 {
		s, _, _ = strings.Cut(p.text, "\n*×2*")
		if i := strings.LastIndex(s, "\n_… "); i >= 0 {
			s = s[:i]
		}
	}
	if bare := strings.TrimPrefix(s, blank); strings.TrimSpace(bare) == "" {
		return bare
	}
	return s
}
