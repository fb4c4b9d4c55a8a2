package slack

import (
	"fmt"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action"
)

// rendered is the message of an entry, with a template or, where that is empty, without.
func rendered(t *testing.T, template, text string, pairs ...string) action.Message {
	t.Helper()
	a := bot("", "")
	m := action.Message{ID: "01", Text: a.Escape(text), Record: record(pairs...)}
	m.Data = action.NewData("01", "signups", text, nil, m.Record)
	if template == "" {
		return m
	}
	parsed, err := action.ParseTemplate(template, a.Escape)
	if err != nil {
		t.Fatal(err)
	}
	if m.Text, err = parsed.Render(m.Data); err != nil {
		t.Fatal(err)
	}
	m.Custom = true
	return m
}

// TestText: what becomes of an entry's text on its way to Slack.
func TestText(t *testing.T) {
	tests := []struct{ name, template, text, want string }{
		{"colours of a terminal", "", "\x1b[1;31merror\x1b[0m: \x1b]8;;https://a.example\x1b\\disk\x1b]8;;\x07 full\x1b[K", "error: disk full"},
		{"an end of colours", "", "\x1b[1mbold\x1b(B\x1b[m", "bold"},
		{"a link of a terminal that ends on another line", "", "\x1b]8;;x\ny\x07", "␛]8;;x\ny␇"},
		{"a mention behind a colour", "<{{ .Text }}|open>", "\x1b[m!channel", "&lt;!channel|open>"},
		{"an escape sequence that does not end", "", "x\x1b[31", "x␛[31"},
		{"other control characters", "", "\x00a\tb\nc\x7f", "␀a\tb\nc␡"},
		{"nothing but one", "", "\x00", "␀"},
		{"nothing that can be seen", "", " \u200b\ufeff\u00a0\n", emptyText},
		{"control characters of eight bits", "", "a\u009b31mb", "a\ufffd31mb"},
		{"an order to write backwards", "", "\u202ehttps://moc.elpmaxe \u202dx", "\ufffdhttps://moc.elpmaxe \ufffdx"},
		{"text from right to left", "", "שגיאה \u200f(123)", "שגיאה \u200f(123)"},
		{"line ends of other systems", "", "a\r\nb\rc\r", "a\nb\nc\n"},
		{"bytes that are no text", "", "a\xffb", "a\ufffdb"},
		{"our own mark, in two pieces", "<{{ slice .Text 0 2 }}{{ slice .Text 2 }}>", "\xef\xb7\x90!channel", "&lt;\ufffd\ufffd!channel>"},
		{"a target with the character that ends it", "<{{ .Text }}|open>", "https://a.example/x|bank.example|y", "<https://a.example/x%7Cbank.example%7Cy|open>"},
		{"the same behind the user's part of a target", "<https://a.example/{{ .Text }}|open>", "|x", "<https://a.example/%7Cx|open>"},
		{"and in words", "*{{ .Text }}* <https://a.example|{{ .Text }}> < {{ .Text }}", "a|b", "*a|b* <https://a.example|a|b> &lt; a|b"},
		{"no words", "<https://a.example|{{ .Text }}>", "", "<https://a.example>"},
		{"blank words", "<https://a.example|{{ .Text }}> <mailto:a@b.example| >", " \n", "<https://a.example> <mailto:a@b.example>"},
	}
	for _, tt := range tests {
		m := rendered(t, tt.template, tt.text)
		if got := render(textOf(m), shortLink); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// TestCodeBlock: what is indented is shown as it is, monospaced.
func TestCodeBlock(t *testing.T) {
	trace := "panic: *x* <nil>\n\tmain.go:100\n  see https://a.example"
	escaped := "panic: *x* &lt;nil&gt;\n\tmain.go:100\n  see https://a.example"
	tests := []struct{ name, template, text, want string }{
		{"a stack trace", "", trace, "```" + escaped + "```"},
		{"several lines, none indented", "", "*signup*\nAda\n", "*signup*\nAda\n"},
		{"one line", "", "\tan order", "\tan order"},
		{"a blank line", "", "an order\n  \n", "an order\n  \n"},
		{"the user's own form", "{{ .Text }}", trace, strings.Replace(escaped, "https://a.example", "<https://a.example>", 1)},
		{"code blocks in it", "", "```a\n  b```", "```a\n  b```"},
		{"a backtick at its ends", "", "`a`\n  `b`", "``` `a`\n  `b` ```"},
		{"backticks in it", "", "a `b`\n  c `d` e", "```a `b`\n  c `d` e```"},
	}
	for _, tt := range tests {
		first, _, _ := bot("", "").compose([]action.Message{rendered(t, tt.template, tt.text)})
		if got := sections(first)[0]; got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
	m := rendered(t, "", strings.Repeat("at x\n\tmain.go:100\n", 400))
	first, rest, _ := bot("", "").compose([]action.Message{m})
	for _, p := range append([]post{first}, rest...) {
		if s := sections(p)[0]; !strings.HasPrefix(s, fenceMark) || !strings.HasSuffix(s, fenceMark) || strings.Count(s, fenceMark) != 2 {
			t.Errorf("a part that is no code block: %q", s)
		}
		if strings.Contains(p.attachments[0].Fallback, "`") {
			t.Errorf("fallback %q", p.attachments[0].Fallback)
		}
	}
	if _, _, file := bot("", InFile).compose([]action.Message{m}); string(file.content) != m.Text {
		t.Errorf("the file has %q", file.content)
	}
	first, _, _ = bot(Text, "").compose([]action.Message{rendered(t, "", trace)})
	if first.text != escaped {
		t.Errorf("as text: %q", first.text)
	}
}

// TestOversized: what grows on its way to Slack, from little, is no more than Slack takes.
func TestOversized(t *testing.T) {
	var many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, "%d,", i)
	}
	for _, tt := range []struct{ template, text string }{
		{"<https://a.example/{{ .Text }}|open>", strings.Repeat("\u00a0", 1900)},
		{"x <https://a.example/{{ .Text }}>", strings.Repeat(" ", 1900)},
		{"<!here|{{ .Text }}>", strings.Repeat("x", 1900)},
		{"<!subteam^S1{{ .Text }}>", strings.Repeat("x", 1900)},
		{"<@{{ .Text }}>", strings.Repeat("U", 1900)},
		{"{{ range split \",\" .Text }}<@U{{ . }}>{{ end }}", many.String()},
	} {
		t.Run(tt.template, func(t *testing.T) {
			for _, a := range []*Action{bot("", ""), bot(Text, ""), webhook(""), webhook(Text)} {
				var batch []action.Message
				for i := range 20 {
					batch = append(batch, rendered(t, tt.template, fmt.Sprint(tt.text, i)))
				}
				first, rest, _ := a.compose(batch[:a.Fit(batch)])
				for _, p := range append([]post{first}, rest...) {
					accepted(t, p)
					if len(p.attachments) > 0 && units(p.text) > 50*45 {
						t.Errorf("mentions of %d characters", units(p.text))
					}
				}
			}
		})
	}
}
