package main

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/journald-router/journald-router/journal/journaltest"
)

// units is how many units log; each has the same share of the entries.
const units = 20

// makeJournal forges the journal that everything is measured on, once: entries
// of 22 fields, one in a hundred with the prefix "SLACK: ", in rotated files.
func makeJournal(dir string, entries int) (string, error) {
	path := filepath.Join(dir, fmt.Sprintf("journal-%d", entries))
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	fmt.Fprintf(os.Stderr, "bench: making a journal of %d entries\n", entries)
	half := path + ".half-made"
	if err := os.RemoveAll(half); err != nil {
		return "", err
	}
	if err := os.MkdirAll(half, 0o755); err != nil {
		return "", err
	}
	if err := journaltest.WriteJournal(filepath.Join(half, "system.journal"), forged(entries)); err != nil {
		return "", err
	}
	return path, os.Rename(half, path)
}

func forged(n int) iter.Seq[journaltest.Entry] {
	return func(yield func(journaltest.Entry) bool) {
		random := rand.New(rand.NewPCG(1, 1))
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		at := time.Duration(0)
		for i := range n {
			at += time.Duration(1+random.IntN(1000)) * time.Microsecond
			unit := random.IntN(units)
			name := fmt.Sprintf("app%d", unit)
			size := 40 + random.IntN(360)
			if i%1000 == 999 {
				size = 20_000
			}
			message := fmt.Sprintf("%d %s", i, words(random, size))
			if i%100 == 0 {
				message = "SLACK: " + message
			}
			if !yield(journaltest.Entry{
				Time: start.Add(at), Monotonic: at, Boot: journaltest.Boot1,
				Fields: journaltest.Fields(
					"MESSAGE", message, "PRIORITY", fmt.Sprint(i%8), "SYSLOG_FACILITY", "3", "SYSLOG_IDENTIFIER", name,
					"_TRANSPORT", "stdout", "_STREAM_ID", fmt.Sprintf("%032x", unit+1), "_PID", fmt.Sprint(1000+unit),
					"_UID", "1000", "_GID", "1000", "_COMM", name, "_EXE", "/usr/bin/"+name,
					"_CMDLINE", "/usr/bin/"+name+" --serve", "_CAP_EFFECTIVE", "0", "_SELINUX_CONTEXT", "unconfined",
					"_SYSTEMD_CGROUP", "/system.slice/"+name+".service", "_SYSTEMD_UNIT", name+".service",
					"_SYSTEMD_SLICE", "system.slice", "_SYSTEMD_INVOCATION_ID", fmt.Sprintf("%032x", unit+100),
					"_MACHINE_ID", machine, "_HOSTNAME", "bench",
					"_SOURCE_REALTIME_TIMESTAMP", fmt.Sprint(start.Add(at).UnixMicro()-5),
				),
			}) {
				return
			}
		}
	}
}

// words is text of about that many bytes, which compresses as prose does.
func words(random *rand.Rand, size int) string {
	vocabulary := []string{"request", "served", "in", "the", "user", "order", "of", "has", "been", "cart", "GET", "/index", "200", "ms"}
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%s %x ", vocabulary[random.IntN(len(vocabulary))], random.IntN(1<<16))
	}
	return b.String()
}
