package journal_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
)

func TestCursorTime(t *testing.T) {
	const cursor = "s=57a306b31b084faba483926057da2665;i=16;b=8fc9eaf3491548e3a95e8005f449b1e1;m=7dd08009;t=660fd5fadda06;x=83935c4a1da687b1"
	if got, want := journal.CursorTime(cursor), time.UnixMicro(1795491208485382); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, position := range []string{"", journal.Head, "17", "t=", "t=x", "s=1;t=fffffffffffffffffff"} {
		if got := journal.CursorTime(position); !got.IsZero() {
			t.Errorf("%q: got %v, want none", position, got)
		}
	}
}

// TestShortCursor asks journalctl.
func TestShortCursor(t *testing.T) {
	var entries []journaltest.Entry
	for n := range 9 { // three in each microsecond, of two boots
		boot := journaltest.Boot1
		if n > 4 {
			boot = journaltest.Boot2
		}
		entries = append(entries, journaltest.Entry{
			Time: time.UnixMicro(1_700_000_000_000_000 + int64(n/3)), Boot: boot,
			Fields: journaltest.Fields("MESSAGE", fmt.Sprint("line ", n)),
		})
	}
	dir := journaltest.Forge(t, entries...)
	type entry struct {
		Cursor  string `json:"__CURSOR"`
		Message string `json:"MESSAGE"`
	}
	read := func(args ...string) (all []entry) {
		t.Helper()
		out, err := exec.Command("journalctl", append([]string{"--directory", dir, "--output=json", "--quiet"}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			var e entry
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		return all
	}
	all := read()
	if len(all) != len(entries) {
		t.Fatalf("%d of %d entries", len(all), len(entries))
	}
	for _, e := range all {
		short := journal.ShortCursor(e.Cursor)
		if len(short) > 70 {
			t.Errorf("%s is not short", short)
		}
		if got := read("--cursor="+short, "--lines=1"); len(got) != 1 || got[0] != e {
			t.Errorf("%s: %v, want %v", short, got, e)
		}
	}
	for _, other := range []string{"", "17", "s=1;i=2"} {
		if got := journal.ShortCursor(other); got != other {
			t.Errorf("%q became %q", other, got)
		}
	}
}
