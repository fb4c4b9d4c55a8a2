package action_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

var data = action.NewData("0123", "checkout-failed", `order 42 <failed> & "lost"`, map[string]string{"order": "42", "mark": "<b>"},
	journal.NewRecord("s=1;i=2", time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local), 0,
		journal.Field{Name: "MESSAGE", Value: []byte(`SLACK: order 42 <failed> & "lost"`)},
		journal.Field{Name: "PRIORITY", Value: []byte("3")},
		journal.Field{Name: "_HOSTNAME", Value: []byte("web1")},
		journal.Field{Name: "_SYSTEMD_UNIT", Value: []byte("shop.service")},
		journal.Field{Name: "TAG", Value: []byte("<one>")},
		journal.Field{Name: "TAG", Value: []byte("two")},
	))

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func TestTemplate(t *testing.T) {
	tests := []struct {
		name, text string
		plain      string
		escaped    string // where it differs
	}{
		{"no action", "just <words>", "just <words>", ""},
		{"text", "*{{ .Text }}*", `*order 42 <failed> & "lost"*`, `*order 42 &lt;failed&gt; &amp; "lost"*`},
		{"message", "{{ .Message }}", `SLACK: order 42 <failed> & "lost"`, `SLACK: order 42 &lt;failed&gt; &amp; "lost"`},
		{"the user's own mark-up stays", "<!here> {{ .Captures.mark }} <b>", "<!here> <b> <b>", "<!here> &lt;b&gt; <b>"},
		{"id, rule, host, unit, priority, cursor", "{{ .ID }} {{ .Rule }} {{ .Host }} {{ .Unit }} {{ .Priority }} {{ .Cursor }}",
			"0123 checkout-failed web1 shop.service err s=1;i=2", ""},
		{"time", `{{ .Time.Format "2006-01-02 15:04" }}`, "2026-03-01 12:00", ""},
		{"time in the user's own mark-up", `{{ .Time.Format "<2006>" | printf "&%s" }} {{ .Time.Year }}{{ printf "<%s %s>" (.Time.Format "06") .Captures.mark }}`, "&<2026> 2026<26 <b>>", "&<2026> 2026&lt;26 &lt;b&gt;&gt;"},
		{"first of a repeated field", "{{ .Fields.TAG }}", "<one>", "&lt;one&gt;"},
		{"field that is not there", "[{{ .Fields.NOPE }}]", "[]", ""},
		{"field with a lower-case or odd name", `[{{ index .Fields "no.pe" }}]`, "[]", ""},
		{"capture", "order {{ .Captures.order }}", "order 42", ""},
		{"capture that is not there", "[{{ .Captures.nope }}]", "[]", ""},
		{"json", `{"text": {{ json .Captures.mark }}}`, `{"text": "\u003cb\u003e"}`, ""},
		{"default", `{{ .Captures.nope | default "no <order>" }} {{ .Captures.order | default "x" }}`, "no <order> 42", "no &lt;order&gt; 42"},
		{"truncate", `{{ truncate 5 .Text }} {{ truncate 100 .Host }} {{ truncate 0 .Host }}`, "order… web1 …", ""},
		{"upper, lower, trim", `{{ upper .Host }} {{ lower "ABC" }} {{ trim "  x " }}`, "WEB1 abc x", ""},
		{"if", `{{ if eq .Priority "err" }}bad: {{ .Captures.mark }}{{ else }}fine{{ end }}`, "bad: <b>", "bad: &lt;b&gt;"},
		{"with", `{{ with .Captures.mark }}{{ . }}{{ end }}`, "<b>", "&lt;b&gt;"},
		{"range", `{{ range $k, $v := .Captures }}{{ $k }}={{ $v }} {{ end }}`, "mark=<b> order=42 ", "mark=&lt;b&gt; order=42 "},
		{"variable", `{{ $x := .Captures.mark }}{{ $x }}`, "<b>", "&lt;b&gt;"},
		{"dollar within with", `{{ with .Captures.order }}{{ $.Host }}{{ end }}`, "web1", ""},
		{"define", `{{ define "x" }}<{{ . }}>{{ end }}{{ template "x" .Captures.mark }}`, "<<b>>", "<&lt;b&gt;>"},
		{"number", `{{ len .Captures }}`, "2", ""},
		{"escaped once, whatever the pipe", `{{ printf "%s" .Captures.mark | printf "%s" }}`, "<b>", "&lt;b&gt;"},
		{"a function that fails on an empty entry", `{{ slice .Text 0 5 }}`, "order", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := map[bool]string{false: tt.plain, true: tt.plain}
			if tt.escaped != "" {
				want[true] = tt.escaped
			}
			for escaped, want := range want {
				var with func(string) string
				if escaped {
					with = escape
				}
				tmpl, err := action.ParseTemplate(tt.text, with)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := tmpl.Render(data); err != nil || got != want {
					t.Errorf("escaped %v: %q %v, want %q", escaped, got, err, want)
				}
			}
		})
	}
}

