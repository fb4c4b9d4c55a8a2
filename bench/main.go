// Bench measures the built program, and prints a table: each row is a case, what
// was reached, and what it was compared with in the same run. The compared
// programs take turns, and the medians count, so that a noisy machine harms
// them alike.
//
//	bench [-entries 1000000] [-rounds 5] [-only NAME] DIRECTORY
//
// DIRECTORY holds journald-router; the journal and what is built for comparing
// go there too. It takes root: rows need a private journald, and mounts that only
// rsyslogd sees.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	entries := flag.Int("entries", 1_000_000, "`N`umber of entries in the journal")
	rounds := flag.Int("rounds", 5, "how many `TIMES` each program runs")
	only := flag.String("only", "", "just the rows whose name holds `TEXT`")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *entries, *rounds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the program.
type bench struct {
	dir, journal, router, loop string
	entries, rounds            int
}

// A row is one line of the table.
type row struct {
	name    string
	measure func(*bench) (reached, compared, want string, err error)
}

var rows = []row{
	{"scan for a MESSAGE prefix, the reader and the rules alone", (*bench).scan},
	{"50 rules", (*bench).fiftyRules},
	{"every rule pinned to a field, 1 unit of 20, the reader alone, MESSAGE read", (*bench).pinned},
	{"the same, and all fields of the unit's entries", (*bench).pinnedWhole},
	{"the whole program, run --once, 1 % matching, file action", (*bench).wholeProgram},
	{"every entry matches, all fields, file action", (*bench).everything},
	{"every entry appended for three actions and settled, the spool alone", (*bench).spoolAlone},
	{"every entry delivered to three file actions", (*bench).thrice},
	{"every entry mailed, digests of 500 over TLS to a local server, email action", (*bench).email},
	{"every entry published to NATS JetStream, run --once, nats action", (*bench).nats},
	{"every entry inserted into PostgreSQL, run --once, sql action", (*bench).postgres},
	{"every entry inserted into SQLite, run --once, sql action", (*bench).sqlite},
	{"every entry uploaded to S3, run --once, s3 action, batched NDJSON, zstd", (*bench).s3},
	{"every entry counted in a counter and a histogram with labels, run --once, metrics action", (*bench).metrics},
	{"a destination that is down, every entry queued", (*bench).down},
	{"emit.Send, three fields", (*bench).emitSend},
	{"emit.Send by 16 goroutines, journald stopped", (*bench).emitStopped},
	{"emit.Send, 100,000 lines/s into a real journald", (*bench).emitSustained},
	{"journalctl -o json piped into Python", (*bench).python},
	{"rsyslog, imjournal, the same filter into a file", (*bench).rsyslog},
	{"idle", (*bench).idle},
	{"from the write to the action's call, 10 lines/s", (*bench).latency},
}

func run(dir string, entries, rounds int, only string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	b := &bench{dir: dir, router: filepath.Join(dir, "journald-router"), loop: filepath.Join(dir, "bench-loop"), entries: entries, rounds: rounds}
	if b.journal, err = makeJournal(dir, entries); err != nil {
		return err
	}
	if _, err := command("gcc", "-O2", "-o", b.loop, "bench/loop/loop.c", "-lsystemd"); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| case\t| reached\t| compared with\t| wanted\t|")
	fmt.Fprintln(w, "|---\t|---\t|---\t|---\t|")
	for _, r := range rows {
		if !strings.Contains(r.name, only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", r.name)
		reached, compared, want, err := r.measure(b)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Fprintf(w, "| %s\t| %s\t| %s\t| %s\t|\n", r.name, reached, compared, want)
	}
	return w.Flush()
}

// median of several measurements.
func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// interleave measures several things in turns, and returns the median of each.
func (b *bench) interleave(measures ...func() (float64, error)) ([]float64, error) {
	all := make([][]float64, len(measures))
	for range b.rounds {
		for i, m := range measures {
			v, err := m()
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], v)
		}
	}
	medians := make([]float64, len(all))
	for i := range all {
		medians[i] = median(all[i])
	}
	return medians, nil
}
