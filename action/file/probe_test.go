package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action/file"
)

// TestProbe: whether the file could be written is told without making it.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there.jsonl")
	if err := os.WriteFile(there, []byte("line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		there:                          "",
		filepath.Join(dir, "new"):      "",
		filepath.Join(dir, "no/where"): "no such file or directory (make the directory",
		dir:                            "is not a regular file",
	} {
		a, err := file.New(file.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Probe(t.Context()); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the probe made files: %v, %v", entries, err)
	}
}
