package sdjournal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

func open(t *testing.T, o sdjournal.Options) *sdjournal.Reader {
	t.Helper()
	if o.OnDamage == nil {
		o.OnDamage = func(d journal.Damage) { t.Errorf("damage %+v", d) }
	}
	r, err := sdjournal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Keep([]string{"TEST", "MESSAGE"}, nil)
	return r
}

// test marks the entries that tests log, among those that journald logs itself.
var mark = journaltest.Fields("TEST", "1")[0]

func say(j *journaltest.T, messages ...string) {
	for _, m := range messages {
		j.Send(mark, journaltest.Fields("MESSAGE", m)[0])
	}
}

// message is the entry's, or false for an entry of journald's own.
func message(e journal.Entry) (string, bool) {
	if len(e.Values(nil, "TEST")) == 0 {
		return "", false
	}
	return string(e.Values(nil, "MESSAGE")[0]), true
}

// drain reads on until there is nothing more, and returns the messages.
func drain(t *testing.T, r journal.Reader) (messages []string) {
	t.Helper()
	for {
		e, err := r.Next()
		if err == io.EOF || err == journal.ErrEnd {
			return messages
		}
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			continue
		}
		if m, ok := message(e); ok {
			messages = append(messages, m)
		}
	}
}

// follow reads on, waiting where it must, until it has n messages.
func follow(t *testing.T, r journal.Reader, n int) (messages []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(messages) < n {
		e, err := r.Next()
		if err == io.EOF {
			if err := r.Wait(ctx); err != nil {
				t.Fatalf("have %d of %d messages: %v", len(messages), n, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			continue
		}
		if m, ok := message(e); ok {
			messages = append(messages, m)
		}
	}
	return messages
}

func cursor(t *testing.T, r journal.Reader) string {
	t.Helper()
	c, err := r.Cursor()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func check(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func numbers(from, to int) (s []string) {
	for i := from; i <= to; i++ {
		s = append(s, fmt.Sprint("line ", i))
	}
	return s
}

func TestFollow(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	say(j, "too early")
	j.Sync()
	r := open(t, sdjournal.Options{Namespace: j.Namespace()})
	check(t, "before anything is logged", drain(t, r), []string(nil))
	for i := range 10 {
		want := numbers(i*10+1, i*10+10)
		say(j, want...)
		check(t, "followed", follow(t, r, len(want)), want)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	r := open(t, sdjournal.Options{Namespace: j.Namespace()})
	drain(t, r)
	quickest := time.Hour
	for range 3 { // a busy machine may be slow once
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		begin := time.Now()
		if err := r.Wait(ctx); err != context.Canceled {
			t.Errorf("Wait = %v; want %v", err, context.Canceled)
		}
		quickest = min(quickest, time.Since(begin))
	}
	if quickest > 500*time.Millisecond {
		t.Errorf("Wait took %v to notice that its context was done", quickest)
	}
}

// The cursor stays on the entry that Next returned last, wherever Wait and
// Process go, and whatever becomes of the file.
func TestCursorStays(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	say(j, "one")
	j.Sync()
	r := open(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning})
	check(t, "read", drain(t, r), []string{"one"})
	want := cursor(t, r)
	j.Rotate()
	if err := r.Process(); err != nil {
		t.Fatal(err)
	}
	check(t, "cursor after rotation", cursor(t, r), want)
	say(j, "two")
	if err := r.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, "cursor after Wait", cursor(t, r), want)
	j.Sync()
	j.Rotate()
	if err := r.Process(); err != nil {
		t.Fatal(err)
	}
	check(t, "cursor after Wait and rotation", cursor(t, r), want)
	check(t, "read after Wait", follow(t, r, 1), []string{"two"})
	if cursor(t, r) == want {
		t.Error("the cursor has not moved with Next")
	}

	// Also where Wait is the first to find out that there is a cursor to keep.
	say(j, "three")
	follow(t, r, 1)
	say(j, "four")
	if err := r.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := open(t, sdjournal.Options{Namespace: j.Namespace(), After: cursor(t, r)})
	check(t, "read after the cursor", follow(t, again, 1), []string{"four"})
}

func TestRotationWhileFollowing(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	var gaps []journal.Gap
	r := open(t, sdjournal.Options{Namespace: j.Namespace(), OnGap: func(g journal.Gap) { gaps = append(gaps, g) }})
	var got, want []string
	for i := range 6 {
		lines := numbers(i*10+1, i*10+10)
		want = append(want, lines...)
		say(j, lines[:5]...)
		if i%2 == 0 {
			j.Sync() // else journald rotates before or after them
		}
		j.Rotate()
		say(j, lines[5:]...)
		got = append(got, follow(t, r, len(lines))...)
	}
	check(t, "followed", got, want)

	j.Vacuum(1)
	if len(openFiles(t, j.Dir())) == 0 {
		t.Fatal("no journal file is open: this test tests nothing")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(deleted(openFiles(t, j.Dir()))) > 0 {
		if _, err := r.Next(); err == io.EOF {
			err = r.Wait(timeout(t, 300*time.Millisecond))
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("deleted files are still open: %q", openFiles(t, j.Dir()))
		}
	}
	check(t, "gaps", gaps, []journal.Gap(nil))
}

func timeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// A reader that may not go on lets go of deleted files by Process alone, and
// tells of the entries that it lost with them.
func TestVacuumWhileBlocked(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	var gaps []journal.Gap
	r := open(t, sdjournal.Options{Namespace: j.Namespace(), OnGap: func(g journal.Gap) { gaps = append(gaps, g) }})
	say(j, "read")
	check(t, "followed", follow(t, r, 1), []string{"read"})
	last := cursor(t, r)
	at := time.Now()

	say(j, numbers(1, 10)...)
	j.Sync()
	j.Rotate()
	say(j, "left")
	j.Sync()
	j.Vacuum(1)
	if err := r.Process(); err != nil {
		t.Fatal(err)
	}
	check(t, "deleted files that are still open", deleted(openFiles(t, j.Dir())), []string(nil))
	check(t, "cursor", cursor(t, r), last)

	check(t, "read after the gap", follow(t, r, 1), []string{"left"})
	if len(gaps) != 1 || gaps[0].Entries < 10 || gaps[0].Entries > 20 || gaps[0].After.After(at) || !gaps[0].Until.After(at) {
		t.Errorf("gaps = %+v; want one of the ten lines and a few of journald's own, from before %v until after it", gaps, at)
	}
}

// openFiles returns the files below dir that this process has open or mapped.
func openFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if path, err := os.Readlink(fd); err == nil && strings.HasPrefix(path, dir+"/") {
			files = append(files, path)
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if i := strings.Index(line, dir+"/"); i >= 0 {
			files = append(files, strings.TrimSpace(line[i:]))
		}
	}
	return files
}

func deleted(files []string) (gone []string) {
	for _, f := range files {
		if strings.HasSuffix(f, " (deleted)") {
			gone = append(gone, f)
		}
	}
	return gone
}

func TestResume(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{Persistent: true})
	var gaps []journal.Gap
	o := sdjournal.Options{Namespace: j.Namespace(), OnGap: func(g journal.Gap) { gaps = append(gaps, g) }}

	// The position of a reader that has not read anything holds what is logged
	// after it was opened.
	o.After = cursor(t, open(t, o))
	say(j, "one", "two")
	j.Restart()
	say(j, "three")
	j.Sync()
	r := open(t, o)
	check(t, "cursor before the first Next", cursor(t, r), o.After)
	check(t, "read", follow(t, r, 2), []string{"one", "two"})

	// The start says nothing any more, and a rotated file is as good as another.
	o.After = cursor(t, r)
	o.Start = journal.Beginning
	j.Rotate()
	r = open(t, o)
	check(t, "read after rotation", drain(t, r), []string{"three"})

	// The journal's end is a position like any other.
	o.After = cursor(t, r)
	r = open(t, o)
	check(t, "read at the end", drain(t, r), []string(nil))
	say(j, "four")
	check(t, "followed", follow(t, r, 1), []string{"four"})
	check(t, "gaps", gaps, []journal.Gap(nil))
}

func TestResumeAfterVacuum(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	say(j, "read")
	j.Sync()
	r := open(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning})
	check(t, "read", drain(t, r), []string{"read"})
	saved := cursor(t, r)
	at := time.Now()
	say(j, "lost")
	j.Sync()
	j.Rotate()
	say(j, "left", "last")
	j.Sync()
	j.Vacuum(1)

	var gaps []journal.Gap
	o := sdjournal.Options{Namespace: j.Namespace(), After: saved, OnGap: func(g journal.Gap) { gaps = append(gaps, g) }}
	r = open(t, o)
	check(t, "cursor before the first Next", cursor(t, r), saved)
	check(t, "read", drain(t, r), []string{"left", "last"})
	if len(gaps) != 1 || gaps[0].Entries == 0 || gaps[0].After.After(at) || gaps[0].After.IsZero() || !gaps[0].Until.After(at) {
		t.Errorf("gaps = %+v; want one, from before %v until after it", gaps, at)
	}

	// Once the reader has gone on, its position is there again.
	gaps, o.After = nil, cursor(t, r)
	check(t, "read again", drain(t, open(t, o)), []string(nil))
	check(t, "gaps", gaps, []journal.Gap(nil))
}

// Where the entries that were deleted had all been read, there is no gap.
func TestResumeAfterVacuumOfWhatWasRead(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	say(j, "read")
	j.Sync()
	r := open(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning})
	drain(t, r)
	j.Rotate() // journald logs that it has rotated in neither file
	saved := func() string { drain(t, r); return cursor(t, r) }()
	say(j, "left")
	j.Sync()
	j.Vacuum(1)
	r = open(t, sdjournal.Options{Namespace: j.Namespace(), After: saved, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }})
	check(t, "read", drain(t, r), []string{"left"})
}

