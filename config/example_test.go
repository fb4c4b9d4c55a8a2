package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/journal"
)

func readExample(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// withSecrets loads a configuration after setting up everything that it refers
// to.
func withSecrets(t *testing.T, yaml string) (*Config, error) {
	t.Helper()
	return Load(writeWithSecrets(t, yaml), Options{})
}

// writeWithSecrets sets that up, and returns the path of the configuration.
func writeWithSecrets(t *testing.T, yaml string) string {
	t.Helper()
	files := map[string]string{"config.yaml": yaml, "credentials/x": ""}
	for _, m := range regexp.MustCompile(`\$\{(\w+):([^}]+)\}`).FindAllStringSubmatch(yaml, -1) {
		secret := "https://hooks.example.com/" + m[2]
		if strings.HasSuffix(strings.ToLower(m[2]), "token") {
			secret = "xoxb-" + m[2]
		}
		if strings.HasSuffix(m[2], "dsn") {
			secret = "postgres://router:" + m[2] + "@db.example.com/shop"
		}
		if s := examplePEM[m[2]]; s != "" {
			secret = s
		}
		switch m[1] {
		case "credential":
			files["credentials/"+m[2]] = secret
		case "file":
			files[m[2]] = secret // a relative one: absolute ones are outside the test's directory
		case "env":
			t.Setenv(m[2], secret)
		}
	}
	path := write(t, files)
	t.Setenv(credentialsDirectory, filepath.Join(filepath.Dir(path), "credentials"))
	return path
}

// examplePEM are the credentials of the examples that must be in PEM: a certificate
// that signs itself, and its key.
var examplePEM = map[string]string{"internal-ca": exampleCertificate, "router-cert": exampleCertificate, "router-key": exampleKey}

// TestExample: as shipped it loads, needs nothing, prints only, and what it says
// to try does what it says.
func TestExample(t *testing.T) {
	c, err := load(t, Options{}, map[string]string{"config.yaml": readExample(t)})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Notes) > 0 {
		t.Errorf("notes: %v", c.Notes)
	}
	if len(c.Actions) != 1 || c.Actions[0].Kind != "stdout" {
		t.Fatalf("actions %+v, want stdout alone", c.Actions)
	}
	tests := []struct {
		fields []string
		want   string
	}{
		{[]string{"SYSLOG_IDENTIFIER=demo-shop", "PRIORITY=5", "MESSAGE=SLACK: ada@example.com has signed up"}, "signups: ada@example.com has signed up"},
		{[]string{"SYSLOG_IDENTIFIER=demo-shop", "PRIORITY=5", "MESSAGE=order 4711 failed: the card was declined"}, "order 4711 did not go through, as the card was declined"},
		{[]string{"SYSLOG_IDENTIFIER=demo-shop", "PRIORITY=5", "MESSAGE=a line that no rule wants"}, ""},
		{[]string{"SYSLOG_IDENTIFIER=root", "PRIORITY=2", "MESSAGE=the disk is full"}, "crit from root: the disk is full"},
		{[]string{"SYSLOG_IDENTIFIER=x", "PRIORITY=0", "_SYSTEMD_UNIT=x.service", "MESSAGE=gone"}, "emerg from x.service: gone"},
		{[]string{"SYSLOG_IDENTIFIER=sudo", "PRIORITY=1", "MESSAGE=3 incorrect password attempts"}, ""},
	}
	for _, tt := range tests {
		if got := printed(t, c, tt.fields); got != tt.want {
			t.Errorf("%q printed %q, want %q", tt.fields, got, tt.want)
		}
	}
}

// printed is what the only action of the configuration is given as text.
func printed(t *testing.T, c *Config, fields []string) string {
	t.Helper()
	var list []journal.Field
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		list = append(list, journal.Field{Name: name, Value: []byte(value)})
	}
	record := journal.NewRecord("s=1", time.Unix(1, 0), 0, list...)
	var out []string
	for _, m := range c.Rules.Matcher().Match(record, nil) {
		text := c.Actions[0].Text
		if own := c.Actions[0].RuleText[m.Rule.Name]; own != nil {
			text = own
		}
		message, _ := record.Get("MESSAGE")
		s, err := text.Render(action.NewData("id", m.Rule.Name, string(message[m.Strip:]), m.Captures, record))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}

// commented tells blocks to switch on from comments: "#" and YAML, not "#" and a
// space and a word.
var commented = regexp.MustCompile(`^#(?:\S|  +\S)`)

