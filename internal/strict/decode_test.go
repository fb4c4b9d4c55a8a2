package strict

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type secret string

type inner struct {
	Min time.Duration `yaml:"min"`
	Max time.Duration `yaml:"max,required"`
}

type shared struct {
	Proxy string `yaml:"proxy"`
}

type config struct {
	Name    string            `yaml:"name"`
	Token   secret            `yaml:"token"`
	On      bool              `yaml:"on"`
	Count   int               `yaml:"count"`
	Port    uint16            `yaml:"port"`
	Ratio   float64           `yaml:"ratio"`
	Wait    time.Duration     `yaml:"wait"`
	Size    Bytes             `yaml:"size"`
	Names   []string          `yaml:"names"`
	Headers map[string]secret `yaml:"headers"`
	Retry   inner             `yaml:"retry"`
	Maybe   *inner            `yaml:"maybe"`
	Limit   *int              `yaml:"limit"`
	Steps   []inner           `yaml:"steps"`
	Even    even              `yaml:"even"`
	Hidden  string            `yaml:"-"`
	shared  `yaml:",inline"`
}

// even decodes itself.
type even int

func (e *even) DecodeYAML(v Value) {
	var n int
	if !v.Decode(&n) {
		return
	}
	if n%2 != 0 {
		v.Report(fmt.Sprintf("take %d", n+1), "%d is odd", n)
	}
	*e = even(n)
}

func load(yaml string) (config, error) {
	var c Collector
	var into config
	if v, ok := c.Parse("f.yaml", []byte(yaml)); ok && !v.IsNull() {
		v.Decode(&into)
	}
	return into, c.Err()
}

