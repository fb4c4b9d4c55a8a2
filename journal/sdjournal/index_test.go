package sdjournal_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// kinds forges numbered entries, of which every 20th is wanted.
func kinds(from, to int) (entries []journaltest.Entry) {
	for i := from; i < to; i++ {
		e := at(journaltest.Boot1, i, fmt.Sprint(i))
		e.Fields = append(e.Fields, journaltest.Fields("KIND", []string{"wanted", "noise"}[min(i%20, 1)])...)
		entries = append(entries, e)
	}
	return entries
}

// TestPositionBeforeChunk: what was read by the index, and not yet given out, lies after
// the position.
func TestPositionBeforeChunk(t *testing.T) {
	o := sdjournal.Options{Directory: journaltest.Forge(t, kinds(0, 6000)...), After: journal.Head}
	r := openWanted(t, o)
	next := 0
	looked := false
	for next < 6000 {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e != nil {
			next += 20
		} else if r.Indexed() && !looked {
			looked = true
			o.After = cursor(t, r)
			m, _ := step(t, openWanted(t, o))
			check(t, "read first after a restart", m, fmt.Sprint(next))
		}
	}
	if !looked {
		t.Fatal("the index was not in use: this test tests nothing")
	}
}

// TestKeepBeforeChunk: a new sieve costs nothing of what was read by the index, and not
// yet given out.
func TestKeepBeforeChunk(t *testing.T) {
	r := openWanted(t, sdjournal.Options{Directory: journaltest.Forge(t, kinds(0, 6000)...), After: journal.Head})
	next := 0
	for kept := false; next < 6000; {
		e, err := r.Next()
		if err != nil {
			t.Fatalf("want %d: %v", next, err)
		}
		if e != nil {
			if m, _ := message(e); m != fmt.Sprint(next) {
				t.Fatalf("read %s; want %d", m, next)
			}
			next += 20
		} else if r.Indexed() && !kept {
			kept = true
			r.Keep([]string{"TEST", "MESSAGE", "KIND"}, journal.Sieve{equal("KIND", "wanted")})
		}
	}
}

// TestMachineComesBeforeChunk: another machine's file that comes between costs nothing
// of what was read by the index.
func TestMachineComesBeforeChunk(t *testing.T) {
	dir := t.TempDir()
	var entries []journaltest.Entry
	for i, e := range from(web, "web", 0, 6000) {
		e.Fields = append(e.Fields, journaltest.Fields("KIND", []string{"wanted", "noise"}[min(i%20, 1)])...)
		entries = append(entries, e)
	}
	upload(t, dir, "web", entries)
	r := openMachines(t, sdjournal.Options{Directory: dir, After: journal.Head})
	r.Keep([]string{"TEST", "MESSAGE", "KIND"}, journal.Sieve{equal("KIND", "wanted")})
	var got []string
	nils := 0
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			if nils++; nils == 1 {
				upload(t, dir, "db", from(db, "db", 0, 3))
				if err := r.Process(); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		if m, _ := message(e); strings.HasPrefix(m, "web") {
			got = append(got, m)
		}
	}
	var want []string
	for i := 0; i < 6000; i += 20 {
		want = append(want, fmt.Sprint("web ", i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("read %d entries; want %d", len(got), len(want))
	}
}

// TestEmptiedWhileIndexed: when journald deletes a file it empties it, and libsystemd
// then drops it. That is told of.
func TestEmptiedWhileIndexed(t *testing.T) {
	defer sdjournal.SetAtOnce(7)()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.journal")
	journaltest.ForgeFile(t, path, slices.Values(kinds(0, 4000)))
	journaltest.ForgeFile(t, filepath.Join(dir, "b.journal"), slices.Values(kinds(4000, 8000)))
	var told damages
	gaps := 0
	r := openWanted(t, sdjournal.Options{Directory: dir, After: journal.Head, OnDamage: told.add, OnGap: func(journal.Gap) { gaps++ }})
	var got []string
	for {
		m, err := step(t, r)
		if err != nil {
			break
		}
		if got = append(got, m); m == "1900" {
			if !r.Indexed() {
				t.Fatal("the index is not in use: this test tests nothing")
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, info.Size()); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		cursor(t, r)
	}
	cursor(t, r)
	if len(got) == 400 {
		t.Fatal("nothing was lost: this test tests nothing")
	}
	if gaps == 0 && len(told) == 0 {
		t.Errorf("read %d of 400 entries; neither a gap nor damage was told of", len(got))
	}
}
