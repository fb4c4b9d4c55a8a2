package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/config"
	"github.com/journald-router/journald-router/control"
	"github.com/journald-router/journald-router/router"
	"github.com/journald-router/journald-router/spool"
	"github.com/spf13/cobra"
)

func newStatusCommand(o *options) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the daemon does: position, queues, failures",
		Long: `Status asks the running daemon how far it has read, what waits in the queues, what
fails, and what was lost. Without a daemon it shows what the spool knows. With
--output json it prints one object with everything.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			var s router.Snapshot
			err = reach(cmd.Context(), o.config, func(daemon *control.Remote) (err error) {
				s, err = daemon.Status(cmd.Context())
				return err
			}, func(sp *spool.Spool, c *config.Summary) (err error) {
				s, err = router.SpoolSnapshot(sp, source(c.Journal), c.Actions)
				return errors.Join(err, sp.Close())
			})
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			}
			return statusText(cmd.OutOrStdout(), &s)
		},
	}
	out.flag(cmd)
	return cmd
}

// statusText is for people: what is zero, and is meant to be, is left out.
func statusText(out io.Writer, s *router.Snapshot) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s:\t%s\n", name, fmt.Sprintf(format, args...))
	}
	line("state", "%s", describe(s))
	if !s.Started.IsZero() {
		line("running since", "%s", stamp(s.Started))
	}
	line("journal", "%s", read(s))
	line("spool", "%d bytes, of which %d are in use", s.SpoolBytes, s.SpoolLiveBytes)
	if !s.Started.IsZero() {
		line("matched", "%s, %s", count(int(s.EntriesMatched), "entry"), count(int(s.DeliveriesAppended), "delivery"))
	}
	if n := letters(s); n > 0 {
		line("dead letters", "%s: see journald-router dead list", each(s.DeadLetters))
	}
	if len(s.DeadLettersRemoved) > 0 {
		line("letters removed", "%s, by the limit dead_letters", each(s.DeadLettersRemoved))
	}
	losses(line, s)
	if err := w.Flush(); err != nil {
		return err
	}
	if len(s.Actions) > 0 {
		fmt.Fprintln(w, "\nACTION\tQUEUED\tIN FLIGHT\tBYTES\tDELIVERED\tFAILED\tBURIED\tLAST SUCCESS\tOLDEST QUEUED")
	}
	for _, a := range s.Actions {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", a.Name, a.Queued, a.InFlight, a.Bytes, a.Delivered, a.FailedAttempts, a.Buried, stamp(a.LastSuccess), stamp(a.OldestQueued))
	}
	if len(s.Rules) > 0 {
		fmt.Fprintln(w, "\nRULE\tHITS\tLAST HIT")
	}
	for _, r := range s.Rules {
		fmt.Fprintf(w, "%s\t%d\t%s\n", r.Name, r.Hits, stamp(r.LastHit))
	}
	return w.Flush()
}

// describe is the state in words, with what is wrong.
func describe(s *router.Snapshot) string {
	if err := s.Ready(); err != nil {
		return err.Error()
	}
	if s.State == router.Waiting {
		return "waiting for entries, all are read"
	}
	return "reading, " + time.Duration(s.LagSeconds*float64(time.Second)).Round(time.Second).String() + " behind"
}

// read says how far the journal was read.
func read(s *router.Snapshot) string {
	switch {
	case s.Position.Cursor == "":
		return s.Journal + ", not read yet"
	case s.Position.Time.IsZero():
		return s.Journal + ", read from its beginning"
	}
	return s.Journal + ", read up to " + stamp(s.Position.Time)
}

// losses prints what never arrived, and what fails.
func losses(line func(name, format string, args ...any), s *router.Snapshot) {
	lost := func(name, what string, l router.Losses) {
		if l.Count == 0 {
			return
		}
		known := "how many is not known"
		if l.Entries > 0 {
			known = count(int(l.Entries), "entry") + " at least"
		}
		line(name, "%s %s, %s; the last time between %s and %s",
			count(int(l.Count), "time"), what, known, stamp(l.LastAfter), stamp(l.LastUntil))
	}
	lost("lost", "entries were deleted before they were read", s.Gaps)
	lost("damaged", "entries could not be read", s.Damages)
	if s.FieldsCut > 0 {
		line("cut short", "%s", count(int(s.FieldsCut), "field"))
	}
	if s.Suppressed.Messages > 0 {
		line("suppressed", "%s by journald's rate limit: %s", count(int(s.Suppressed.Messages), "message"), each(s.Suppressed.Units))
	}
	if e := s.ReaderErrors; e.Count > 0 {
		line("reader errors", "%d; the last at %s: %s", e.Count, stamp(e.Last), e.LastError)
	}
	for _, a := range s.Actions {
		if a.Fill() >= router.HighMark {
			line("filling", "the queue of %s is %d %% full; once it is full, %s", a.Name, int(100*a.Fill()), whenFull(a.WhenFull))
		}
		if a.Dropped > 0 {
			line("dropped", "%s for %s, as its queue was full; the last one at %s", count(int(a.Dropped), "delivery"), a.Name, stamp(a.LastDropped))
		}
		if a.Failures > 0 && a.Kind != "" { // else there is no next try
			line("failing", "%s, %s in a row; next try %s; %s", a.Name, count(a.Failures, "time"), stamp(a.NextTry), action.OneLine(a.LastError, len(a.LastError)))
		}
		if a.Kind == "" {
			line("left over", "the queue of %s, which the configuration does not have", a.Name)
		}
	}
}

// whenFull says what a queue does when it is full.
func whenFull(when spool.WhenFull) string {
	switch when {
	case spool.DropOldest:
		return "its oldest deliveries are dropped"
	case spool.DropNewest:
		return "new deliveries are dropped"
	}
	return "reading stops"
}

// letters is how many dead letters there are.
func letters(s *router.Snapshot) (n int) {
	for _, some := range s.DeadLetters {
		n += some
	}
	return n
}

// each lists a count for each name.
func each[N int | uint64](counts map[string]N) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%s %d", cmp.Or(name, "unknown"), counts[name]))
	}
	return strings.Join(all, ", ")
}

// stamp is a time in the administrator's zone.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}
