package join_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/join"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// TestLinesOfJournald: what services write is read as they wrote it, whatever
// journald makes of it.
func TestLinesOfJournald(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	shop, cart := stream(t, j, "shop"), stream(t, j, "cart")
	long, longer := text("shop", 100<<10), text("shop", 1<<20)
	other := text("cart", 200<<10)

	write(t, j, shop, "short\n"+long+"\nshort again\n")
	write(t, j, shop, longer[:300_000])
	write(t, j, cart, other[:100_000])
	say(j, "meanwhile")
	write(t, j, shop, longer[300_000:]+"\n")
	write(t, j, cart, other[100_000:]+"\n")
	write(t, j, shop, "\xff\xfe"+long+"\x00"+long[:50_000])
	shop.Close()
	j.Sync()

	r := open(t, join.Options{Open: namespace(j, false)})
	got := read(t, r, nil)
	want := []string{
		"shop short", "shop " + sum(long), "shop short again", "meanwhile", "shop " + sum(longer), "cart " + sum(other),
		"shop " + sum("\xff\xfe"+long) + " nul", "shop " + sum(long[:50_000]) + " eof",
	}
	check(t, want, got)
}

// TestJoinedEntry: the entry is the first part's but for its message and its
// ending.
func TestJoinedEntry(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{Config: []string{"LineMax=100"}})
	shop := stream(t, j, "shop")
	line := text("shop", 250)
	write(t, j, shop, "<3>"+line)
	shop.Close()
	j.Sync()

	parts, err := namespace(j, false)("", false)
	if err != nil {
		t.Fatal(err)
	}
	defer parts.Close()
	first, joined := longest(t, parts), longest(t, open(t, join.Options{Open: namespace(j, false)}))
	var want []journal.Field
	for name, value := range first.Fields() {
		switch string(name) {
		case "MESSAGE":
			value = []byte(line)
		case "_LINE_BREAK":
			value = []byte("eof")
		}
		want = append(want, journal.Field{Name: string(name), Value: value})
	}
	if d := cmp.Diff(journal.NewRecord(first.Cursor(), first.Time(), first.Monotonic(), want...).AppendJSON(nil), joined.AppendJSON(nil)); d != "" {
		t.Errorf("the entry (-want +got):\n%s", d)
	}
	if p, _ := joined.Get("PRIORITY"); string(p) != "3" {
		t.Errorf("PRIORITY %q, want that of the first part, 3", p)
	}
}

// longest is the first one of the entries that have the longest message.
func longest(t *testing.T, r journal.Reader) (longest journal.Record) {
	t.Helper()
	size := 0
	for {
		e, err := r.Next()
		if err == io.EOF {
			return longest
		}
		if err != nil {
			t.Fatal(err)
		}
		record, err := e.Record()
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := record.Get("MESSAGE"); len(m) > size && strings.HasPrefix(string(m), "shop") {
			longest, size = record, len(m)
		}
	}
}

// TestPIDChange: another process that goes on writing begins a line of its own,
// even where journald has nothing left to mark.
func TestPIDChange(t *testing.T) {
	for _, row := range []struct {
		name string
		size int
		want string
	}{
		{"in the middle of a part", 150, " pid-change"},
		{"between two parts", 200, " line-max"},
	} {
		t.Run(row.name, func(t *testing.T) {
			j := journaltest.Start(t, journaltest.Options{Config: []string{"LineMax=100"}})
			shop := stream(t, j, "shop")
			line := text("shop", row.size)
			write(t, j, shop, line)
			child := exec.Command("echo", "-n", text("child", 150))
			child.Stdout = shop
			if err := child.Run(); err != nil {
				t.Fatal(err)
			}
			shop.Close()
			j.Sync()
			r := open(t, join.Options{Open: namespace(j, false)})
			check(t, []string{"shop " + sum(line) + row.want, "shop " + sum(text("child", 150)) + " eof"}, read(t, r, nil))
		})
	}
}

// TestFollow: a line comes when its last part does, and the rest meanwhile.
func TestFollow(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{Config: []string{"LineMax=100"}})
	shop := stream(t, j, "shop")
	r := open(t, join.Options{Open: namespace(j, false)})
	line := text("shop", 330)
	var got []string
	for _, step := range []string{line[:120], line[120:130], line[130:310], line[310:] + "\n"} {
		write(t, j, shop, step)
		say(j, fmt.Sprint(len(step), " bytes"))
		j.Sync()
		got = append(got, read(t, r, nil)...)
	}
	check(t, []string{"120 bytes", "10 bytes", "180 bytes", "shop " + sum(line), "21 bytes"}, got)
}

