package action_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

func TestParseHTMLTemplate(t *testing.T) {
	data := action.NewData("id", "rule", `<b>"it's" & done</b>`, map[string]string{"url": `javascript:alert(1)`}, journal.Record{})
	tests := []struct{ text, want string }{
		{"<p>{{ .Text }}</p>", "<p>&lt;b&gt;&#34;it&#39;s&#34; &amp; done&lt;/b&gt;</p>"},
		{`<a href="{{ .Captures.url }}">x</a>`, `<a href="#ZgotmplZ">x</a>`},
		{`<a href="https://example.com/?q={{ .Text }}">x</a>`, `<a href="https://example.com/?q=%3cb%3e%22it%27s%22%20%26%20done%3c%2fb%3e">x</a>`},
		{"<p>{{ .Text | upper | truncate 3 }}</p>", "<p>&lt;B&gt;…</p>"},
	}
	for _, tt := range tests {
		tmpl, err := action.ParseHTMLTemplate(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		got, err := tmpl.Render(data)
		if err != nil || got != tt.want {
			t.Errorf("%s = %s, %v\nwant %s", tt.text, got, err, tt.want)
		}
	}
	tmpl, err := action.ParseHTMLTemplate("<p>{{ .Captures.url }}{{ .Captures.order }}</p>")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"url", "order"}, tmpl.Captures()); diff != "" {
		t.Errorf("captures (-want +got):\n%s", diff)
	}
}

func TestParseHTMLTemplateRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"<p>{{ .Txt }}</p>", "template: there is no .Txt, only "},
		{"<p>{{ .Text", "template: unclosed action"},
		{`<a href="{{ if .Text }}"{{ end }}>`, "template: {{if}} branches end in different contexts"},
	} {
		_, err := action.ParseHTMLTemplate(tt.text)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

func TestFixed(t *testing.T) {
	for text, want := range map[string]bool{
		"":                             true,
		"ops@example.com":              true,
		"{{/* none */}}a@b":            true,
		"{{ .Fields.MAIL_TO }}":        false,
		"a{{ if .Text }}{{ end }}b":    false,
		`{{ "fixed, but an action" }}`: false,
	} {
		tmpl, err := action.ParseTemplate(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := tmpl.Fixed(); got != want {
			t.Errorf("%q is fixed: %v, want %v", text, got, want)
		}
	}
}
