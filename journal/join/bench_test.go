package join_test

import (
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/join"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// BenchmarkNext reads a journal in which no line is cut, with a rule that nothing
// matches: what it costs to look for such lines. Times are those of one entry.
func BenchmarkNext(b *testing.B) {
	const entries = 100_000
	dir := b.TempDir()
	journaltest.ForgeFile(b, filepath.Join(dir, "forged.journal"), func(yield func(journaltest.Entry) bool) {
		for n := range entries {
			e := journaltest.Entry{Time: noon.Add(time.Duration(n) * time.Millisecond), Monotonic: time.Duration(n) * time.Millisecond, Boot: journaltest.Boot1}
			e.Fields = journaltest.Fields("MESSAGE", fmt.Sprint("request ", n, " was served in good time"), "PRIORITY", "6",
				"SYSLOG_IDENTIFIER", "shop", "_TRANSPORT", "stdout", "_STREAM_ID", "5f0c1bbca58d4b6e8a4c1f1f1b9a7c11", "_PID", "4711",
				"_UID", "1000", "_GID", "1000", "_COMM", "shop", "_EXE", "/usr/bin/shop", "_CMDLINE", "/usr/bin/shop --serve",
				"_SYSTEMD_UNIT", "shop.service", "_SYSTEMD_CGROUP", "/system.slice/shop.service", "_HOSTNAME", "machine", "_BOOT_ID", journaltest.Boot1)
			if !yield(e) {
				return
			}
		}
	})
	parts := func(position string, _ bool) (journal.Reader, error) {
		return sdjournal.Open(sdjournal.Options{Directory: dir, After: position})
	}
	for _, row := range []struct {
		name  string
		sieve journal.Sieve
	}{
		{"all", nil},
		{"prefix", journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "X: "}}},
	} {
		for _, joined := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/joined=%v", row.name, joined), func(b *testing.B) {
				b.ReportAllocs()
				var values [][]byte
				for left := b.N; left > 0; left -= entries {
					open := func() (journal.Reader, error) { return parts(journal.Head, false) }
					if joined {
						open = func() (journal.Reader, error) {
							return join.Open(join.Options{Open: parts, After: journal.Head})
						}
					}
					r, err := open()
					if err != nil {
						b.Fatal(err)
					}
					r.Keep([]string{"MESSAGE"}, row.sieve)
					for {
						e, err := r.Next()
						if err == io.EOF {
							break
						}
						if err != nil {
							b.Fatal(err)
						}
						if e != nil {
							values = e.Values(values[:0], "MESSAGE")
						}
					}
					if err := r.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
