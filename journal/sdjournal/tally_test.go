package sdjournal_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// A sound journal is never told to be damaged, and loses nothing, whatever
// becomes of its files.
func TestNoDamageInSoundJournal(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Log("seed", seed)
		}
	}()
	j := journaltest.Start(t, journaltest.Options{Persistent: r.IntN(2) == 0})
	o := sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }}
	reader := open(t, o)
	var sent, read []string
	for range 60 {
		switch n := r.IntN(10); {
		case n < 3:
			for range 1 + r.IntN(30) {
				sent = append(sent, fmt.Sprint("line ", len(sent)))
				say(j, sent[len(sent)-1])
			}
			if r.IntN(2) == 0 {
				j.Sync()
			}
		case n < 4:
			j.Rotate()
		case n < 5:
			o.After = cursor(t, reader)
			reader = open(t, o)
		case n < 6:
			if err := reader.Process(); err != nil {
				t.Fatal(err)
			}
		case n < 7:
			reader.Wait(timeout(t, time.Millisecond))
		case n < 8:
			cursor(t, reader)
		default:
			for range r.IntN(60) {
				e, err := reader.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if e == nil {
					continue
				}
				if m, ok := message(e); ok {
					read = append(read, m)
				}
			}
		}
	}
	j.Sync()
	read = append(read, follow(t, reader, len(sent)-len(read))...)
	cursor(t, reader)
	check(t, "read", read, sent)
}

// The reader of entries without a machine id passes over what a machine uploads late,
// which is the machine's reader's to tell of. That is no damage.
func TestNoDamageBetweenMachines(t *testing.T) {
	orphans := func(t *testing.T, dir string) *sdjournal.Reader {
		return open(t, sdjournal.Options{
			Directory: dir, Machine: sdjournal.NoMachine, Start: journal.Beginning,
			OnGap: noGap(t), OnDamage: func(d journal.Damage) { t.Errorf("damage %+v", d) },
		})
	}
	t.Run("late", func(t *testing.T) {
		dir := t.TempDir()
		upload(t, dir, "web", from(web, "web", 0, 2))
		upload(t, dir, "db", from(db, "db", -10, 2))
		r := orphans(t, dir)
		drain(t, r)
		cursor(t, r)
		upload(t, dir, "db", from(db, "db", 100, 1))
		drain(t, r)
		upload(t, dir, "web", from(web, "web", 50, 10))
		drain(t, r)
		upload(t, dir, "web", from(web, "web", 200, 1))
		drain(t, r)
		cursor(t, r)
	})
	t.Run("a file that is not there yet", func(t *testing.T) {
		j := journaltest.Start(t, journaltest.Options{})
		for i := range 3 {
			say(j, numbers(10*i, 10*i+9)...)
			j.Sync()
			j.Rotate()
		}
		files := archived(t, j)
		if len(files) != 3 {
			t.Fatalf("files %q; want 3", files)
		}
		dir := t.TempDir()
		copyFile := func(path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			aside := filepath.Join(t.TempDir(), "aside")
			if err := os.WriteFile(aside, data, 0o644); err != nil {
				t.Fatal(err)
			}
			rename(t, aside, filepath.Join(dir, filepath.Base(path)))
		}
		copyFile(files[0])
		r := orphans(t, dir)
		drain(t, r)
		cursor(t, r)
		copyFile(files[2])
		if err := r.Process(); err != nil {
			t.Fatal(err)
		}
		drain(t, r)
	})
}