func TestRepeatedBinaryAndLargeFields(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	large := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16) // 1 MiB, and compresses
	binary := []byte("a\x00b\nc\xff=\x01")
	sent := []journal.Field{
		{Name: "MESSAGE", Value: []byte("one")}, {Name: "OTHER", Value: []byte("x")},
		{Name: "MESSAGE", Value: []byte("two")}, {Name: "BINARY", Value: binary},
		{Name: "EMPTY"}, {Name: "LARGE", Value: large}, {Name: "MESSAGEX", Value: []byte("y")},
		{Name: "MESSAGE", Value: []byte("three")},
	}
	r := open(t, sdjournal.Options{Namespace: j.Namespace()})
	r.Keep([]string{"LARGE", "MESSAGE", "ABSENT", "BINARY", "EMPTY"}, nil)
	before := time.Now().Truncate(time.Microsecond)
	j.Send(sent...)
	j.Sync()
	e, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if at := e.Time(); at.Before(before) || at.After(time.Now()) {
		t.Errorf("Time = %v; want one between %v and now", at, before)
	}

	values := func(e journal.Entry, field string) (s []string) {
		for _, v := range e.Values(nil, field) {
			s = append(s, string(v))
		}
		return s
	}
	for field, want := range map[string][]string{
		"MESSAGE": {"one", "two", "three"},
		"BINARY":  {string(binary)},
		"LARGE":   {string(large)},
		"EMPTY":   {""},
		"ABSENT":  nil,
	} {
		got := values(e, field)
		slices.Sort(got) // the journal's order is that of its file
		slices.Sort(want)
		check(t, field, got, want)
	}
	check(t, "OTHER, not kept", values(e, "OTHER"), []string(nil))
	check(t, "appended", e.Values([][]byte{[]byte("given")}, "BINARY"), [][]byte{[]byte("given"), binary})

	record, err := e.Record()
	if err != nil {
		t.Fatal(err)
	}
	check(t, "the record's cursor", record.Cursor(), cursor(t, r))
	check(t, "the record's time", record.Time(), e.Time())
	if record.Monotonic() <= 0 {
		t.Errorf("Monotonic = %v", record.Monotonic())
	}
	if boot, _ := record.Get("_BOOT_ID"); len(boot) != 32 {
		t.Errorf("_BOOT_ID = %q", boot)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatal(err)
	}
	for _, field := range []string{"MESSAGE", "BINARY", "LARGE", "EMPTY", "OTHER", "MESSAGEX"} {
		var want []string
		for _, f := range sent {
			if f.Name == field {
				want = append(want, string(f.Value))
			}
		}
		got := values(record, field)
		slices.Sort(got)
		slices.Sort(want)
		check(t, "the record's "+field, got, want)
	}
}

