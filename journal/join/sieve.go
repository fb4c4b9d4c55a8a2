package join

import (
	"slices"

	"github.com/journald-router/journald-router/journal"
)

// sieves have the inner reader keep, and let through, what joining takes beside
// what was asked for.
type sieves struct {
	fields []string
	asked  []sieve
	stale  bool // something has changed since they were passed on
	passed []journal.Sieve
}

// sieve is one of those that were asked for.
type sieve struct {
	asked  journal.Sieve
	shared bool // it lets through all parts of a line, or none
}

// shared are fields that all parts of a line have in common: those of the stream,
// of the machine, and those by which journald knows the process, which it learns
// when the process begins to write (journald-stream.c and journald-context.c of
// systemd). PRIORITY is not one of them, nor what a process can change with
// exec(2). MESSAGE_ID a line can only have from LogExtraFields= of its unit
// (systemd.exec(5)); it is asked for with whatever else is, as journald's word of what
// it suppressed has one.
var shared = []string{
	journal.FieldMessageID,
	fieldStreamID, "_TRANSPORT", "SYSLOG_IDENTIFIER", "_BOOT_ID", fieldMachineID, "_HOSTNAME", "_NAMESPACE",
	"_PID", "_UID", "_GID", "_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT", "_SYSTEMD_INVOCATION_ID",
}

func (s *sieves) keep(fields []string, asked []journal.Sieve, lines []*line) {
	s.fields = slices.Clone(fields)
	for _, f := range []string{fieldLineBreak, fieldStreamID} {
		if !slices.Contains(s.fields, f) {
			s.fields = append(s.fields, f)
		}
	}
	s.asked = nil
	for _, one := range asked {
		s.asked = append(s.asked, sieve{one, !slices.ContainsFunc(one, func(t journal.Test) bool {
			return t.Op != journal.Equal || !slices.Contains(shared, t.Field)
		})})
	}
	// What let through the beginnings of these may have been other sieves.
	for _, l := range lines {
		l.named = true
	}
}

// pass tells the inner reader.
func (s *sieves) pass(inner journal.Reader, lines []*line) {
	s.stale = false
	s.passed = s.with(lines)
	inner.Keep(s.fields, s.passed...)
}

// passAgain tells it where the lines have changed what is to be let through.
func (s *sieves) passAgain(inner journal.Reader, lines []*line) {
	if s.stale && !slices.EqualFunc(s.passed, s.with(lines), slices.Equal) {
		s.pass(inner, lines)
	}
	s.stale = false
}

// with are the sieves that let through the parts of all lines too.
func (s *sieves) with(lines []*line) (all []journal.Sieve) {
	for _, one := range s.asked {
		all = append(all, one.with(lines))
	}
	return all
}

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
