package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
)

// pages are the documents by their paths from the root of the project, each with its
// text.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/actions/*.md"} {
		paths, err := filepath.Glob("../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all[strings.TrimPrefix(path, "../")] = string(text)
		}
	}
	return all
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestDocumentation: the YAML in every document is right, as it is or, where it is a
// part, with what is missing to a whole; also for `check` in a shell without the
// service's credentials.
func TestDocumentation(t *testing.T) {
	blocks := 0
	for path, text := range pages(t) {
		for _, b := range yamlBlock.FindAllStringSubmatch(text, -1) {
			blocks++
			yaml := complete(b[1])
			config := writeWithSecrets(t, yaml)
			if _, err := Load(config, Options{}); err != nil {
				t.Errorf("%s: %v in\n%s", path, err, yaml)
				continue
			}
			t.Setenv(credentialsDirectory, "")
			if _, err := Load(config, Options{Check: true}); err != nil {
				t.Errorf("%s: checked without credentials: %v in\n%s", path, err, yaml)
			}
		}
	}
	if blocks < 20 {
		t.Errorf("only %d blocks", blocks)
	}
}

// complete adds an action and a rule where there are none, and the actions that
// the rules name.
func complete(yaml string) string {
	if strings.HasPrefix(yaml, "- ") { // a rule alone
		yaml = "rules:\n" + yaml
	}
	if !strings.Contains("\n"+yaml, "\nactions:") {
		yaml += "actions: {growth: {stdout: }, archive: {stdout: }, page: {stdout: }}\n"
	}
	if !strings.Contains("\n"+yaml, "\nrules:") {
		yaml += "rules: [{name: any, match: {_SYSTEMD_UNIT: shop.service, MESSAGE: {regex: '(?P<order>.)'}}, actions: []}]\n"
		names := regexp.MustCompile(`(?m)^  ([\w-]+):`).FindAllStringSubmatch(yaml[strings.Index("\n"+yaml, "\nactions:"):], -1)
		var list []string
		for _, m := range names {
			list = append(list, m[1])
		}
		if list == nil {
			list = []string{"growth"}
		}
		yaml = strings.Replace(yaml, "actions: []", "actions: ["+strings.Join(list, ", ")+"]", 1)
	}
	return yaml
}

// TestPageOfEachKind: docs/actions has a page for it, which begins with some ten lines
// of YAML that are a whole configuration, and has a row for each setting, and for no
// other; the reference leads there, and the README names it.
func TestPageOfEachKind(t *testing.T) {
	all := pages(t)
	for _, k := range kinds {
		path := "docs/actions/" + k.name + ".md"
		page := all[path]
		if page == "" {
			t.Errorf("there is no %s", path)
			continue
		}
		if !strings.HasPrefix(page, "# `"+k.name+"`: ") {
			t.Errorf("%s does not begin with \"# `%s`: \" and what it is", path, k.name)
		}
		checkFirstBlock(t, path, page, k.name)
		if diff := cmp.Diff(settingsOf(k), settingsOn(page)); diff != "" {
			t.Errorf("%s: settings there are (-), and in its tables below \"## Settings\" (+):\n%s", path, diff)
		}
		row := regexp.MustCompile("(?m)^\\| \\[`" + k.name + "`\\]\\(actions/" + k.name + "\\.md\\) \\| [^|]+ \\| (\\d+), (\\d+)[^|]* \\| (yes|no) \\|$")
		if got, want := row.FindStringSubmatch(all["docs/CONFIGURATION.md"]), abilities(t, page, k.name); got == nil || !slices.Equal(got[1:], want) {
			t.Errorf("docs/CONFIGURATION.md has %q in its table of kinds, want a link to the page, what it is, and %s", got, strings.Join(want, ", "))
		}
		if !strings.Contains(all["README.md"], "`"+k.name+"`") {
			t.Errorf("README.md does not have `%s`", k.name)
		}
	}
}

