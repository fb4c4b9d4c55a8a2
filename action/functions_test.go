package action_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

// TestDocumentedFunctions: each function has an example in the reference, and each
// example gives what it says.
func TestDocumentedFunctions(t *testing.T) {
	page, err := os.ReadFile("../docs/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(page), "| function | example | gives |\n|---|---|---|\n")
	table, _, _ := strings.Cut(after, "\n\n")
	if !ok {
		t.Fatal("there is no table of functions")
	}
	example := action.NewData("id", "order-failed", `order "4711" failed`, nil,
		journal.NewRecord("c", time.Date(2026, 1, 31, 23, 30, 0, 0, time.UTC), 0, journal.Field{Name: "_HOSTNAME", Value: []byte("web1.example.com")}))
	example.JSON = action.Object{"tags": action.List{"shop", "card"}, "total": "10.50"}
	documented := make(map[string]bool)
	for row := range strings.Lines(table) {
		cells := regexp.MustCompile(`^\| (.*) \| ` + "`(.*)` \\| `(.*)` \\|\n?$").FindStringSubmatch(row)
		if cells == nil {
			t.Errorf("a row of another form: %s", row)
			continue
		}
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			documented[name[1]] = true
		}
		tmpl, err := action.ParseTemplate(strings.ReplaceAll(cells[2], `\|`, "|"), nil)
		if err != nil {
			t.Errorf("%s: %v", cells[2], err)
			continue
		}
		if got, err := tmpl.Render(example); err != nil || got != cells[3] {
			t.Errorf("%s gives %s, %v; the table says %s", cells[2], got, err, cells[3])
		}
	}
	if diff := cmp.Diff(action.FunctionNames(), slices.Sorted(maps.Keys(documented))); diff != "" {
		t.Errorf("functions there are (-), and in the table (+):\n%s", diff)
	}
}

