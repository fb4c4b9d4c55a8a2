package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/sdjournal"
	"github.com/journald-router/journald-router/spool"
)

// spoolRecords is how many entries of the journal go through the spool, again and
// again until it has seen as many as the journal has.
const spoolRecords = 50_000

// spoolAlone appends every entry for three actions, whose workers do nothing but
// settle it: without a reader, rules and destinations.
func (b *bench) spoolAlone() (reached, compared, want string, err error) {
	entries, err := b.routed(min(spoolRecords, b.entries))
	if err != nil {
		return
	}
	var cpu []float64
	m, err := b.interleave(b.cScan, func() (float64, error) {
		c, err := b.throughSpool(entries)
		cpu = append(cpu, c.cpu)
		return c.wall, err
	})
	if err != nil {
		return
	}
	deliveries := 3 * float64(b.entries)
	return fmt.Sprintf("%.0f deliveries/s, %.0f by processor time", deliveries/m[1], deliveries/median(cpu)),
		"C: " + b.rate(m[0]), "at least 250000 deliveries/s", nil
}

// spoolActions are those that each entry is delivered to.
var spoolActions = []string{"one", "two", "three"}

// routed is the beginning of the journal, for three actions.
func (b *bench) routed(n int) ([]spool.Routed, error) {
	r, err := sdjournal.Open(sdjournal.Options{Directory: b.journal, After: journal.Head})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var to []spool.Target
	for _, a := range spoolActions {
		to = append(to, spool.Target{Action: a, Rule: "all"})
	}
	var entries []spool.Routed
	for len(entries) < n {
		e, err := r.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		record, err := e.Record()
		if err != nil {
			return nil, err
		}
		entries = append(entries, spool.Routed{Record: record, To: to})
	}
	return entries, nil
}

// throughSpool has the entries appended, 5000 at a time, and settled.
func (b *bench) throughSpool(entries []spool.Routed) (cost, error) {
	const batch = 5000
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return cost{}, err
	}
	defer os.RemoveAll(dir)
	s, err := spool.Open(dir)
	if err != nil {
		return cost{}, err
	}
	defer s.Close()
	begin, used := time.Now(), processorTime()
	var wg sync.WaitGroup
	errs := make([]error, len(spoolActions))
	for i, a := range spoolActions {
		wg.Go(func() { errs[i] = settleAll(s.Queue(a), b.entries, batch) })
	}
	for left := b.entries; left > 0; {
		for some := range slices.Chunk(entries[:min(left, len(entries))], batch) {
			for freed := s.Freed(); s.Crowded(); freed = s.Freed() {
				<-freed
			}
			if _, err := s.Append("journal", "position", some, nil); err != nil {
				return cost{}, err
			}
			left -= len(some)
		}
	}
	wg.Wait()
	return cost{time.Since(begin).Seconds(), processorTime() - used}, errors.Join(errs...)
}

func settleAll(q *spool.Queue, n, limit int) error {
	outcomes := slices.Repeat([]spool.Outcome{{Fate: spool.Accepted}}, limit)
	for n > 0 {
		batch, err := q.Peek(limit)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			<-q.Ready()
			continue
		}
		if err := q.Settle(batch, outcomes[:len(batch)], 0, nil); err != nil {
			return err
		}
		n -= len(batch)
	}
	return nil
}

// processorTime is that of this process so far, in seconds.
func processorTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
