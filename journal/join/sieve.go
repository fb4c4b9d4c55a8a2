package join

import (
	"slices"

	"github.com/journald-router/journald-router/journal"
)

// A sieve has the inner reader keep, and let through, what joining takes beside
// what was asked for.
type sieve struct {
	fields []string
	asked  journal.Sieve
	shared bool // asked lets through all parts of a line, or none
	stale  bool // something has changed since it was passed on
	passed journal.Sieve
}

// shared are fields that all parts of a line have in common: those of the stream,
// of the machine, and those by which journald knows the process, which it learns
// when the process begins to write (journald-stream.c and journald-context.c of
// systemd). PRIORITY is not one of them, nor what a process can change with
// exec(2).
var shared = []string{
	fieldStreamID, "_TRANSPORT", "SYSLOG_IDENTIFIER", "_BOOT_ID", fieldMachineID, "_HOSTNAME", "_NAMESPACE",
	"_PID", "_UID", "_GID", "_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT", "_SYSTEMD_INVOCATION_ID",
}

func (s *sieve) keep(fields []string, asked journal.Sieve, lines []*line) {
	s.fields = slices.Clone(fields)
	for _, f := range []string{fieldLineBreak, fieldStreamID} {
		if !slices.Contains(s.fields, f) {
			s.fields = append(s.fields, f)
		}
	}
	s.asked = asked
	s.shared = !slices.ContainsFunc(asked, func(t journal.Test) bool {
		return t.Op != journal.Equal || !slices.Contains(shared, t.Field)
	})
	// What let through the beginnings of these may have been another sieve.
	for _, l := range lines {
		l.named = true
	}
}

// pass tells the inner reader.
func (s *sieve) pass(inner journal.Reader, lines []*line) {
	s.stale = false
	s.passed = s.with(lines)
	inner.Keep(s.fields, s.passed)
}

// passAgain tells it where the lines have changed what is to be let through.
func (s *sieve) passAgain(inner journal.Reader, lines []*line) {
	if s.stale && !slices.Equal(s.passed, s.with(lines)) {
		s.pass(inner, lines)
	}
	s.stale = false
}

// with is the sieve that lets through the parts of all lines too.
func (s *sieve) with(lines []*line) journal.Sieve {
	if len(s.asked) == 0 {
		return nil
	}
	tests := slices.Clone(s.asked)
	if !s.shared {
		tests = append(tests, journal.Test{Field: fieldLineBreak, Op: journal.Equal, Text: lineMax})
	}
	for _, l := range lines {
		if !l.done && (!s.shared || l.named) {
			tests = append(tests, journal.Test{Field: fieldStreamID, Op: journal.Equal, Text: l.stream})
		}
	}
	return tests
}
