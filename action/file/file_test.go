package file_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/file"
	"github.com/journald-router/journald-router/journal"
	"golang.org/x/sys/unix"
)

func TestContract(t *testing.T) {
	actiontest.Run(t, actiontest.Harness{
		Destination: func(t *testing.T, mood actiontest.Mood) actiontest.Destination {
			dir := filepath.Join(t.TempDir(), "dir")
			path := filepath.Join(dir, "file")
			heal := func() {
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if mood == actiontest.Well {
				heal()
			}
			return actiontest.Destination{
				Action:   newAction(t, path),
				Accepted: func() []string { return readLines(t, path) },
				Heal:     heal,
			}
		},
		Cannot: map[actiontest.Mood]string{
			actiontest.Refusing: "whatever is wrong with a file, somebody can mend it, and then it takes every line",
			actiontest.Busy:     "a file system knows no time at which to come back",
			actiontest.Hanging:  "a write to a local disk ends; one that hangs in the kernel cannot be stopped by a program",
			actiontest.Echoing:  "a file system does not say what it was sent",
		},
		Repeat: "is a second line; both have the entry's __CURSOR",
	})
}

func newAction(t *testing.T, path string) *file.Action {
	t.Helper()
	a, err := file.New(file.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func deliver(t *testing.T, a *file.Action, texts ...string) {
	t.Helper()
	if err := a.Deliver(t.Context(), messages(texts...)); err != nil {
		t.Fatal(err)
	}
}

func messages(texts ...string) (batch []action.Message) {
	for _, s := range texts {
		batch = append(batch, action.Message{Text: s, Custom: true})
	}
	return batch
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	s, whole := strings.CutSuffix(read(t, path), "\n")
	if !whole {
		t.Errorf("the last line has no end")
	}
	return strings.Split(s, "\n")
}

func TestLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	record := journal.NewRecord("s=1", time.UnixMicro(2), 3*time.Microsecond,
		journal.Field{Name: "MESSAGE", Value: []byte("two\nlines")}, journal.Field{Name: "X", Value: []byte{0}})
	err := newAction(t, path).Deliver(t.Context(), []action.Message{
		{Text: "not this", Record: record},
		{Text: "two\nlines\r\x1b[0m \\n", Custom: true, Record: record},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"2","__MONOTONIC_TIMESTAMP":"3","MESSAGE":"two\nlines","X":[0]}` + "\n" +
		`two\nlines\r\x1b[0m \n` + "\n"
	if got := read(t, path); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !json.Valid([]byte(readLines(t, path)[0])) {
		t.Error("the first line is not JSON")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if other := info.Mode().Perm() & 0o027; other != 0 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestTornLineIsCut(t *testing.T) {
	const block = 64 << 10
	long := strings.Repeat("x", block)
	tests := []struct{ name, before, kept string }{
		{"no file", "", ""},
		{"whole lines", "one\ntwo\n", "one\ntwo\n"},
		{"torn", "one\ntwo\nthr", "one\ntwo\n"},
		{"torn first line", `{"__CURS`, ""},
		{"nothing but a line's end", "\n", "\n"},
		{"a hole at the end", "one\n\x00\x00\x00", "one\n"},
		{"torn line of a block", "one\n" + long, "one\n"},
		{"one byte less", "one\n" + long[1:], "one\n"},
		{"one byte more", "one\n" + long + "x", "one\n"},
		{"several blocks", "one\n" + long + long + long + "x", "one\n"},
		{"several blocks, no line", long + long + long + "x", ""},
		{"line's end at a block's first byte", long[1:] + "\n" + long, long[1:] + "\n"},
		{"line's end at a block's last byte", long + "\n" + long, long + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if tt.before != "" {
				if err := os.WriteFile(path, []byte(tt.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			deliver(t, newAction(t, path), "new")
			if got := read(t, path); got != tt.kept+"new\n" {
				t.Errorf("%d bytes, ends in %q; want %d, %q", len(got), got[max(len(got)-20, 0):], len(tt.kept)+4, tt.kept[max(len(tt.kept)-20, 0):])
			}
		})
	}
}

// TestDiskFull has the kernel cut writes short, as it does on a full disk or at a
// quota: with RLIMIT_FSIZE, a write gets as far as the limit, the next fails.
func TestDiskFull(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	path := filepath.Join(t.TempDir(), "file")
	a := newAction(t, path)
	deliver(t, a, "before")

	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		room uint64
	}{
		{"not a byte left", 7},
		{"the middle of the first line", 9},
		{"the middle of the second line", 15},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			small := unix.Rlimit{Cur: tt.room, Max: limit.Max}
			if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &small); err != nil {
				t.Fatal(err)
			}
			err := a.Deliver(t.Context(), messages("first", "second"))
			if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
				t.Fatal(err)
			}
			if err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v; want a temporary error that names the file", err)
			}
			if got := read(t, path); got != "before\n" {
				t.Errorf("the file has %q", got)
			}
		})
	}
	deliver(t, a, "first", "second")
	if got := read(t, path); got != "before\nfirst\nsecond\n" {
		t.Errorf("once there is room, the file has %q", got)
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	a := newAction(t, path)
	deliver(t, a, "one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	deliver(t, a, "two") // nobody has said yet that it should go on elsewhere
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	deliver(t, newAction(t, path), "three")
	if got := read(t, path+".1"); got != "one\ntwo\n" {
		t.Errorf("the old file has %q", got)
	}
	if got := read(t, path); got != "three\n" {
		t.Errorf("the new file has %q", got)
	}
}

func TestDeletedOrTruncatedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	a := newAction(t, path)
	deliver(t, a, "one")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	deliver(t, a, "two")
	if got := read(t, path); got != "two\n" {
		t.Errorf("after it was deleted the file has %q", got)
	}
	if err := os.Truncate(path, 0); err != nil { // logrotate's copytruncate
		t.Fatal(err)
	}
	deliver(t, a, "three")
	if got := read(t, path); got != "three\n" {
		t.Errorf("after it was truncated the file has %q", got)
	}
}

func TestTwoWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	first, second := newAction(t, path), newAction(t, path)
	deliver(t, first, "one")
	err := second.Deliver(t.Context(), messages("two"))
	if want := "lock file: " + path + " is in use by another action or another router"; err == nil || err.Error() != want || action.IsPermanent(err) {
		t.Errorf("%v, want %s", err, want)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	deliver(t, second, "two")
	if got := read(t, path); got != "one\ntwo\n" {
		t.Errorf("the file has %q", got)
	}
}

func TestFilesThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"directory", dir, "is a directory"},
		{"FIFO", fifo, "open file: " + fifo + " is not a regular file"},
		{"device", "/dev/null", "open file: /dev/null is not a regular file"},
		{"no directory", dir + "/no/file", "(make the directory: mkdir -p " + dir + "/no; the router must be able to write there)"},
		{"file for a directory", fifo + "/file", "not a directory"},
		{"kernel's", "/proc/sys/nope", "open file: "},
		{"endless link", loop, "too many levels of symbolic links"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := newAction(t, tt.path).Deliver(t.Context(), messages("line"))
			if err == nil || !strings.Contains(err.Error(), tt.want) || action.IsPermanent(err) {
				t.Errorf("%v; want a temporary error with %q", err, tt.want)
			}
		})
	}
}

