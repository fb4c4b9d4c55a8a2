package sdjournal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// lostEnd makes a file of two entries of an earlier boot, and that many more, which a
// power cut then takes away. It returns the position of one who has read them all.
func lostEnd(t *testing.T, file string, o sdjournal.Options, lost int) (position string) {
	t.Helper()
	journaltest.ForgeFile(t, file, slices.Values([]journaltest.Entry{at(journaltest.Boot1, 0, "a"), at(journaltest.Boot1, 1, "b")}))
	synced, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var gone []journaltest.Entry
	for i := range lost {
		gone = append(gone, at(journaltest.Boot1, 2+5*i, "gone"))
	}
	journaltest.ForgeFile(t, file, slices.Values(gone))
	o.Start = journal.Beginning
	r := open(t, o)
	drain(t, r)
	position = cursor(t, r)
	if err := os.WriteFile(file, synced, 0o640); err != nil {
		t.Fatal(err)
	}
	return position
}

// After a power cut the journal may end before the saved position, and the numbers that
// the lost entries had are given once more. All that comes then is read, and nothing
// else, also where the clock is behind at the next boot.
func TestPositionAheadOfJournal(t *testing.T) {
	for _, next := range []struct {
		name    string
		boot    string // "": the running one, in a namespace; else in a directory
		seconds int
	}{
		{"same boot", journaltest.Boot1, 60},
		{"next boot", journaltest.Boot2, 60},
		{"next boot, clock behind", journaltest.Boot2, 3},
		{"running boot", "", 60},
		{"running boot, clock behind", "", 3},
	} {
		for _, lost := range []int{1, 5} {
			for _, fresh := range []int{1, 5, 6} {
				t.Run(fmt.Sprintf("%s, %d lost, %d new", next.name, lost, fresh), func(t *testing.T) {
					boot, dir, o := next.boot, t.TempDir(), sdjournal.Options{}
					if boot == "" {
						boot = thisBoot(t)
						o.Namespace, dir = emptyNamespace(t)
					} else {
						o.Directory = dir
					}
					file := filepath.Join(dir, "system.journal")
					o.After = lostEnd(t, file, o, lost)
					var entries []journaltest.Entry
					var want []string
					for i := range fresh {
						e := at(boot, next.seconds+i, fmt.Sprint("new ", i))
						if boot != journaltest.Boot1 {
							e.Monotonic = time.Duration(i) * time.Second
						}
						entries, want = append(entries, e), append(want, fmt.Sprint("new ", i))
					}
					journaltest.ForgeFile(t, file, slices.Values(entries))
					var gaps []journal.Gap
					o.OnGap = func(g journal.Gap) { gaps = append(gaps, g) }
					r := open(t, o)
					got := append(drain(t, r), drain(t, r)...)
					check(t, "read", got, want)
					if len(gaps) != 1 || !gaps[0].Until.Equal(entries[0].Time) || gaps[0].Entries != 0 {
						t.Errorf("gaps = %+v; want one until %v", gaps, entries[0].Time)
					}
					o.After = cursor(t, r)
					check(t, "read after a restart", drain(t, open(t, o)), []string(nil))
				})
			}
		}
	}
}

// Nothing may have been logged yet when the journal is opened.
func TestJournalEndsBeforePosition(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "system.journal")
	saved := lostEnd(t, file, sdjournal.Options{Directory: dir}, 3)
	var gaps []journal.Gap
	r := open(t, sdjournal.Options{Directory: dir, After: saved, OnGap: func(g journal.Gap) { gaps = append(gaps, g) }})
	check(t, "read", drain(t, r), []string(nil))
	check(t, "position", cursor(t, r), saved)
	journaltest.ForgeFile(t, file, slices.Values([]journaltest.Entry{at(journaltest.Boot2, 60, "c"), at(journaltest.Boot2, 61, "d")}))
	check(t, "followed", follow(t, r, 2), []string{"c", "d"})
	if len(gaps) != 1 || !gaps[0].Until.Equal(noon.Add(time.Minute)) {
		t.Errorf("gaps = %+v; want one until the first new entry", gaps)
	}
}
