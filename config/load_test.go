package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/router"
	"github.com/journald-router/journald-router/spool"
)

// write makes the files below a new directory and returns the path of
// config.yaml there. The environment has none of the variables that matter.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"STATE_DIRECTORY", credentialsDirectory} {
		t.Setenv(name, "")
	}
	return filepath.Join(dir, "config.yaml")
}

// load loads config.yaml of files; errors and notes name the files without their
// directory.
func load(t testing.TB, o Options, files map[string]string) (*Config, error) {
	t.Helper()
	path := write(t, files)
	c, err := Load(path, o)
	short := func(problems []Problem) {
		for i := range problems {
			problems[i].File = strings.TrimPrefix(problems[i].File, filepath.Dir(path)+"/")
			problems[i].What = strings.ReplaceAll(problems[i].What, filepath.Dir(path), "DIR")
			problems[i].Hint = strings.ReplaceAll(problems[i].Hint, filepath.Dir(path), "DIR")
		}
	}
	if err, ok := err.(Errors); ok {
		short(err)
	}
	if c != nil {
		short(c.Notes)
		for i := range c.Files {
			c.Files[i] = strings.TrimPrefix(c.Files[i], filepath.Dir(path)+"/")
		}
	}
	return c, err
}

func mustLoad(t testing.TB, files map[string]string) *Config {
	t.Helper()
	c, err := load(t, Options{}, files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func find(t testing.TB, c *Config, name string) router.Action {
	t.Helper()
	i := slices.IndexFunc(c.Actions, func(a router.Action) bool { return a.Name == name })
	if i < 0 {
		t.Fatalf("no action %s", name)
	}
	return c.Actions[i]
}

// small is the least there can be.
const small = `
actions:
  out:
    stdout:
rules:
  - {name: all, match: {MESSAGE: {exists: true}}, actions: out}
`

func TestDefaults(t *testing.T) {
	c := mustLoad(t, map[string]string{"config.yaml": small})
	a := find(t, c, "out")
	if a.Destination == nil {
		t.Error("the action was not made")
	}
	if a.Text != nil || len(a.RuleText) > 0 {
		t.Error("a text from nowhere")
	}
	a.Destination, a.Redact, a.RuleText, a.RuleParse = nil, nil, nil, nil
	want := router.Action{Name: "out", Kind: "stdout", Retry: router.Retry{Min: time.Second, Max: 5 * time.Minute, GiveUpAfter: 72 * time.Hour}, Concurrency: 1, MaxBytes: 1 << 30, WhenFull: spool.Block}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c.Journal != (Journal{MaxFieldBytes: 16 << 20}) || c.State != "/var/lib/journald-router" || c.HTTP != "" || c.DeadLetters != (spool.LetterLimit{}) || len(c.Notes) > 0 {
		t.Errorf("journal %+v, state %s, notes %v", c.Journal, c.State, c.Notes)
	}
	if diff := cmp.Diff([]string{"config.yaml"}, c.Files); diff != "" {
		t.Error(diff)
	}
	if got := c.Rules.Rules()[0].Name; got != "all" {
		t.Errorf("rule %s", got)
	}
}

func TestSettings(t *testing.T) {
	c := mustLoad(t, map[string]string{"config.yaml": `
journal:
  start: 2h
  namespace: shop
  include_own: true
  max_field_bytes: 64KiB
state: /srv/state
http: 127.0.0.1:9323
dead_letters: {max: 1000, max_age: 30d}
actions:
  growth:
    slack: {token: xoxb-1, channel: "#growth", api_url: http://127.0.0.1:1/}
    text: "{{ .Rule }}: {{ .Text }}"
    retry: {min: 2s, max: 10s, give_up_after: 7d}
    queue: {max_bytes: 64MiB, when_full: drop_oldest}
  hook: {webhook: {url: "http://127.0.0.1:1/", headers: {Authorization: Bearer x}}, retry: {max: 500ms}}
  log: {file: {path: /var/log/x}, retry: {min: 1h}, queue: {when_full: drop_newest}}
  out: {stdout: {}}
  run: {exec: {command: [/bin/true]}}
rules:
  - {name: one, prefix: "SLACK: ", actions: [growth, hook, log], text: "<{{ .Text }}>"}
  - {name: two, match: {MESSAGE: {regex: '(?P<x>.)'}}, actions: [growth, out], final: true}
  - {name: three, match: {_UID: 0}, actions: run}
`})
	if want := (Journal{Start: journal.Ago(2 * time.Hour), Namespace: "shop", IncludeOwn: true, MaxFieldBytes: 64 << 10}); c.Journal != want {
		t.Errorf("journal %+v, want %+v", c.Journal, want)
	}
	if c.HTTP != "127.0.0.1:9323" {
		t.Errorf("http %s", c.HTTP)
	}
	if want := (spool.LetterLimit{Max: 1000, MaxAge: 720 * time.Hour}); c.DeadLetters != want {
		t.Errorf("dead_letters %+v, want %+v", c.DeadLetters, want)
	}
	if c.State != "/srv/state" {
		t.Errorf("state %s", c.State)
	}
	var kinds []string
	for _, a := range c.Actions {
		kinds = append(kinds, a.Name+" "+a.Kind)
	}
	if diff := cmp.Diff([]string{"growth slack", "hook webhook", "log file", "out stdout", "run exec"}, kinds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	growth := find(t, c, "growth")
	if want := (router.Retry{Min: 2 * time.Second, Max: 10 * time.Second, GiveUpAfter: 168 * time.Hour}); growth.Retry != want {
		t.Errorf("retry %+v", growth.Retry)
	}
	for name, want := range map[string]spool.Bound{
		"growth": {MaxBytes: 64 << 20, WhenFull: spool.DropOldest}, "log": {MaxBytes: 1 << 30, WhenFull: spool.DropNewest},
		"run": {MaxBytes: 1 << 30, WhenFull: spool.Block},
	} {
		if a := find(t, c, name); a.MaxBytes != want.MaxBytes || a.WhenFull != want.WhenFull {
			t.Errorf("the queue of %s: %d, %s; want %v", name, a.MaxBytes, a.WhenFull, want)
		}
	}
	// Of retry's two bounds, the default gives way.
	if r := find(t, c, "hook").Retry; r.Min != 500*time.Millisecond || r.Max != 500*time.Millisecond {
		t.Errorf("retry %+v", r)
	}
	if r := find(t, c, "log").Retry; r.Min != time.Hour || r.Max != time.Hour {
		t.Errorf("retry %+v", r)
	}
	// The same rule's text, escaped where the action needs it.
	data := action.NewData("id", "one", "a&b", nil, journal.Record{})
	for name, want := range map[string]string{"growth": "<a&amp;b>", "hook": "<a&b>", "log": "<a&b>"} {
		if got, err := find(t, c, name).RuleText["one"].Render(data); err != nil || got != want {
			t.Errorf("%s: text %q, %v, want %q", name, got, err, want)
		}
	}
	if got, _ := growth.Text.Render(data); got != "one: a&amp;b" {
		t.Errorf("text %q", got)
	}
	if growth.RuleText["two"] != nil {
		t.Error("rule two has no text of its own")
	}
}

func TestState(t *testing.T) {
	path := write(t, map[string]string{"config.yaml": small, "other.yaml": small + "state: /srv/a\n"})
	t.Setenv("STATE_DIRECTORY", "/run/a:/run/b")
	for name, want := range map[string]string{"config.yaml": "/run/a", "other.yaml": "/srv/a"} {
		c, err := Load(filepath.Join(filepath.Dir(path), name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.State != want {
			t.Errorf("%s: state %s, want %s", name, c.State, want)
		}
	}
}

func TestDropIns(t *testing.T) {
	files := map[string]string{
		"config.yaml": `
journal: {start: boot, namespace: a}
state: /srv/a
dead_letters: {max: 5}
actions:
  out: {stdout: {}}
  log: {file: {path: /var/log/a}, text: a}
rules:
  - {name: one, prefix: a, actions: out, final: true}
  - {name: two, prefix: b, actions: out}
`,
		"config.d/10-a.yaml": `
journal: {include_own: true}
dead_letters: {max_age: 1d}
actions:
  more: {file: {path: /var/log/more}}
  log: {file: {path: /var/log/b}}
rules:
  - {name: one, prefix: c, actions: [log, more]}
  - {name: three, prefix: d, actions: out}
`,
		"config.d/20-b.yaml":          "state: /srv/b\nrules:\n  - {name: three, prefix: e, actions: log}\n",
		"config.d/30-empty.yaml":      "# nothing yet\n",
		"config.d/.#10-a.yaml":        "}",
		"config.d/README":             "}",
		"config.d/40.yaml.dpkg-dist":  "}",
		"config.d/50.yml":             "}",
		"config.d/60-dir.yaml/x.yaml": "}",
	}
	c := mustLoad(t, files)
	if want := (Journal{IncludeOwn: true, MaxFieldBytes: 16 << 20}); c.Journal != want {
		t.Errorf("journal %+v, want that of the drop-in, whole", c.Journal)
	}
	if want := (spool.LetterLimit{MaxAge: 24 * time.Hour}); c.DeadLetters != want {
		t.Errorf("dead_letters %+v, want that of the drop-in, whole", c.DeadLetters)
	}
	if c.State != "/srv/b" {
		t.Errorf("state %s", c.State)
	}
	if diff := cmp.Diff([]string{"config.yaml", "config.d/10-a.yaml", "config.d/20-b.yaml", "config.d/30-empty.yaml"}, c.Files); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, r := range c.Rules.Rules() {
		got = append(got, fmt.Sprint(r.Name, " ", r.Actions, " ", r.Final))
	}
	for _, a := range c.Actions {
		got = append(got, fmt.Sprint(a.Name, " ", a.Text != nil))
	}
	want := []string{"one [log more] false", "two [out] false", "three [log] false", "out false", "log false", "more false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantNotes := "config.d/50.yml: this drop-in is not read (give it a name that ends in .yaml)"
	if got := Errors(c.Notes).Error(); got != wantNotes {
		t.Errorf("notes\n%s\nwant\n%s", got, wantNotes)
	}
}

func TestReplacedSectionsAreNotLookedInto(t *testing.T) {
	c := mustLoad(t, map[string]string{
		"config.yaml": `
actions: {out: {webhook: {url: "${env:NOT_SET_HERE}"}}}
rules: [{name: a, prefix: "", actions: gone}]
`,
		"config.d/a.yaml": "actions: {out: {stdout: {}}}\nrules: [{name: a, prefix: x, actions: out}]\n",
	})
	if find(t, c, "out").Kind != "stdout" {
		t.Error("the action was not replaced")
	}
}

// TestOneFileBroken: what can be told of the others is told, and what is missing
// in them may be in the broken one.
func TestOneFileBroken(t *testing.T) {
	_, err := load(t, Options{}, map[string]string{
		"config.yaml":     "rules:\n- {name: a, prefix: x, actions: hook}\n- {name: b, prefx: x, actions: hook}\n",
		"config.d/a.yaml": "actions:\n  hook: }\n",
	})
	want := `config.yaml:3:3: the rule says nothing of the entries it is for (add prefix: or match:; to match every entry, write match: {MESSAGE: {exists: true}})
config.yaml:3:13: unknown key "prefx" (did you mean "prefix"?)
config.d/a.yaml:2:9: not valid YAML: did not find expected node content (check the indentation: what belongs together begins in the same column; quotes enclose the whole of a value)`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.yaml")
	_, err := Load(missing, Options{})
	if got, want := fmt.Sprint(err), missing+": read configuration: no such file or directory (name the configuration with --config FILE; config.example.yaml is one to begin with)"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	_, err = Load(dir, Options{})
	if got, want := fmt.Sprint(err), dir+": read configuration: is a directory (name the file in it: "+dir+"/config.yaml)"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if _, err = LoadSummary(dir); err == nil {
		t.Error("a directory has a summary")
	}
	// Not even root can read a file that is not there for opening: a dangling link.
	path := write(t, map[string]string{"config.yaml": small, "config.d/x": ""})
	link := filepath.Join(filepath.Dir(path), "config.d", "a.yaml")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	_, err = Load(path, Options{})
	if got, want := fmt.Sprint(err), link+": read configuration: no such file or directory (name the configuration with --config FILE; config.example.yaml is one to begin with)"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestSummary(t *testing.T) {
	path := write(t, map[string]string{"config.yaml": `
state: /srv/a
journal: {namespace: a}
colour: blue
actions:
  hook: {webhook: {url: "${credential:none}", what: ever}}
  old: {pigeon: {}}
rules: [{name: a, prefix: "", actions: gone}]
`})
	s, err := LoadSummary(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &Summary{Journal: Journal{Namespace: "a", MaxFieldBytes: 16 << 20}, State: "/srv/a", Actions: map[string]string{"hook": "webhook", "old": ""}, Files: []string{path}}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(journal.Start{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"state: relative\n", "state: [\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o640); err != nil {
			t.Fatal(err)
		}
		if s, err := LoadSummary(path); err == nil {
			t.Errorf("%q: %+v, want an error", bad, s)
		}
	}
}
