package action_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

// parsed is what a parser makes of a text.
func parsed(p *action.Parser, text string) (action.Data, error) {
	d := action.NewData("id", "rule", text, nil, journal.Record{})
	err := p.Parse(&d)
	return d, err
}

func render(t *testing.T, text string, d action.Data) string {
	t.Helper()
	tmpl, err := action.ParseTemplate(text, nil)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	got, err := tmpl.Render(d)
	if err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return got
}

const order = ` {"order": {"id": 4711, "total": 10.50, "paid": true, "note": null, "ids": [18446744073709551616, 9223372036854775807, -1]},
	"items": [{"name": "cup", "n": 0}, {"name": "pot", "tags": ["a", "b"]}], "order-id": "x-1", "String": "s", "text": "a <b> & \u0000\u00e4", "empty": {}} `

func TestJSONInTemplates(t *testing.T) {
	d, err := parsed(action.ParseJSON(), order)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ text, want string }{
		{`{{ .JSON.order.id }} {{ .JSON.order.total }} {{ .JSON.order.paid }}`, "4711 10.50 true"},
		{`{{ .JSON.order.ids }}`, "[18446744073709551616,9223372036854775807,-1]"},
		{`{{ printf "%05d" .JSON.order.id }} {{ printf "%s|%v" .JSON.order.total .JSON.order.note }}`, "04711 10.50|"},
		{`{{ if eq .JSON.order.id 4711 }}yes{{ end }} {{ if gt .JSON.order.total 10 }}dear{{ end }}`, "yes dear"},
		// What is not there.
		{`[{{ .JSON.none }}{{ .JSON.order.none }}{{ .JSON.none.a.b }}{{ .JSON.order.id.x }}{{ .JSON.order.paid.x }}{{ .JSON.order.note.x }}{{ .JSON.order.note }}{{ .JSON.items.x }}{{ .JSON.text.x }}]`, "[]"},
		{`{{ if .JSON.order.note }}a{{ end }}{{ if .JSON.none.x }}b{{ end }}{{ if .JSON.empty }}c{{ end }}{{ if .JSON.order }}d{{ end }}{{ if not .JSON.none }}e{{ end }}`, "de"},
		{`{{ printf "%s" .JSON.none }}{{ len .JSON.none }}{{ .JSON.none | default "-" }}{{ $x := .JSON.none.a }}{{ $x }}{{ $x.y }}{{ with .JSON.none }}a{{ else }}b{{ end }}`, "0-b"},
		{`{{ range .JSON.none }}a{{ else }}b{{ end }}{{ range .JSON.order.id }}a{{ end }}{{ range .JSON.text }}a{{ end }}{{ range .JSON.order.note }}a{{ end }}{{ range .JSON.order.total }}a{{ end }}{{ range .JSON.order.paid }}a{{ end }}`, "b"},
		// Lists, and what is within them.
		{`{{ range .JSON.items }}{{ .name }}={{ .n }}({{ range .tags }}{{ . }}{{ end }}){{ .tags.x }} {{ end }}`, "cup=0() pot=(ab) "},
		{`{{ range $i, $item := .JSON.items }}{{ $i }}{{ $item.name }}{{ $item.none.x }} {{ $.JSON.order.id }} {{ end }}`, "0cup 4711 1pot 4711 "},
		{`{{ range $key, $value := .JSON.order }}{{ $key }}={{ $value }} {{ end }}`, "id=4711 ids=[18446744073709551616,9223372036854775807,-1] note= paid=true total=10.50 "},
		{`{{ (index .JSON.items 1).name }} {{ (index .JSON.items 7).name }}{{ index .JSON "order-id" }} {{ index .JSON "order" "id" }}`, "pot x-1 4711"},
		{`{{ with .JSON.order }}{{ .id }} {{ .total }}{{ .none.x }}{{ end }}`, "4711 10.50"},
		{`{{ with $o := .JSON.order }}{{ $o.id }}{{ end }}`, "4711"},
		{`{{ define "item" }}<{{ .name }}{{ .x.y }}>{{ end }}{{ range .JSON.items }}{{ template "item" . }}{{ end }}`, "<cup><pot>"},
		{`{{ define "all" }}{{ .JSON.order.id }} {{ .Rule }} {{ .Time.Year }} {{ $.JSON.order.id }} {{ .Captures.none }}{{ end }}{{ template "all" . }}`, "4711 rule 1 4711 "},
		{`{{ with .Time }}{{ .Year }} {{ .Format "2006" }} {{ "01" | .Format }}{{ end }}`, "1 0001 01"},
		{`{{ range 2 }}{{ $.JSON.order.id }} {{ end }}{{ range len .JSON.items }}x{{ end }}`, "4711 4711 xx"},
		{`{{ range .JSON.items }}{{ if .none }}{{ continue }}{{ end }}{{ .name }}{{ break }}{{ end }}`, "cup"},
		// A key is a key, whatever methods the value has.
		{`{{ .JSON.String }}{{ .JSON.order.String }}`, "s"},
		{`{{ .JSON.text }}`, "a <b> & \x00ä"},
		{`{{ json .JSON.order.ids }} {{ .JSON.empty }} {{ json .JSON.order.note }}`, "[18446744073709551616,9223372036854775807,-1] {} null"},
		{`{{ slice .JSON.items 1 2 }}`, `[{"name":"pot","tags":["a","b"]}]`},
	}
	for _, tt := range tests {
		if got := render(t, tt.text, d); got != tt.want {
			t.Errorf("%s\n got %q\nwant %q", tt.text, got, tt.want)
		}
	}
}

