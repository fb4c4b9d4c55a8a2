package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	defer s.Close()
	_, err := Open(dir)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), filepath.Join(dir, File)) {
		t.Errorf("the second Open: %v, want ErrLocked with the file's name", err)
	}
}

// TestDamagedFileIsRefused: whatever is wrong with it, the file stays as it is.
func TestDamagedFileIsRefused(t *testing.T) {
	sound := func(t *testing.T) []byte {
		s := openSpool(t, t.TempDir())
		for i := range 200 {
			appendEntries(t, s, fmt.Sprint("c", i), entry(i, "a"))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, damage := range map[string]func(t *testing.T, b []byte) []byte{
		"empty":   func(*testing.T, []byte) []byte { return nil },
		"garbage": func(*testing.T, []byte) []byte { return bytes.Repeat([]byte("no spool "), 10000) },
		"short":   func(*testing.T, []byte) []byte { return []byte("x") },
		"cut to the meta pages": func(t *testing.T, b []byte) []byte {
			return b[:2*os.Getpagesize()]
		},
		"cut in half": func(t *testing.T, b []byte) []byte { return b[:len(b)/2/os.Getpagesize()*os.Getpagesize()] },
		"zeroed pages": func(t *testing.T, b []byte) []byte {
			clear(b[2*os.Getpagesize():])
			return b
		},
		"random pages": func(t *testing.T, b []byte) []byte {
			r := rand.New(rand.NewPCG(1, 2))
			for i := range b[2*os.Getpagesize():] {
				b[2*os.Getpagesize()+i] = byte(r.Uint32())
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, File)
			before := damage(t, sound(t))
			if err := os.WriteFile(path, before, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir)
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move the file away") {
				t.Errorf("Open: %v, want ErrCorrupt, the file's name and what to do", err)
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

// TestAnotherVersion: the file is sound, and must not be called damaged.
func TestAnotherVersion(t *testing.T) {
	s := openSpool(t, t.TempDir())
	err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyVersion, []byte("0")) })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Dir(s.path)); !errors.Is(err, ErrVersion) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), s.path) {
		t.Errorf("Open: %v, want ErrVersion and the file's name", err)
	}
}

// smallDisk is a file system of that many MiB.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Fatalf("mount a small file system, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestReadOnlyDisk: that is no damage, and must not be called so.
func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, 16)
	if err := openSpool(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, unix.EROFS) || errors.Is(err, ErrCorrupt) {
		t.Errorf("Open: %v, want EROFS", err)
	}
}

// TestFullDisk: when nothing more can be appended, what is there can still be
// taken out, in order, and then there is room again.
func TestFullDisk(t *testing.T) {
	s := openSpool(t, smallDisk(t, 12))
	defer s.Close()
	fill := func() (appended int) {
		for {
			var entries []Routed
			for range 100 {
				e := entry(appended+len(entries), "a", "b")
				e.Record = journal.NewRecord(e.Record.Cursor(), time.Now(), 0,
					journal.Field{Name: "MESSAGE", Value: fmt.Appendf(nil, "X: message %d %s", appended+len(entries), bytes.Repeat([]byte("x"), 500))})
				entries = append(entries, e)
			}
			_, err := s.Append("journal", fmt.Sprint(appended), entries, nil)
			if errors.Is(err, syscall.ENOSPC) {
				return appended
			}
			if err != nil {
				t.Fatal(err)
			}
			appended += len(entries)
		}
	}
	appended := fill()
	if appended < 1000 {
		t.Fatalf("only %d deliveries fit", appended)
	}
	for _, name := range []string{"a", "b"} {
		q := s.Queue(name)
		for n := range appended {
			batch := peek(t, q, 1)
			if want := fmt.Sprintf("message %d ", n); len(batch) != 1 || !strings.HasPrefix(batch[0].Text(), want) {
				t.Fatalf("queue %s has %.20q, want %q", name, texts(batch), want)
			}
			settle(t, q, batch, Accepted)
		}
	}
	if again := fill(); again < appended/2 {
		t.Errorf("after it was emptied %d deliveries fit, before %d", again, appended)
	}
}

func TestUnwritableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "state")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Open: %v, want an error with the path", err)
	}
	if _, err := OpenExisting(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenExisting of nothing: %v, want ErrNotExist", err)
	}
}