func TestFunctions(t *testing.T) {
	d := action.NewData("id", "rule", "", map[string]string{"n": "007", "word": "seven", "e": ""}, journal.Record{})
	if err := action.ParseJSON().Parse(func() *action.Data {
		d.Text = `{"i": 42, "f": 10.50, "e": 1e400, "s": "a,b", "l": [1, "x", null, 2.0], "t": true, "z": null, "o": {"b": 1, "a": "<"}}`
		return &d
	}()); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ text, want string }{
		{`{{ default "x" .JSON.z }} {{ default "x" .JSON.none }} {{ default 0 .JSON.i }} {{ default true "" }} {{ default "x" false }} {{ default "x" 0 }}`, "x x 42 true false 0"},
		{`{{ truncate 1 .JSON.i }} {{ upper .JSON.t }} {{ trim .JSON.z }}{{ lower .JSON.o }}`, `4… TRUE {"a":"<","b":1}`},
		{`{{ replace "4" "5" .JSON.i }} {{ replace "" "-" "ab" }}`, "52 -a-b-"},
		{`{{ split "," .JSON.s }} {{ index (split "," .JSON.s) 1 }} {{ len (split "," .JSON.none) }} {{ split "," "," }}`, `["a","b"] b 1 ["",""]`},
		{`{{ join "+" .JSON.l }} {{ join "+" .JSON.i }} [{{ join "+" .JSON.none }}] {{ split "," .JSON.s | join ";" }}`, "1+x++2.0 42 [] a;b"},
		{`{{ index .JSON.l 0 }}{{ index .JSON.l 1 }}[{{ index .JSON.l 2 }}{{ index .JSON.l 9 }}{{ index .JSON.l -1 }}{{ index .JSON.l "0" }}{{ index .JSON.i 0 }}{{ index .JSON.none 0 "x" }}]`, "1x[]"},
		{`{{ index .JSON "o" "b" }} {{ index .Captures "n" }} [{{ index .Captures "none" }}{{ index .JSON "none" "b" }}{{ index .JSON "z" }}]`, "1 007 []"},
		{`{{ printf "%.2f" (float .JSON.f) }} {{ printf "%.1f" (float .Captures.n) }} {{ float .JSON.i }}`, "10.50 7.0 42"},
		{`{{ json .JSON.o }} {{ json .JSON.z }} {{ json .JSON.none }} {{ json .JSON.f }} {{ json .JSON.l }}`, `{"a":"\u003c","b":1} null "" 10.50 [1,"x",null,2.0]`},
		{`{{ date "2006-01-02 15:04" .Time }}`, "0001-01-01 00:00"},
		// As numbers.
		{`{{ gt .JSON.f 10 }} {{ gt .JSON.f 10.5 }} {{ eq .JSON.f 10.5 }} {{ eq .JSON.f .JSON.i }} {{ lt .JSON.f .JSON.i }} {{ ge .JSON.e .JSON.i }} {{ lt -1 0 }}`, "true false true false true true true"},
		{`{{ eq .Captures.n 7 }} {{ gt .Captures.n 6 }} {{ eq .Captures.n "7" }} {{ le 7 .Captures.n }}`, "true true false true"},
		// A text that is no number.
		{`{{ eq .Captures.word 7 }}{{ ne .Captures.word 7 }}{{ lt .Captures.word 7 }}{{ gt .Captures.word 7 }}{{ ge .JSON.none 0 }}{{ le .JSON.none 0 }}{{ ne .JSON.none 0 }}`, "falsetruefalsefalsefalsefalsetrue"},
		// As texts.
		{`{{ eq .JSON.s "a,b" }} {{ eq .JSON.s "x" "a,b" }} {{ eq .JSON.none "" }} {{ eq .JSON.z "" }} {{ eq .JSON.t true }} {{ eq .JSON.t "true" }} {{ lt "10" "9" }} {{ ne "a" "b" }}`,
			"true true true true true true true true"},
		// What prints as a word and is a number. The time is that of no entry: 1 January of the year 1.
		{`{{ eq .Time.Month 1 }} {{ gt .Time.Month 0 }} {{ lt .Time.Month 2.5 }} {{ eq .Time.Weekday "Monday" }} {{ eq .Time.Weekday "1" }} {{ ne .Time.Weekday 2 }} {{ eq .Time.Weekday .Time.Month }} {{ eq .Time.Weekday "Sunday" }}`,
			"true true true true true true true false"},
	}
	for _, tt := range tests {
		tmpl, err := action.ParseTemplate(tt.text, nil)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got, err := tmpl.Render(d); err != nil || got != tt.want {
			t.Errorf("%s\n got %s, %v\nwant %s", tt.text, got, err, tt.want)
		}
	}
	for text, want := range map[string]string{
		`{{ float .Captures.word }}`: `error calling float: "seven" is no number`,
		`{{ float .JSON.none }}`:     `error calling float: "" is no number`,
		`{{ float .JSON.e }}`:        `error calling float: 1e400 is too large a number`,
	} {
		tmpl, err := action.ParseTemplate(text, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := tmpl.Render(d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestCompareNumbers(t *testing.T) {
	// In rising order, some of them several times.
	rising := [][]string{
		{"-1e400"}, {"-18446744073709551617"}, {"-18446744073709551616"}, {"-10.5", "-10.50", "-1.05e1", "-0105E-1"}, {"-1e-9223372036854775809"},
		{"0", "-0", "0.00", "0e99999999999999999999", "+0"}, {"1e-99999999999999999999"}, {"0.1", "1e-1"}, {"1", "1.0", "+1", "001", "10e-1"}, {"9.99"}, {"10", "1e1"},
		{"9007199254740992"}, {"9007199254740993"}, {"18446744073709551616", "18446744073709551616.0"}, {"1e400"}, {"1e99999999999999999999"},
	}
	for i, list := range rising {
		for j, others := range rising {
			for _, a := range list {
				for _, b := range others {
					if got, ok := action.CompareNumbers(a, b); !ok || got != max(-1, min(1, i-j)) {
						t.Errorf("%s and %s compare as %d, %v", a, b, got, ok)
					}
				}
			}
		}
	}
	for _, s := range []string{"", "-", ".5", "5.", "1e", "e5", "1e1.5", "0x10", "1_000", "NaN", "Inf", "1 ", " 1", "--1", "1e+", "५"} {
		if got, ok := action.CompareNumbers(s, "1"); ok {
			t.Errorf("%q compares to 1 as %d", s, got)
		}
	}
}