// TestJSONInMarkUp: what comes from the message is escaped, whatever it is.
func TestJSONInMarkUp(t *testing.T) {
	d, err := parsed(action.ParseJSON(), `{"a": "<b>", "list": ["<c>"], "n": 1.50}`)
	if err != nil {
		t.Fatal(err)
	}
	const text = `<i>{{ .JSON.a }} {{ .JSON.list }}{{ range .JSON.list }}{{ . }}{{ end }} {{ .JSON.n }}{{ .JSON.none.x }}`
	const want = `<i>&lt;b&gt; ["&lt;c&gt;"]&lt;c&gt; 1.50`
	tmpl, err := action.ParseTemplate(text, escape)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tmpl.Render(d); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if tmpl, err = action.ParseHTMLTemplate(text); err != nil {
		t.Fatal(err)
	}
	if got, err := tmpl.Render(d); err != nil || strings.ReplaceAll(got, "&#34;", `"`) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if !tmpl.Uses("JSON") || tmpl.Uses("Logfmt") {
		t.Error("Uses is wrong")
	}
}

func TestParseJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	big := `{"a": "` + strings.Repeat("x", 10<<20) + `", "b": [` + strings.Repeat("1, ", 1<<17) + `1]}`
	tests := []struct{ text, want, err string }{
		{`{}`, `{}`, ""},
		{"\r\n\t [1, 2] \n", `[1,2]`, ""},
		{`42`, `42`, ""},
		{`"text"`, `text`, ""},
		{`null`, ``, ""},
		{`true`, `true`, ""},
		{`{"a": 1, "a": 2}`, `{"a":2}`, ""},
		{`[1, -1, 9223372036854775807, 9223372036854775808, -9223372036854775809, 1.0, 10.50, 1e3, -0, 0.000000000000000000000000000001, 1e999999999]`,
			`[1,-1,9223372036854775807,9223372036854775808,-9223372036854775809,1.0,10.50,1e3,-0,0.000000000000000000000000000001,1e999999999]`, ""},
		{"\"a\xffb\"", "a\ufffdb", ""},
		{`"\ud800"`, "\ufffd", ""},
		{`"\u0000"`, "\x00", ""},
		{deep(10000), deep(10000), ""},
		{big, strings.ReplaceAll(big, " ", ""), ""},
		{``, "", "parse json: unexpected end of JSON input at byte 0"},
		{"  ", "", "parse json: unexpected end of JSON input at byte 2"},
		{`{"a": 1`, "", "parse json: unexpected end of JSON input at byte 7"},
		{`{"a":1} x`, "", "parse json: invalid character 'x' after top-level value at byte 9"},
		{`{"a":1}{`, "", "parse json: invalid character '{' after top-level value at byte 8"},
		{"{}\x00", "", `parse json: invalid character '\x00' after top-level value at byte 3`},
		{"{}\u00a0", "", `parse json: invalid character 'Â' after top-level value at byte 3`},
		{`order 1 failed`, "", "parse json: invalid character 'o' looking for beginning of value at byte 1"},
		{"\"a\x00\"", "", `parse json: invalid character '\x00' in string literal at byte 3`},
		{"\"a\nb\"", "", `parse json: invalid character '\n' in string literal at byte 3`},
		{`{'a': 1}`, "", `parse json: invalid character '\'' looking for beginning of object key string at byte 2`},
		{`[1,]`, "", "parse json: invalid character ']' looking for beginning of value at byte 4"},
		{`[01]`, "", "parse json: invalid character '1' after array element at byte 3"},
		{`[NaN]`, "", "parse json: invalid character 'N' looking for beginning of value at byte 2"},
		{"\ufeff{}", "", "parse json: invalid character 'ï' looking for beginning of value at byte 1"},
		{deep(10001), "", "parse json: invalid character '[' exceeded max depth at byte 10001"},
		{"[" + strings.Repeat("{},", 1<<17) + "{}]", "", "parse json: more than 262144 values"},
		{`"` + strings.Repeat(`,\"[`, 1<<20) + `"`, strings.Repeat(`,"[`, 1<<20), ""},
		{strings.Repeat(`{"a":`, 1<<17), "", "parse json: invalid character '{' exceeded max depth at byte 50001"},
		{"[" + strings.Repeat("1,", 1<<17), "", "parse json: unexpected end of JSON input at byte 262145"},
	}
	for _, tt := range tests {
		d, err := parsed(action.ParseJSON(), tt.text)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err || !action.IsPermanent(err) {
				t.Errorf("%.40q: %v (permanent: %v)\nwant %s", tt.text, err, action.IsPermanent(err), tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.40q: %v", tt.text, err)
			continue
		}
		if got := render(t, "{{ .JSON }}", d); got != tt.want {
			t.Errorf("%.40q: %.80q, want %.80q", tt.text, got, tt.want)
		}
	}
}