func TestKeepNothing(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	r := open(t, sdjournal.Options{Namespace: j.Namespace()})
	j.Print("hello")
	j.Sync()
	r.Keep(nil, nil)
	e, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	check(t, "values", e.Values(nil, "MESSAGE"), [][]byte(nil))
	record, err := e.Record()
	if m, _ := record.Get("MESSAGE"); string(m) != "hello" || err != nil {
		t.Errorf("record %v, error %v; want the whole entry", record, err)
	}
}

func TestOnce(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	say(j, "one", "two")
	j.Sync()
	o := sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, Once: true}
	r := open(t, o)
	say(j, "later")
	j.Sync()
	check(t, "read", drain(t, r), []string{"one", "two"})
	if _, err := r.Next(); err != journal.ErrEnd {
		t.Errorf("Next after the end = %v; want %v", err, journal.ErrEnd)
	}

	o.After = cursor(t, r)
	r = open(t, o)
	check(t, "read the next time", drain(t, r), []string{"later"})

	o.After = cursor(t, r)
	r = open(t, o)
	say(j, "later still")
	j.Sync()
	check(t, "read where there was nothing", drain(t, r), []string(nil))

	o.After, o.Start = "", journal.End
	r = open(t, o)
	say(j, "even later")
	j.Sync()
	check(t, "read from the end", drain(t, r), []string(nil))
}
