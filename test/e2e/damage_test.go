package e2e

import (
	"bytes"
	le "encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/journal/journaltest"
)

// dataAndEntry finds the message in a file of the directory, and returns where
// its data object is, and the first entry that has it
// (https://systemd.io/JOURNAL_FILE_FORMAT/).
func dataAndEntry(t *testing.T, dir, message string) (path string, data, entry int64) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		header := 64
		if compact := file[12]&16 != 0; compact {
			header = 72
		}
		if i := bytes.Index(file, []byte("MESSAGE="+message)); i >= 0 {
			return path, int64(i - header), int64(le.LittleEndian.Uint64(file[i-header+40:]))
		}
	}
	t.Fatalf("%s: no file has %q", dir, message)
	return "", 0, 0
}

func overwrite(t *testing.T, path string, at int64, b ...byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		defer f.Close()
		_, err = f.WriteAt(b, at)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Entries that cannot be read, in an archived file and in the active one, cost no
// others, and are told of once.
func TestDamagedJournal(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	hook := newHook(t)
	p := newProgramOn(t, fmt.Sprintf("namespace: %s, start: beginning", j.Namespace()), "")
	p.configure(fmt.Sprintf("actions: {hook: {webhook: {url: %q}, text: \"{{.Text}}\"}}\n"+
		"rules: [{name: all, prefix: 'WANT: ', actions: hook}]\n", hook.URL))
	var want []string
	for i := range 30 {
		message := fmt.Sprintf("WANT: %02d", i)
		j.Print(message)
		if i == 19 {
			j.Sync()
			j.Rotate()
		}
		if i%10 != 5 {
			want = append(want, fmt.Sprintf("%02d", i))
		}
	}
	j.Sync()
	for i := 5; i < 30; i += 10 {
		path, data, entry := dataAndEntry(t, j.Dir(), fmt.Sprintf("WANT: %02d", i))
		if i == 5 {
			overwrite(t, path, data+1, 7) // an unknown compression: reading it fails
		} else {
			overwrite(t, path, entry, make([]byte, 16)...) // passed over without a word
		}
	}

	p.startReady()
	waitFor(t, "the good entries", func() bool { return len(hook.received()) >= len(want) })
	waitFor(t, "the loss to be told of", func() bool { return p.says("could not be read") > 0 })
	p.stop()
	j.Print("WANT: 30")
	j.Sync()
	p.startReady()
	waitFor(t, "what was logged meanwhile", func() bool { return len(hook.received()) > len(want) })
	p.stop()
	if d := cmp.Diff(append(want, "30"), hook.received()); d != "" {
		t.Errorf("delivered (-want +got):\n%s", d)
	}
	if n := p.says("could not be read"); n != 1 || p.says("entries=3") != 1 {
		t.Errorf("damage was told of %d times; want once, of 3 entries", n)
	}
	if p.says("deleted before") > 0 || p.says("reading the journal failed") > 0 {
		t.Error("the log speaks of something else")
	}
}
