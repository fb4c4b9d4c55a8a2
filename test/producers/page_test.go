package producers

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is the document whose recipes are run.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/PRODUCERS.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section is what is below the page's heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, below, ok := strings.Cut(page(t), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("the page has no heading %q", heading)
	}
	below, _, _ = strings.Cut(below, "\n## ")
	return below
}

var (
	block = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")
	// named is a block's first line where that is a file's name.
	named = regexp.MustCompile(`^(?:#|//) ([\w.-]+)\n`)
)

// writeFiles writes the page's files into the directory, as they stand.
func writeFiles(t *testing.T, dir string) {
	t.Helper()
	for _, b := range block.FindAllStringSubmatch(page(t), -1) {
		name := named.FindStringSubmatch(b[2])
		if name == nil {
			continue
		}
		path := filepath.Join(dir, name[1])
		if _, err := os.Stat(path); err == nil {
			t.Fatalf("the page has two files %s", name[1])
		}
		if err := os.WriteFile(path, []byte(b[2]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAllAreRun: every piece of code above Go's has the name of a file, which a test uses.
func TestAllAreRun(t *testing.T) {
	recipes, _, ok := strings.Cut(page(t), "\n## From Go")
	if !ok {
		t.Error("the page has nothing for Go")
	}
	var names []string
	for _, b := range block.FindAllStringSubmatch(recipes, -1) {
		name := named.FindStringSubmatch(b[2])
		switch {
		case b[1] == "yaml":
		case name == nil:
			t.Errorf("a block in %s begins with no file's name:\n%s", b[1], b[2])
		default:
			names = append(names, name[1])
		}
	}
	slices.Sort(names)
	want := []string{"nightly.sh", "say.js", "shop.py", "shop.service", "signup.js", "signup.py", "signup.sh", "tojournal.js", "tojournal.py"}
	if !slices.Equal(names, want) {
		t.Errorf("the page's files are %q, and the tests know of %q", names, want)
	}
}

// rulesOf are the rules in the section, as one list.
func rulesOf(t *testing.T, heading string) string {
	t.Helper()
	list := "rules:\n"
	for _, b := range block.FindAllStringSubmatch(section(t, heading), -1) {
		if rules, ok := strings.CutPrefix(b[2], "rules:\n"); ok && b[1] == "yaml" {
			list += rules
		}
	}
	return list
}