// TestOnce: at the end, a line that is not finished comes as far as it is there.
func TestOnce(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{Config: []string{"LineMax=100"}})
	shop := stream(t, j, "shop")
	once := func(position string, _ bool) (journal.Reader, error) {
		return sdjournal.Open(sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, After: position, Once: true})
	}
	line := text("shop", 330)
	write(t, j, shop, line[:220])
	r := open(t, join.Options{Open: once})
	r.Keep(fields, journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "shop"}})
	check(t, []string{"shop " + sum(line[:200]) + " line-max"}, read(t, r, nil))
	position := cursor(t, r)
	write(t, j, shop, line[220:]+"\n")
	check(t, []string{"shop " + sum(line[200:])}, read(t, open(t, join.Options{Open: once, After: position}), nil))
}

// TestReload: a line is whole, whichever rules there were when it began.
func TestReload(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{Config: []string{"LineMax=100"}})
	shop := stream(t, j, "shop")
	line := text("shop", 330)
	for _, row := range []struct {
		name          string
		before, after journal.Sieve
	}{
		{"from an identifier to a prefix", journal.Sieve{{Field: "SYSLOG_IDENTIFIER", Op: journal.Equal, Text: "shop"}}, journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "shop"}}},
		{"from a prefix to an identifier", journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "x"}}, journal.Sieve{{Field: "SYSLOG_IDENTIFIER", Op: journal.Equal, Text: "cart"}}},
		{"from all to a prefix", nil, journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "x"}}},
		{"from a prefix to all", journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "x"}}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := open(t, join.Options{Open: namespace(j, false)})
			read(t, r, nil)
			r.Keep(fields, row.before)
			write(t, j, shop, line[:220])
			check(t, nil, read(t, r, nil))
			r.Keep(fields, row.after)
			write(t, j, shop, line[220:]+"\n")
			check(t, []string{"shop " + sum(line)}, read(t, r, nil))
		})
	}
}

// text is a line of that many bytes, no two parts of which are the same. It has no
// spaces, which journald drops at the end of a part.
func text(name string, size int) string {
	var b strings.Builder
	for n := 0; b.Len() < size; n++ {
		fmt.Fprintf(&b, "%s-%d,", name, n)
	}
	return b.String()[:size]
}

// sum is a short form of a long text.
func sum(text string) string {
	if len(text) < 100 {
		return text
	}
	return fmt.Sprintf("%.20q of %d bytes, %x", text, len(text), sha256.Sum256([]byte(text)))[:60]
}

func stream(t *testing.T, j *journaltest.T, identifier string) *os.File {
	t.Helper()
	f, err := j.Stdout(identifier)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	j.Sync() // see Client.Stdout
	return f
}

// say logs an entry that is in the journal before all that is logged later.
func say(j *journaltest.T, message string) {
	j.Print(message)
	j.Sync()
}

// write also waits until journald has it.
func write(t *testing.T, j *journaltest.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	j.Sync()
}

// namespace opens the journal of j. With steps its reader comes back without an
// entry after each one.
func namespace(j *journaltest.T, steps bool) func(string, bool) (journal.Reader, error) {
	return func(position string, _ bool) (journal.Reader, error) {
		r, err := sdjournal.Open(sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, After: position})
		if err != nil || !steps {
			return r, err
		}
		return &stepping{Reader: r}, nil
	}
}

type stepping struct {
	journal.Reader
	pause bool
}

func (s *stepping) Next() (journal.Entry, error) {
	if s.pause = !s.pause; !s.pause {
		return nil, nil
	}
	return s.Reader.Next()
}

func open(t *testing.T, o join.Options) *join.Reader {
	t.Helper()
	r, err := join.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	r.Keep(fields, nil)
	return r
}

var fields = []string{"MESSAGE", "SYSLOG_IDENTIFIER"}

// read reads to the end, and tells what came. journald's own messages are left
// out. step, if there is one, is called after each Next with what has come so far.
func read(t *testing.T, r journal.Reader, step func(got []string)) (got []string) {
	t.Helper()
	for {
		e, err := r.Next()
		if err == io.EOF || err == journal.ErrEnd {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if e != nil {
			if s := tell(t, e); s != "" {
				got = append(got, s)
			}
		}
		if step != nil {
			step(slices.Clip(got))
		}
	}
}

// tell is "IDENTIFIER MESSAGE ENDING", without what is not there.
func tell(t *testing.T, e journal.Entry) string {
	t.Helper()
	record, err := e.Record()
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, field := range []string{"SYSLOG_IDENTIFIER", "MESSAGE", "_LINE_BREAK"} {
		for _, v := range record.Values(nil, field) {
			words = append(words, sum(string(v)))
		}
		if kept, recorded := e.Values(nil, field), record.Values(nil, field); slices.Contains(fields, field) && !slices.EqualFunc(kept, recorded, bytes.Equal) {
			t.Errorf("%s is %q, and in the record %q", field, kept, recorded)
		}
	}
	if strings.HasPrefix(words[0], "systemd-journald") {
		return ""
	}
	return strings.Join(words, " ")
}

func check(t *testing.T, want, got []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
}