func TestTemplateErrors(t *testing.T) {
	const names = "only .Captures, .Cursor, .Fields, .Host, .ID, .JSON, .Logfmt, .Message, .Priority, .Rule, .Text, .Time, .Unit"
	tests := []struct{ name, text, want string }{
		{"misspelt", "{{ .Txet }}", "template: there is no .Txet, " + names},
		{"misspelt in a branch", "{{ if .Text }}{{ .Txet }}{{ end }}", "template: there is no .Txet, " + names},
		{"misspelt in else of with", "{{ with .Text }}x{{ else }}{{ .Txet }}{{ end }}", "template: there is no .Txet, " + names},
		{"misspelt after dollar", "{{ range .Fields }}{{ $.Txet }}{{ end }}", "template: there is no .Txet, " + names},
		{"misspelt as argument", `{{ printf "%s" (upper .Txet) }}`, "template: there is no .Txet, " + names},
		{"not for users", "{{ .record }}", "template: there is no .record, " + names},
		{"lower case", "{{ .text }}", "template: there is no .text, " + names},
		{"no such part", "{{ .Text.Foo }}", "template: <.Text.Foo>: can't evaluate field Foo in type string"},
		{"no such function", "{{ nope .Text }}", `template: function "nope" not defined`},
		{"unclosed", "{{ .Text", "template: unclosed action"},
		{"no end", "{{ if .Text }}", "template: unexpected EOF"},
		{"wrong kind", `{{ truncate "3" .Text }}`, `template: <"3">: expected integer; found "3"`},
		{"misspelt within with", "{{ with .Time }}{{ .Yaer }}{{ end }}", "template: there is no .Yaer of a time.Time"},
		{"misspelt where only some entries come", "{{ if .Text }}{{ .Time.Yaer }}{{ end }}", "template: <.Time.Yaer>: can't evaluate field Yaer in type time.Time"},
		{"in else if", `{{ if .Text }}{{ else if .JSON.a }}{{ truncate .Text 3 }}{{ end }}`, "template: <.Text>: wrong type for value; expected int; got string"},
		{"in else of range", `{{ range .JSON.a }}{{ else }}{{ truncate .Text 3 }}{{ end }}`, "template: <.Text>: wrong type for value; expected int; got string"},
		{"too little for a function", `{{ range .JSON.items }}{{ if .name }}{{ .name | truncate }}{{ end }}{{ end }}`, "template: <truncate>: wrong number of args for truncate: want 2 got 1"},
		{"a text as a time", `{{ with .JSON.order }}{{ date "2006" .at }}{{ end }}`, "template: <.at>: wrong type for value; expected time.Time; got string"},
		{"a text as a time, behind what fails on an empty entry", `{{ slice .Text 0 5 }}{{ float .Text }}{{ date "2006" .JSON.at.x }}`, "template: <.x>: wrong type for value; expected time.Time; got string"},
		{"length of a time", `{{ len .Time }}`, "template: <len .Time>: error calling len: len of type time.Time"},
		{"a call of what is none", `{{ call .JSON.a.b }}`, "template: <call (.JSON.a.b)>: error calling call: non-function .JSON.a.b of type string"},
		{"nothing to compare with", `{{ eq .Text }}`, "template: <eq>: wrong number of args for eq: want at least 2 got 1"},
		{"no such template", `{{ if .JSON.a }}{{ template "item" . }}{{ end }}`, `template: there is no {{ define "item" }}`},
		{"range over a text", "{{ range .Text }}x{{ end }}", "template: <.Text>: range can't iterate over "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := action.ParseTemplate(tt.text, nil)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%v\nwant %s", err, tt.want)
			}
		})
	}
}