// uncomment switches on those blocks that want is true of; a block is lines of
// commented YAML without another line between. It returns their number too.
func uncomment(yaml string, want func(block int) bool) (string, int) {
	var out []string
	blocks, inside := 0, false
	for line := range strings.Lines(yaml) {
		is := commented.MatchString(line)
		if is && !inside {
			blocks++
		}
		inside = is
		if is && want(blocks-1) {
			line = line[1:]
		}
		out = append(out, line)
	}
	return strings.Join(out, ""), blocks
}

// TestExampleBlocks: each commented block can be switched on by itself, and all
// of them together.
func TestExampleBlocks(t *testing.T) {
	example := readExample(t)
	all, n := uncomment(example, func(int) bool { return true })
	if n < 9 {
		t.Fatalf("only %d blocks", n)
	}
	c, err := withSecrets(t, all)
	if err != nil {
		t.Fatalf("with all blocks: %v", err)
	}
	var kindsUsed []string
	for _, a := range c.Actions {
		kindsUsed = append(kindsUsed, a.Kind)
	}
	for _, k := range kinds {
		if !slices.Contains(kindsUsed, k.name) {
			t.Errorf("no action of kind %s", k.name)
		}
	}
	for i := range n {
		yaml, _ := uncomment(example, func(block int) bool { return block == i })
		c, err := withSecrets(t, yaml)
		if err != nil {
			t.Errorf("with block %d: %v", i, err)
			continue
		}
		// It must have made a difference.
		plain, _ := load(t, Options{}, map[string]string{"config.yaml": example})
		if len(c.Actions)+len(c.Rules.Rules()) == len(plain.Actions)+len(plain.Rules.Rules()) && c.Journal == plain.Journal &&
			c.HTTP == plain.HTTP && c.DeadLetters == plain.DeadLetters {
			t.Errorf("block %d adds nothing", i)
		}
	}
}

// TestDocumentedKeys: every key has a place in the reference, or on its action's page.
func TestDocumentedKeys(t *testing.T) {
	pages, err := filepath.Glob("../docs/actions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	for _, page := range append(pages, "../docs/CONFIGURATION.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, text...)
	}
	var missing []string
	for _, problem := range unknownKeys(t) {
		for _, key := range strings.Split(strings.TrimSuffix(strings.SplitN(problem, "known: ", 2)[1], ")"), ", ") {
			if !strings.Contains(string(data), "`"+key+"`") {
				missing = append(missing, key)
			}
		}
	}
	if diff := cmp.Diff([]string(nil), missing); diff != "" {
		t.Errorf("not in docs/CONFIGURATION.md: %s", diff)
	}
}

// TestKindsDecode: each setting is of a type that can be decoded; of others,
// decoding panics.
func TestKindsDecode(t *testing.T) {
	for _, k := range kinds {
		var c strict.Collector
		v, _ := c.Parse("f", []byte("{zzzz: 1}"))
		k.decode(v)
		_, list, _ := strings.Cut(fmt.Sprint(c.Err()), "known: ")
		for _, key := range strings.Split(strings.TrimSuffix(list, ")"), ", ") {
			if key == "" {
				continue
			}
			v, _ := c.Parse("f", []byte("{"+key+": ~}"))
			if _, ok, _ := k.decode(v); ok {
				t.Errorf("%s: %s may be empty", k.name, key)
			}
		}
	}
}

// unknownKeys has an error for each section, which lists its keys.
func unknownKeys(t *testing.T) []string {
	t.Helper()
	yaml := "zzzz: 1\njournal: {zzzz: 1}\ndead_letters: {zzzz: 1}\nactions:\n  a: {zzzz: 1}\n  b: {stdout: , retry: {zzzz: 1}, queue: {zzzz: 1}}\n"
	for i, k := range kinds {
		switch k.name {
		case "stdout": // it has none
		case "metrics": // it has names of the user's first
			yaml += fmt.Sprintf("  k%d: {%s: {zzzz_total: {zzzz: 1}}}\n", i, k.name)
		default:
			yaml += fmt.Sprintf("  k%d: {%s: {zzzz: 1}}\n", i, k.name)
		}
	}
	yaml += "rules: [{zzzz: 1}, {name: x, actions: a, match: {A: {zzzz: 1}}}]\n"
	_, err := load(t, Options{}, map[string]string{"config.yaml": yaml})
	var with []string
	for line := range strings.Lines(fmt.Sprint(err)) {
		if strings.Contains(line, `"zzzz" (known: `) {
			with = append(with, strings.TrimSpace(line))
		}
	}
	if want := 8 + len(kinds) - 1; len(with) != want {
		t.Fatalf("%d sections, want %d: %v", len(with), want, err)
	}
	return with
}