func TestDecode(t *testing.T) {
	three := 3
	tests := []struct {
		yaml string
		want config
	}{
		{"", config{}},
		{"# nothing but words\n", config{}},
		{"---\nname: x\n", config{Name: "x"}},
		{"name: x\n...\n", config{Name: "x"}},
		{"\ufeffname: x", config{Name: "x"}},
		{"name: x\r\non: true\r\n", config{Name: "x", On: true}},
		{"name: 007", config{Name: "007"}},
		{"name: yes", config{Name: "yes"}},
		{"name: 1e3", config{Name: "1e3"}},
		{"name: 2026-01-02", config{Name: "2026-01-02"}},
		{`name: ""`, config{}},
		{`name: "null"`, config{Name: "null"}},
		{"name: !!str 3", config{Name: "3"}},
		{"name: |\n  a\n  b\n", config{Name: "a\nb\n"}},
		{"token: 12345", config{Token: "12345"}},
		{"on: true", config{On: true}},
		{`on: "true"`, config{On: true}},
		{"on: false", config{}},
		{"count: -3", config{Count: -3}},
		{"port: 8080", config{Port: 8080}},
		{"ratio: 0.5", config{Ratio: 0.5}},
		{"ratio: 2", config{Ratio: 2}},
		{"wait: 0", config{}},
		{"wait: 500ms", config{Wait: 500 * time.Millisecond}},
		{"wait: 1h30m", config{Wait: 90 * time.Minute}},
		{"wait: 7d", config{Wait: 7 * 24 * time.Hour}},
		{"wait: 1w1d12h", config{Wait: (8*24 + 12) * time.Hour}},
		{"wait: 1.5h", config{Wait: 90 * time.Minute}},
		{"size: 10", config{Size: 10}},
		{"size: 10B", config{Size: 10}},
		{"size: 1GiB", config{Size: 1 << 30}},
		{"size: 512 MiB", config{Size: 512 << 20}},
		{"size: 1.5KiB", config{Size: 1536}},
		{"size: 10MB", config{Size: 10_000_000}},
		{"size: 64K", config{Size: 64 << 10}},
		{"names: a", config{Names: []string{"a"}}},
		{"names: 3", config{Names: []string{"3"}}},
		{"names: [a, 3, true]", config{Names: []string{"a", "3", "true"}}},
		{"names: []", config{Names: []string{}}},
		{"headers: {a: b, 1: c}", config{Headers: map[string]secret{"a": "b", "1": "c"}}},
		{"retry: {max: 2s}", config{Retry: inner{Max: 2 * time.Second}}},
		{"maybe: {max: 2s}", config{Maybe: &inner{Max: 2 * time.Second}}},
		{"limit: 3", config{Limit: &three}},
		{"steps: [{max: 1s}, {max: 2s}]", config{Steps: []inner{{Max: time.Second}, {Max: 2 * time.Second}}}},
		{"even: 4", config{Even: 4}},
		{"proxy: x", config{shared: shared{"x"}}},
		// Aliases and merges.
		{"name: &n x\nproxy: *n", config{Name: "x", shared: shared{"x"}}},
		{"names: &n [a]\nheaders: {k: &v w, l: *v}", config{Names: []string{"a"}, Headers: map[string]secret{"k": "w", "l": "w"}}},
		{"retry: &r {min: 1s, max: 2s}\nmaybe: *r", config{Retry: inner{time.Second, 2 * time.Second}, Maybe: &inner{time.Second, 2 * time.Second}}},
		{"retry: &r {min: 1s, max: 2s}\nmaybe: {<<: *r, max: 3s}", config{Retry: inner{time.Second, 2 * time.Second}, Maybe: &inner{time.Second, 3 * time.Second}}},
		{"steps:\n- &a {min: 1s, max: 1s}\n- &b {max: 2s}\n- <<: [*b, *a]", config{Steps: []inner{{time.Second, time.Second}, {Max: 2 * time.Second}, {time.Second, 2 * time.Second}}}},
		{"<<: {name: x, on: true}\nname: y", config{Name: "y", On: true}},
	}
	for _, tt := range tests {
		got, err := load(tt.yaml)
		if err != nil {
			t.Errorf("%q: %v", tt.yaml, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(config{}, shared{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.yaml, diff)
		}
	}
}

func TestProblems(t *testing.T) {
	const known = "known: count, even, headers, limit, maybe, name, names, on, port, proxy, ratio, retry, size, steps, token, wait"
	tests := []struct{ yaml, want string }{
		// Keys.
		{"nmae: x", `f.yaml:1:1: unknown key "nmae" (did you mean "name"?)`},
		{"Name: x", `f.yaml:1:1: unknown key "Name" (did you mean "name"?)`},
		{"header: {}", `f.yaml:1:1: unknown key "header" (did you mean "headers"?)`},
		{"zebra: x", `f.yaml:1:1: unknown key "zebra" (` + known + `)`},
		{"Hidden: x", `f.yaml:1:1: unknown key "Hidden" (` + known + `)`},
		{"shared: 1", `f.yaml:1:1: unknown key "shared" (` + known + `)`},
		{"retry: {mx: 1s}", `f.yaml:1:8: retry: key "max" is missing` + "\n" + `f.yaml:1:9: unknown key "mx" (did you mean "max"?)`},
		{"maybe: {}", `f.yaml:1:8: maybe: key "max" is missing`},
		{"name: x\nname: y", `f.yaml:2:1: key "name" is there twice, first in line 1`},
		{"headers:\n  a: x\n  a: y", `f.yaml:3:3: key "a" is there twice, first in line 2`},
		{"? [a]\n: x", `f.yaml:1:3: a key is text, not a list`},
		{"{url:https://hook.example/s3cret, name: x}", `f.yaml:1:2: unknown key "url:…" (put a space after the colon)`},
		// Types, in the user's words.
		{"x", `f.yaml:1:1: the file wants a map of keys, not text (` + known + `)`},
		{"- x", `f.yaml:1:1: the file wants a map of keys, not a list (` + known + `)`},
		{"name: [a]", `f.yaml:1:7: name wants text, not a list`},
		{"name: {a: b}", `f.yaml:1:7: name wants text, not a map`},
		{"token: [s3cret]", `f.yaml:1:8: token wants text, not a list`},
		{"on: yes", `f.yaml:1:5: on wants true or false, not "yes"`},
		{"on: []", `f.yaml:1:5: on wants true or false, not a list`},
		{"count: many", `f.yaml:1:8: count wants a whole number, not "many"`},
		{"count: 1.5", `f.yaml:1:8: count wants a whole number, not "1.5"`},
		{"count: 99999999999999999999", `f.yaml:1:8: count wants a whole number, not "99999999999999999999"`},
		{"port: 70000", `f.yaml:1:7: port wants a whole number from 0 to 65535, not "70000"`},
		{"port: -1", `f.yaml:1:7: port wants a whole number from 0 to 65535, not "-1"`},
		{"ratio: .inf", `f.yaml:1:8: ratio wants a number, not ".inf"`},
		{"wait: 5", `f.yaml:1:7: wait wants a duration, not "5" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"wait: -5s", `f.yaml:1:7: wait wants a duration, not "-5s" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"wait: 5 minutes", `f.yaml:1:7: wait wants a duration, not "5 minutes" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"wait: 1000000w", `f.yaml:1:7: wait wants a duration, not "1000000w" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"wait: 15000w15000w", `f.yaml:1:7: wait wants a duration, not "15000w15000w" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{`wait: ""`, `f.yaml:1:7: wait wants a duration, not "" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"size: 1 potato", `f.yaml:1:7: size wants a size, not "1 potato" (such as 1GiB, 512MiB or 10MB)`},
		{"size: -1", `f.yaml:1:7: size wants a size, not "-1" (such as 1GiB, 512MiB or 10MB)`},
		{"size: 99999999TiB", `f.yaml:1:7: size wants a size, not "99999999TiB" (such as 1GiB, 512MiB or 10MB)`},
		{"names: {a: b}", `f.yaml:1:8: names wants text, or a list of texts, not a map`},
		{"names: [a, [b]]", `f.yaml:1:12: names wants text, not a list`},
		{"headers: [a]", `f.yaml:1:10: headers wants a map of keys, not a list`},
		{"retry: 5s", `f.yaml:1:8: retry wants a map of keys, not text (known: max, min)`},
		{"retry: max:5s", `f.yaml:1:8: retry wants a map of keys, not text (put a space after the colon)`},
		{"steps: {max: 1s}", `f.yaml:1:8: steps wants a list, not a map`},
		{"even: 3", `f.yaml:1:7: 3 is odd (take 4)`},
		{"even: x", `f.yaml:1:7: even wants a whole number, not "x"`},
		// What is there but empty.
		{"name:", `f.yaml:1:6: name is empty, it wants text`},
		{"name: ~", `f.yaml:1:7: name is empty, it wants text`},
		{"name: #growth", `f.yaml:1:6: name is empty, it wants text (what follows # is a comment: put a value that begins with # into quotes)`},
		{"names: [a, ]\nname: # words", `f.yaml:2:6: name is empty, it wants text`},
		{"name: &ampersand", `f.yaml:1:7: name is empty, it wants text (&… is an anchor: put a value that begins with & into quotes)`},
		{"names:", `f.yaml:1:7: names is empty, it wants text, or a list of texts`},
		{"names: [a, null]", `f.yaml:1:12: names is empty, it wants text`},
		{"names:\n  - #growth\n", `f.yaml:2:4: names is empty, it wants text (what follows # is a comment: put a value that begins with # into quotes)`},
		{"wait:", `f.yaml:1:6: wait is empty, it wants a duration (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"retry:", `f.yaml:1:7: retry is empty, it wants a map of keys (known: max, min)`},
		{"headers:", `f.yaml:1:9: headers is empty, it wants a map of keys`},
		{"headers: {\"a\\nb\": }", `f.yaml:1:19: "a\nb" is empty, it wants text`},
		{"headers: {a:s3cret: x, a:s3cret: y}", `f.yaml:1:24: key "a:…" is there twice, first in line 1`},
		{"headers: {a: }", `f.yaml:1:14: a is empty, it wants text`},
		// What YAML makes of text.
		{"name: {{ .Text }}", `f.yaml:1:7: name wants text, not a map (put a text with {{ }} into quotes)`},
		{"name: !important", `f.yaml:1:7: name has a YAML tag (!), which means nothing here (put a value that begins with ! into quotes)`},
		{"name: !!binary aGk=", `f.yaml:1:7: name has a YAML tag (!), which means nothing here (put a value that begins with ! into quotes)`},
		{"names: !x [a]", `f.yaml:1:8: names has a YAML tag (!), which means nothing here (put a value that begins with ! into quotes)`},
		{"retry: !x {max: 1s}", `f.yaml:1:8: retry has a YAML tag (!), which means nothing here (put a value that begins with ! into quotes)`},
		// Aliases and merges.
		{"wait: &w x\nretry: {max: *w}", `f.yaml:1:7: wait wants a duration, not "x" (such as 500ms, 2s, 5m, 72h or 7d)
f.yaml:2:14: max wants a duration, not "x" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"retry: &r {max: x}\nmaybe: *r", `f.yaml:1:17: max wants a duration, not "x" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"<<: 3", `f.yaml:1:5: << wants the alias of a map (*name), not text`},
		{"<<: [{name: x}, 3]", `f.yaml:1:17: << wants the alias of a map (*name), not text`},
		{"name: *s3cret", `f.yaml:1:7: an alias is used (*) whose anchor (&) is not there (put a value that begins with * into quotes)`},
		{"retry: &r\n  max: 1s\n  min: *r\n", `f.yaml:3:8: min wants a duration, not a map (such as 500ms, 2s, 5m, 72h or 7d)`},
		// Documents.
		{"name: x\n---\nname: y\n", `f.yaml:2:1: a second document begins here: a file holds one (put it into a file of its own, or take the line "---" out)`},
		// Several at once, in their order.
		{"zap: 1\nname: []\nnames:\n- a\n- {}\nwait: x\n", `f.yaml:1:1: unknown key "zap" (` + known + `)
f.yaml:2:7: name wants text, not a list
f.yaml:5:3: names wants text, not a map
f.yaml:6:7: wait wants a duration, not "x" (such as 500ms, 2s, 5m, 72h or 7d)`},
	}
	for _, tt := range tests {
		_, err := load(tt.yaml)
		if got := fmt.Sprint(err); got != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.yaml, got, tt.want)
		}
	}
}

func TestSyntax(t *testing.T) {
	tests := []struct{ yaml, want string }{
		{"x:\n\ty: 1", `f.yaml:2:1: not valid YAML: found character that cannot start any token (indent with spaces: YAML takes no tabs there)`},
		{"x:\n  y: 1\n\tz: 1", `f.yaml:3:1: not valid YAML: found a tab character that violates indentation (indent with spaces: YAML takes no tabs there)`},
		{"x: @s3cret", `f.yaml:1:4: not valid YAML: found character that cannot start any token (put a value that begins with @ into quotes)`},
		{"a: 1\nx: `s3cret", "f.yaml:2:4: not valid YAML: found character that cannot start any token (put a value that begins with ` into quotes)"},
		{"a: 1\nprefix: SLACK: \n", `f.yaml:2:14: not valid YAML: mapping values are not allowed in this context (put a value that has ": " in it into quotes; else check the indentation)`},
		{"a: 1\n  b: 1\n", `f.yaml:2:4: not valid YAML: mapping values are not allowed in this context (put a value that has ": " in it into quotes; else check the indentation)`},
		{"a: 1\nb: {{ .A }}: {{ .B }}", `f.yaml:2:12: not valid YAML: mapping values are not allowed in this context (put a text with {{ }} into quotes)`},
		{"a: 1\nb: {{ .A }} x", `f.yaml:2:13: not valid YAML: did not find expected key (put a text with {{ }} into quotes)`},
		{"a: 1\nb: \"x\" y", `f.yaml:2:8: not valid YAML: did not find expected key (check the indentation: what belongs together begins in the same column; quotes enclose the whole of a value)`},
		{"a: 1\nb: \"\\d+\"", `f.yaml:2:4: not valid YAML: found unknown escape character (in double quotes \ begins an escape: use single quotes, as in '\d+')`},
		{"a:\n    b: 1\n    c: 2\n  d: 3\n", `f.yaml:4:3: not valid YAML: did not find expected key (check the indentation: what belongs together begins in the same column; quotes enclose the whole of a value)`},
		{"a: 1\n- b", `f.yaml:2:1: not valid YAML: did not find expected key (check the indentation: what belongs together begins in the same column; quotes enclose the whole of a value)`},
		{"a: 1\nb: - c", `f.yaml:2:4: not valid YAML: block sequence entries are not allowed in this context (begin the list on a line of its own, or write it as [a, b])`},
		{"a: 1\nb: [1,\nc: 2\n", `f.yaml:2:4: not valid YAML: did not find expected ',' or ']' (close the list with ], and put values with a comma or a bracket in them into quotes)`},
		{"a: 1\nb: {c: 1\nd: 2\n", `f.yaml:2:4: not valid YAML: did not find expected ',' or '}' (close the map with }, and put values with a comma or a brace in them into quotes)`},
		{"a: 1\nb: 'its\nc: 2\n", `f.yaml:2:4: not valid YAML: found unexpected end of stream (a quote is not closed)`},
		{"a: 1\nbcd\ne: 2\n", `f.yaml:2:1: not valid YAML: could not find expected ':' (a key has a colon and a space after it)`},
		{"a: \x01", `f.yaml:1:4: not valid YAML: a byte that is no text (the file is UTF-8 text; in double quotes, \x01 stands for such a byte)`},
		{"ä: é\xff", `f.yaml:1:5: not valid YAML: a byte that is no text (the file is UTF-8 text; in double quotes, \x01 stands for such a byte)`},
	}
	for _, tt := range tests {
		_, err := load(tt.yaml)
		if got := fmt.Sprint(err); got != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.yaml, got, tt.want)
		}
	}
}

func TestBombs(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 {max: x}\n")
	for i := range 9 {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 9), ","))
	}
	tests := map[string]struct{ yaml, want string }{
		"laughs": {laughs.String(), "there are too many aliases (*) to follow"},
		"cycle":  {"a: &a [*a]", "this is nested too deep"},
		"merge":  {"a: &a {<<: *a}", "this is nested too deep"},
		"keys":   {"a: &a {? *a : b}", "a key is text, not a map"},
		"depth":  {strings.Repeat("[", 200) + strings.Repeat("]", 200), "this is nested too deep"},
	}
	for name, tt := range tests {
		var c Collector
		v, ok := c.Parse(name, []byte(tt.yaml))
		if ok {
			walk(v)
		}
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// walk visits all that is below v.
func walk(v Value) {
	switch {
	case v.IsMap():
		for _, e := range v.Entries("") {
			walk(e.Value)
		}
	case v.IsList():
		for _, item := range v.Items("") {
			walk(item)
		}
	default:
		v.IsNull()
	}
}

func TestExpander(t *testing.T) {
	var c Collector
	v, _ := c.Parse("f.yaml", []byte("name: $x\nnames: [$x, y]\nheaders: {$x: $x}\nwait: $d\ncount: $x\nretry: {max: $unknown}\n"))
	var got config
	v.WithExpander(func(v Value, text string) (string, bool) {
		switch text {
		case "$x":
			return "s3cret", true
		case "$d":
			return "2s", true
		}
		return text, text != "$unknown"
	}).Decode(&got)
	want := config{Name: "s3cret", Names: []string{"s3cret", "y"}, Headers: map[string]secret{"$x": "s3cret"}, Wait: 2 * time.Second}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}, shared{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := fmt.Sprint(c.Err()), `f.yaml:5:8: count wants a whole number, not "$x"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDecodeWith(t *testing.T) {
	var c Collector
	v, _ := c.Parse("f.yaml", []byte("max: 1s\nslack: 3\nslak: 4\n"))
	var into inner
	var seen []string
	handle := func(e Entry) { seen = append(seen, e.Key.Name()+"="+e.Value.Raw()) }
	if v.DecodeWith(&into, Handlers{"slack": handle, "email": handle}) {
		t.Error("an unknown key is no problem")
	}
	if got := fmt.Sprint(seen, into, c.Err()); got != `[slack=3] {0s 1s} f.yaml:3:1: unknown key "slak" (did you mean "slack"?)` {
		t.Error(got)
	}
}

func TestFind(t *testing.T) {
	var c Collector
	v, _ := c.Parse("f.yaml", []byte("a:\n  b.c: 1\n  d: {e: 2}\n"))
	for _, tt := range []struct {
		path, want string
		found      bool
	}{
		{"", "f.yaml:1:1", true}, {"a", "f.yaml:2:3", true}, {"a.b.c", "f.yaml:2:8", true}, {"a.d.e", "f.yaml:3:10", true},
		{"a.d.x", "f.yaml:3:6", false}, {"a.d.e.f", "f.yaml:3:10", false}, {"x", "f.yaml:1:1", false},
	} {
		if got, found := v.Find(tt.path); got.Pos().String() != tt.want || found != tt.found {
			t.Errorf("%q is at %v, %v; want %s, %v", tt.path, got.Pos(), found, tt.want, tt.found)
		}
	}
}

func TestSortedByFile(t *testing.T) {
	var c Collector
	z, _ := c.Parse("z.yaml", []byte("a: 1\nb: 2"))
	a, _ := c.Parse("a.yaml", []byte("x"))
	a.Report("", "three")
	b, _ := z.Find("b")
	b.Report("", "two")
	z.Report("a hint", "one")
	z.Report("a hint", "one")
	c.Add(Pos{File: "z.yaml"}, "", "zero")
	if got, want := c.Err().Error(), "z.yaml: zero\nz.yaml:1:1: one (a hint)\nz.yaml:2:4: two\na.yaml:1:1: three"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !c.Has(b.Pos()) || c.Has(Pos{"z.yaml", 9, 9}) {
		t.Error("Has does not know what there is")
	}
}

func TestDidYouMean(t *testing.T) {
	for _, tt := range []struct{ word, known, want string }{
		{"prefx", "prefix regex", `did you mean "prefix"?`},
		{"perfix", "prefix regex", `did you mean "prefix"?`},
		{"dir", "directory start", `did you mean "directory"?`},
		{"include-own", "include_own", `did you mean "include_own"?`},
		{"ab", "cd xy", `known: cd, xy`},
		{"zebra", "b a", `known: a, b`},
		{"x", "", ""},
	} {
		if got := DidYouMean(tt.word, strings.Fields(tt.known)); got != tt.want {
			t.Errorf("%s of %s: %s, want %s", tt.word, tt.known, got, tt.want)
		}
	}
}

// FuzzLoad: whatever the file, an answer; and every problem has a place in it.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{"name: x", "a: [1,\nb", "retry: &r {max: 1s}\nmaybe: {<<: *r}", "name: *x", "a: &a [*a]", "x: @y\n\t", "? {a: b}\n: c", "<<: [1, {a: b}]", "a: \xff", "--- x\n--- y"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Collector
		v, ok := c.Parse("f", data)
		if !ok && c.Err() == nil {
			t.Fatal("no YAML, and no problem")
		}
		if ok {
			walk(v)
			var into config
			v.Decode(&into)
		}
		if err, ok := c.Err().(Errors); ok {
			for _, p := range err {
				if p.Line < 1 || p.Column < 1 {
					t.Errorf("%v has no place", p)
				}
			}
		}
	})
}