// TestTemplateIsRight: these fail neither where they are checked nor where nothing is in
// the entry, though parts of them need something.
func TestTemplateIsRight(t *testing.T) {
	for _, text := range []string{
		`{{ define "tree" }}{{ .name }}{{ range .children }}{{ template "tree" . }}{{ end }}{{ end }}{{ template "tree" .JSON }}`,
		`{{ range $i, $item := .JSON.items }}{{ truncate $i $item.name }}{{ if gt $i 0 }}{{ break }}{{ end }}{{ continue }}{{ end }}`,
		`{{ if .Text }}{{ slice .Text 0 5 }}{{ with .Captures.n }}{{ float . }}{{ end }}{{ end }}`,
		`{{ if gt (len .JSON.items) 1 }}{{ range slice .JSON.items 1 }}{{ upper .name }}{{ end }}{{ end }}`,
		`{{ with $t := .Time }}{{ date "2006" $t }}{{ else }}{{ .Text }}{{ end }}`,
		`{{ if $n := len .JSON.items }}{{ truncate $n .Text }}{{ else }}{{ truncate $n .Host }}{{ end }}`,
		`{{ with .Fields }}{{ ._HOSTNAME }}{{ end }}{{ range $k, $v := .Captures }}{{ upper $k }}{{ $v }}{{ end }}`,
		`{{ range 3 }}x{{ end }}{{ range len .JSON.items }}{{ truncate . $.Text }}{{ end }}{{ with .JSON.n }}{{ printf "%d" . }}{{ end }}`,
		`{{ with split ":" .Text }}{{ index . 0 }}{{ end }}{{ if and .JSON.a (not .JSON.b) }}{{ .JSON.a.b }}{{ end }}`,
	} {
		tmpl, err := action.ParseTemplate(text, escape)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if _, err := tmpl.Render(action.NewData("", "", "long enough", map[string]string{"n": "1"}, journal.Record{})); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTemplateRenderError(t *testing.T) {
	tmpl, err := action.ParseTemplate(`{{ slice .Text 0 5 }}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tmpl.Render(action.NewData("", "", "abc", nil, journal.Record{}))
	if err == nil || !strings.Contains(err.Error(), "slice .Text 0 5") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTemplateCaptures(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"{{ .Text }}", nil},
		{"{{ .Captures.b }} {{ .Captures.a }} {{ .Captures.b }}", []string{"b", "a"}},
		{"{{ if .Captures.a }}{{ .Captures.b | default .Captures.c }}{{ else }}{{ $.Captures.d }}{{ end }}", []string{"a", "b", "c", "d"}},
		{"{{ range .Fields }}{{ .Captures.inner }}{{ end }}", nil},
		{"{{ .Captures }}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			tmpl, err := action.ParseTemplate(tt.text, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tmpl.Captures()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPriority(t *testing.T) {
	words := map[string]string{"0": "emerg", "1": "alert", "2": "crit", "3": "err", "4": "warning", "5": "notice", "6": "info", "7": "debug",
		"8": "", "-1": "", "": "", "33": "", "err": ""}
	for value, want := range words {
		d := action.NewData("", "", "", nil, journal.NewRecord("", time.Time{}, 0, journal.Field{Name: "PRIORITY", Value: []byte(value)}))
		if got := d.Priority(); got != want {
			t.Errorf("PRIORITY=%s is %q, want %q", value, got, want)
		}
	}
	if got := (action.Data{}).Priority(); got != "" {
		t.Errorf("no PRIORITY is %q", got)
	}
}