func checkFirstBlock(t *testing.T, path, page, kind string) {
	t.Helper()
	first := yamlBlock.FindStringSubmatchIndex(page)
	const most = 15
	if first == nil {
		t.Errorf("%s: there is no YAML", path)
		return
	}
	if line := strings.Count(page[:first[0]], "\n") + 1; line > 5 {
		t.Errorf("%s: the first YAML begins at line %d: it goes before the words", path, line)
	}
	yaml := page[first[2]:first[3]]
	if n := strings.Count(yaml, "\n"); n > most {
		t.Errorf("%s: the first YAML has %d lines, of %d at most", path, n, most)
	}
	c, err := withSecrets(t, yaml)
	if err != nil {
		t.Errorf("%s: the first YAML is no configuration: %v", path, err)
		return
	}
	if !slices.ContainsFunc(c.Rules.Rules()[0].Actions, func(name string) bool { return find(t, c, name).Kind == kind }) {
		t.Errorf("%s: the first YAML sends nothing to an action of the kind", path)
	}
}

// abilities are how many deliveries a call carries, and at most, and whether there may
// be several calls: of the actions in the page's examples, those that can the most.
func abilities(t *testing.T, page, kind string) []string {
	t.Helper()
	usual, most, parallel := 1, 1, "no"
	for _, b := range yamlBlock.FindAllStringSubmatch(page, -1) {
		c, err := withSecrets(t, complete(b[1]))
		if err != nil {
			continue // TestDocumentation says so
		}
		for _, a := range c.Actions {
			if a.Kind != kind {
				continue
			}
			if b, ok := a.Destination.(action.Batcher); ok {
				u, m := b.Batch()
				usual, most = max(usual, u), max(most, m)
			}
			if _, ok := a.Destination.(action.Parallel); ok {
				parallel = "yes"
			}
		}
	}
	return []string{fmt.Sprint(usual), fmt.Sprint(most), parallel}
}

// settingsOf are the dotted names of what a kind's Config has, sorted. A section that
// several kinds share, as tls, is one.
func settingsOf(k kind) []string {
	var c strict.Collector
	v, _ := c.Parse("f", []byte("{}"))
	settings, _, _ := k.decode(v)
	return yamlNames(reflect.TypeOf(settings), "")
}

func yamlNames(of reflect.Type, prefix string) []string {
	names := []string{}
	if of.Kind() == reflect.Map { // of names of the user's, as metrics is
		of = of.Elem()
	}
	for f := range of.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		in := f.Type
		if in.Kind() == reflect.Pointer {
			in = in.Elem()
		}
		section := in.Kind() == reflect.Struct && in != reflect.TypeFor[action.TLS]() && in != reflect.TypeFor[strict.Value]()
		switch {
		case !f.IsExported() || name == "-":
		case options == "inline":
			names = append(names, yamlNames(in, prefix)...)
		case section && !reflect.PointerTo(in).Implements(reflect.TypeFor[strict.Decoder]()):
			names = append(names, yamlNames(in, prefix+name+".")...)
		default:
			names = append(names, prefix+name)
		}
	}
	slices.Sort(names)
	return names
}

// settingsOn are the names in the first column of the page's tables with the head
// "key", below "## Settings", sorted.
func settingsOn(page string) []string {
	_, below, _ := strings.Cut(page, "\n## Settings\n")
	below, _, _ = strings.Cut(below, "\n## ")
	names := make(map[string]bool)
	inside := false
	for line := range strings.Lines(below) {
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		if strings.HasPrefix(line, "| key |") {
			inside = true
			continue
		}
		if !inside {
			continue
		}
		cell := strings.SplitN(line, "|", 3)[1]
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			names[name[1]] = true
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(names))...)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestLinks: what a document links to within the project is there, also the heading.
func TestLinks(t *testing.T) {
	all := pages(t)
	for path, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			target := path
			if to != "" {
				target = filepath.Join(filepath.Dir(path), to)
			}
			if _, err := os.Stat("../" + target); err != nil {
				t.Errorf("%s: %s leads nowhere", path, m[1])
			} else if anchor != "" && !slices.Contains(anchors(all[target]), anchor) {
				t.Errorf("%s: %s has no such heading", path, m[1])
			}
		}
	}
}

// anchors are what GitHub makes of the headings: lower case, letters, digits, dashes
// and underscores, and a dash for each space.
func anchors(text string) (list []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		list = append(list, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
				return r
			}
			return -1
		}, strings.ToLower(m[1])))
	}
	return list
}
