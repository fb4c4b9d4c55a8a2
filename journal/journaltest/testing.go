package journaltest

import (
	"iter"
	"path/filepath"
	"slices"
	"testing"

	"github.com/journald-router/journald-router/journal"
)

// A T is a private journald whose failures fail the test.
type T struct {
	*Journald
	t testing.TB
}

// Start starts a private journald for the test, and removes it at its end.
// Where it cannot be started the test fails, and says what to install.
func Start(t testing.TB, o Options) *T {
	t.Helper()
	j, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return &T{j, t}
}

func (j *T) must(err error) {
	j.t.Helper()
	if err != nil {
		j.t.Fatal(err)
	}
}

// Send is Journald.Send. To have it in the journal at once: Sync.
func (j *T) Send(fields ...journal.Field) {
	j.t.Helper()
	j.must(j.Journald.Send(fields...))
}

// Print logs entries with these messages.
func (j *T) Print(messages ...string) {
	j.t.Helper()
	for _, m := range messages {
		j.must(j.Journald.Print(m))
	}
}

// Sync is Journald.Sync.
func (j *T) Sync() {
	j.t.Helper()
	j.must(j.Journald.Sync())
}

// Rotate is Journald.Rotate.
func (j *T) Rotate() {
	j.t.Helper()
	j.must(j.Journald.Rotate())
}

// Vacuum is Journald.Vacuum.
func (j *T) Vacuum(n int) {
	j.t.Helper()
	j.must(j.Journald.Vacuum(n))
}

// Restart is Journald.Restart.
func (j *T) Restart() {
	j.t.Helper()
	j.must(j.Journald.Restart())
}

// Forge returns a directory with a journal of these entries.
func Forge(t testing.TB, entries ...Entry) (dir string) {
	t.Helper()
	dir = t.TempDir()
	ForgeFile(t, filepath.Join(dir, "forged.journal"), slices.Values(entries))
	return dir
}

// ForgeFile is WriteJournal.
func ForgeFile(t testing.TB, path string, entries iter.Seq[Entry]) {
	t.Helper()
	if err := WriteJournal(path, entries); err != nil {
		t.Fatal(err)
	}
}
