package sdjournal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// TestNoIndexOfDamagedFile: where the index of a wanted value is damaged, entries are
// scanned: none is lost but what is damaged itself, and that is told of.
func TestNoIndexOfDamagedFile(t *testing.T) {
	const count = 6000
	zeros := make([]byte, 64)
	tests := []struct {
		name  string
		do    func(f *journalFile, value object)
		lost  int  // entries that are damaged themselves
		index bool // it is used
	}{
		{name: "none", index: true},
		{name: "array's header", do: func(f *journalFile, v object) { f.write(f.arraysOf(v)[3], zeros[:16]...) }},
		{name: "array's items", do: func(f *journalFile, v object) { f.write(f.arraysOf(v)[3]+24, zeros...) }},
		{name: "array's last items", do: func(f *journalFile, v object) {
			array := f.arraysOf(v)[3]
			f.write(array+f.u64(array+8)-64, zeros...)
		}},
		{name: "array's link", do: func(f *journalFile, v object) { f.write(f.arraysOf(v)[3]+16, zeros[:8]...) }},
		{name: "array's link to an earlier one", do: func(f *journalFile, v object) {
			f.write(f.arraysOf(v)[3]+16, f.data[v.at+48:v.at+56]...)
		}},
		{name: "order of the items", do: func(f *journalFile, v object) {
			array := f.arraysOf(v)[3]
			f.write(array+24, f.data[array+56:array+64]...)
		}},
		{name: "value's link to its arrays", do: func(f *journalFile, v object) { f.write(v.at+48, zeros[:8]...) }},
		{name: "value's count", do: func(f *journalFile, v object) { f.write(v.at+56, 100, 0) }},
		{name: "value's hash", do: func(f *journalFile, v object) { f.write(v.at+16, zeros[:8]...) }},
		{name: "hash table", do: func(f *journalFile, v object) { f.write(f.bucket(v), zeros[:16]...) }},
		{name: "first entry of an array", lost: 1, do: func(f *journalFile, v object) { f.write(f.item(f.arraysOf(v)[4], 0), zeros[:16]...) }},
		{name: "last entry of an array", lost: 1, do: func(f *journalFile, v object) { f.write(f.item(f.arraysOf(v)[3], -1), zeros[:16]...) }},
		{name: "time in the last entry of an array", lost: 1, do: func(f *journalFile, v object) { f.write(f.item(f.arraysOf(v)[3], -1)+24, zeros[:8]...) }},
		{name: "entry in an array", lost: 1, do: func(f *journalFile, v object) { f.write(f.item(f.arraysOf(v)[4], 3), zeros[:16]...) }},
		{name: "number of an entry in an array", lost: 1, do: func(f *journalFile, v object) { f.write(f.item(f.arraysOf(v)[4], 30)+16, zeros[:8]...) }},
		{name: "entry that is not wanted", index: true, do: func(f *journalFile, v object) { f.write(f.entry("3001").at, zeros[:16]...) }},
		{name: "link of the boot's arrays", do: func(f *journalFile, v object) {
			f.write(f.arraysOf(f.value("_BOOT_ID=" + journaltest.Boot1))[3]+16, zeros[:8]...)
		}},
	}
	for _, compact := range []string{"0", "1"} {
		t.Setenv("SYSTEMD_JOURNAL_COMPACT", compact)
		var entries []journaltest.Entry
		var all []string
		for i := range count {
			e := at(journaltest.Boot1, i, fmt.Sprint(i))
			kind := fmt.Sprint("noise ", i%7)
			if i%20 == 0 {
				kind = "wanted"
				all = append(all, fmt.Sprint(i))
			}
			e.Fields = append(e.Fields, journaltest.Fields("KIND", kind)...)
			entries = append(entries, e)
		}
		forged := fileWith(t, journaltest.Forge(t, entries...), "0")
		for i := range 2 * len(tests) {
			// Some at a time, or more than there are.
			tt, few := tests[i/2], i%2 == 0
			t.Run(fmt.Sprintf("%s, compact %s, few %v", tt.name, compact, few), func(t *testing.T) {
				if few {
					defer sdjournal.SetAtOnce(7)()
				}
				dir := t.TempDir()
				f := *forged
				f.path = filepath.Join(dir, "damaged.journal")
				if err := os.WriteFile(f.path, f.data, 0o644); err != nil {
					t.Fatal(err)
				}
				if tt.do != nil {
					tt.do(&f, f.value("KIND=wanted"))
				}
				var told damages
				r := openWanted(t, sdjournal.Options{Directory: dir, After: journal.Head, OnDamage: told.add})
				var got []string
				indexed := false
				for {
					m, err := step(t, r)
					if err != nil {
						break
					}
					got = append(got, m)
					indexed = indexed || r.Indexed()
				}
				cursor(t, r)
				want := slices.DeleteFunc(slices.Clone(all), func(m string) bool { return tt.lost > 0 && !slices.Contains(got, m) })
				if len(want) != len(all)-tt.lost || !slices.Equal(got, want) {
					t.Errorf("read %d entries; want %d", len(got), len(all)-tt.lost)
				}
				if !few || tt.lost == 0 {
					check(t, "the index was used", indexed, tt.index)
				}
				check(t, "damaged entries", told.entries(), tt.lost)
			})
		}
	}
}

// TestDamageWhileIndexed: where an entry is damaged once the index is in use,
// libsystemd drops the file when it comes to it. Nothing else is lost, and nothing
// comes twice.
func TestDamageWhileIndexed(t *testing.T) {
	const count = 6000
	var entries []journaltest.Entry
	for i := range count {
		e := at(journaltest.Boot1, i, fmt.Sprint(i))
		e.Fields = append(e.Fields, journaltest.Fields("KIND", []string{"wanted", "noise"}[min(i%20, 1)])...)
		entries = append(entries, e)
	}
	defer sdjournal.SetAtOnce(7)()
	for _, victim := range []int{2000, 2020, 3000, 3980, 4000, 5960, 5980} {
		dir := t.TempDir()
		first := 4000 // entries in the first of two files
		journaltest.ForgeFile(t, filepath.Join(dir, "a.journal"), slices.Values(entries[:first]))
		journaltest.ForgeFile(t, filepath.Join(dir, "b.journal"), slices.Values(entries[first:]))
		f := fileWith(t, dir, fmt.Sprint(victim))
		head := f.entry(fmt.Sprint(victim)).at
		var told damages
		r := openWanted(t, sdjournal.Options{Directory: dir, After: journal.Head, OnDamage: told.add})
		var got, want []string
		for i := 0; i < count; i += 20 {
			if i != victim {
				want = append(want, fmt.Sprint(i))
			}
		}
		for {
			m, err := step(t, r)
			if err != nil {
				break
			}
			if got = append(got, m); m == "1900" {
				if !r.Indexed() {
					t.Fatal("the index is not in use: this test tests nothing")
				}
				f.write(head, make([]byte, 16)...)
			}
			cursor(t, r)
		}
		cursor(t, r)
		check(t, fmt.Sprint("read around ", victim), got, want)
		if victim != 3980 && victim != 4000 { // the files are not numbered together
			check(t, fmt.Sprint("damaged entries at ", victim), told.entries(), 1)
		}
	}
}