// TestNoRight runs as a thread of an ordinary user's: root may write everywhere.
func TestNoRight(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	a := newAction(t, dir+"/file")
	var err error
	asNobody(t, func() { err = a.Deliver(t.Context(), messages("line")) })
	if err == nil || !strings.Contains(err.Error(), "ReadWritePaths="+dir) || action.IsPermanent(err) {
		t.Errorf("%v; want the remedy", err)
	}
}

// asNobody calls f without root's rights over files.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestBigBatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	a := newAction(t, path)
	var texts []string
	var want bytes.Buffer
	usual, _ := a.Batch()
	for i := range usual {
		texts = append(texts, fmt.Sprint("line ", i))
		fmt.Fprintf(&want, "line %d\n", i)
	}
	deliver(t, a, texts...)
	deliver(t, a, texts...)
	if diff := cmp.Diff(strings.Repeat(want.String(), 2), read(t, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfig(t *testing.T) {
	tests := []struct {
		path string
		want []string
	}{
		{"/var/log/router/growth.jsonl", nil},
		{"", []string{"path"}},
		{"growth.jsonl", []string{"path"}},
		{"./growth.jsonl", []string{"path"}},
		{"/var/log/", []string{"path"}},
		{"/var/\x00", []string{"path"}},
	}
	for _, tt := range tests {
		a, err := file.New(file.Config{Path: tt.path})
		if diff := cmp.Diff(tt.want, actiontest.RefusedKeys(t, err)); diff != "" || (a == nil) != (err != nil) {
			t.Errorf("%q: %v, %v\n%s", tt.path, a, err, diff)
		}
	}
}

// TestNewTouchesNothing: check and reload make actions that are never used.
func TestNewTouchesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := newAction(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file was made: %v", err)
	}
}
