package config

import (
	"os"
	"testing"
)

// FuzzLoad: whatever is in the file, an answer, and every problem on one line.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("../config.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	all, _ := uncomment(string(example), func(int) bool { return true })
	for _, s := range []string{
		all, small, withOut, "actions: &a {x: *a}", "actions: {a: {slack: {token: '${credential:x}'}}}", "rules: [*r]", "actions: {a: {webhook: {url: '${env:HOME}', headers: {a: $${}}}}",
	} {
		f.Add([]byte(s))
	}
	path := write(f, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o640); err != nil {
			t.Fatal(err)
		}
		for _, o := range []Options{{}, {Check: true}} {
			c, err := Load(path, o)
			problems, _ := err.(Errors)
			if c != nil {
				problems = c.Notes
			} else if len(problems) == 0 {
				t.Fatalf("neither a configuration nor problems: %v", err)
			}
			for _, p := range problems {
				for _, r := range p.String() {
					if r < ' ' || r == 0x7f {
						t.Errorf("a problem with a control character: %q", p.String())
					}
				}
			}
		}
		LoadSummary(path)
	})
}