func TestParseLogfmt(t *testing.T) {
	var many strings.Builder
	for i := range 1<<18 + 1 {
		fmt.Fprintf(&many, "k%d=1 ", i)
	}
	tests := []struct {
		text string
		want map[string]string
		err  string
	}{
		{`a=1 b="two words" c= d e="say \"x\"\n"`, map[string]string{"a": "1", "b": "two words", "c": "", "d": "", "e": "say \"x\"\n"}, ""},
		{"a=1\nb=2\r\n\nc=3", map[string]string{"a": "1", "b": "2", "c": "3"}, ""},
		{`a=1 a=2`, map[string]string{"a": "2"}, ""},
		{`order.id=7 order-id=8 größe=9`, map[string]string{"order.id": "7", "order-id": "8", "größe": "9"}, ""},
		{"a=1\x00b=\xff", map[string]string{"a": "1", "b": "\xff"}, ""},
		{"a=" + strings.Repeat("x", 10<<20), map[string]string{"a": strings.Repeat("x", 10<<20)}, ""},
		{many.String(), nil, "parse logfmt: more than 262144 keys"},
		{``, nil, "parse logfmt: there is no key=value in it"},
		{`connection refused`, nil, "parse logfmt: there is no key=value in it"},
		{`a=b=c`, nil, "parse logfmt: unexpected '=' at byte 4"},
		{`=1`, nil, "parse logfmt: unexpected '=' at byte 1"},
		{`a="open`, nil, "parse logfmt: unterminated quoted value at byte 8"},
		{`a="bad \q"`, nil, "parse logfmt: invalid quoted value at byte 11"},
		{"a=1\nb=2\nc\"=3", nil, `parse logfmt: unexpected '"' at byte 10`},
		{"a=1\r\nb=2=", nil, `parse logfmt: unexpected '=' at byte 9`},
		{"a\xff=1", nil, "parse logfmt: invalid key at byte 3"},
	}
	for _, tt := range tests {
		d, err := parsed(action.ParseLogfmt(), tt.text)
		if got := ""; err != nil {
			got = err.Error()
			if got != tt.err || !action.IsPermanent(err) {
				t.Errorf("%.40q: %s (permanent: %v)\nwant %s", tt.text, got, action.IsPermanent(err), tt.err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, d.Logfmt); diff != "" || tt.err != "" {
			t.Errorf("%.40q, want %s (-want +got):\n%.1000s", tt.text, tt.err, diff)
		}
	}
	d, err := parsed(action.ParseLogfmt(), "level=info order-id=7 ms=1500")
	if err != nil {
		t.Fatal(err)
	}
	const text = `{{ .Logfmt.level }} {{ index .Logfmt "order-id" }} [{{ .Logfmt.none }}] {{ if gt .Logfmt.ms 1000 }}slow{{ end }}{{ range $k, $v := .Logfmt }} {{ $k }}{{ end }}`
	if got, want := render(t, text, d), "info 7 [] slow level ms order-id"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestParseRegex(t *testing.T) {
	p := action.ParseRegex(regexp.MustCompile(`(?P<verb>\w+) order (?P<order>\d+)(?P<why>: .*)?(x)?`))
	if diff := cmp.Diff([]string{"verb", "order", "why"}, p.Captures()); diff != "" {
		t.Error(diff)
	}
	rules := map[string]string{"order": "rule's", "why": "rule's", "other": "rule's"}
	d := action.NewData("id", "rule", "the lost order 7", rules, journal.Record{})
	if err := p.Parse(&d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"verb": "lost", "order": "7", "why": "rule's", "other": "rule's"}, d.Captures); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if rules["order"] != "rule's" {
		t.Error("the delivery's own captures were changed")
	}
	_, err := parsed(p, "nothing of the kind")
	if err == nil || err.Error() != "parse regex: it does not match" || !action.IsPermanent(err) {
		t.Error(err)
	}
}

func TestNoParser(t *testing.T) {
	var p *action.Parser
	d, err := parsed(p, "{")
	if err != nil || d.JSON != nil || p.Captures() != nil || p.Fills("JSON") {
		t.Errorf("%v, %v", d.JSON, err)
	}
	if got := render(t, `[{{ .JSON.a.b }}{{ .JSON }}{{ .Logfmt.x }}{{ range .JSON.list }}a{{ end }}]`, d); got != "[]" {
		t.Errorf("%q", got)
	}
}

// FuzzParse: no message brings the router down, or comes out of a template as what
// is no text.
func FuzzParse(f *testing.F) {
	for _, s := range []string{order, `a=1 b="x y"`, `[[{"a":[null,1e9,"\u0000"]}]]`, `{"a":1} x`, `a="\`, "\x00", `{"a":{"b":{"c":[]}}}`} {
		f.Add(s)
	}
	parsers := []*action.Parser{action.ParseJSON(), action.ParseLogfmt(), action.ParseRegex(regexp.MustCompile(`(?P<a>\w+)=(?P<b>.*)`)), nil}
	tmpl, err := action.ParseTemplate(`{{ .JSON.a.b.c }}{{ range $k, $v := .JSON }}{{ $k }}{{ .x }}{{ $v.y }}{{ end }}{{ range .JSON.a }}{{ .b }}{{ end }}`+
		`{{ index .JSON "a" 0 "b" }}{{ gt .JSON.a 5 }}{{ eq .JSON.a .JSON.b }}{{ len .Captures }}{{ .Logfmt.a }}{{ truncate 3 .JSON.a }}{{ join "," .JSON.a }}{{ json .JSON }}`, escape)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range parsers {
			d, err := parsed(p, text)
			if err != nil {
				if !action.IsPermanent(err) {
					t.Errorf("%q: %v is not final", text, err)
				}
				continue
			}
			out, err := tmpl.Render(d)
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			if strings.Contains(out, "<no value>") || strings.Contains(out, "%!") && !strings.Contains(text, "%!") {
				t.Errorf("%q became %q", text, out)
			}
		}
	})
}
