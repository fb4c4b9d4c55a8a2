package journal

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Start says where a reader that has no saved position begins. Starts can be
// compared with ==; the zero value is the end of the journal: only entries
// logged from now on.
type Start struct {
	kind startKind
	ago  time.Duration // kind startAgo
	unix int64         // kind startAt: microseconds since the epoch, the journal's own unit
}

type startKind uint8

const (
	startEnd startKind = iota
	startBeginning
	startBoot
	startAgo
	startAt
)

// The starts that bear a name.
var (
	End       = Start{kind: startEnd}       // entries logged from now on
	Beginning = Start{kind: startBeginning} // the oldest entry there is
	Boot      = Start{kind: startBoot}      // the first entry of the current boot
)

// Ago starts at the first entry of the last d.
func Ago(d time.Duration) Start { return Start{kind: startAgo, ago: d} }

// At starts at the first entry of time t or later, t counting in whole
// microseconds. A time yet to come is the same as End.
func At(t time.Time) Start { return Start{kind: startAt, unix: t.UnixMicro()} }

// Time is the time of day that the start stands for, seen from now. It is
// false for End, Beginning and Boot, which are not times.
func (s Start) Time(now time.Time) (t time.Time, ok bool) {
	switch s.kind {
	case startAgo:
		return now.Add(-s.ago), true
	case startAt:
		return time.UnixMicro(s.unix), true
	}
	return time.Time{}, false
}

// String is a form that ParseStart reads back.
func (s Start) String() string {
	switch s.kind {
	case startBeginning:
		return "beginning"
	case startBoot:
		return "boot"
	case startAgo:
		return s.ago.String()
	case startAt:
		return time.UnixMicro(s.unix).Format(time.RFC3339Nano)
	}
	return "end"
}

// startLayouts are read in the local time zone unless they name one.
var startLayouts = []string{
	"2006-01-02",
	"2006-01-02 15:04",
	"2006-01-02 15:04:05",
	"2006-01-02T15:04:05",
	time.RFC3339,
}

// ParseStart reads a start as users write it:
//
//	end                     entries logged from now on; also the empty string
//	beginning               the oldest entry there is
//	boot                    the first entry of the current boot
//	2h, 90m, 1d12h          that long back: Go's durations, and d for 24 hours
//	2026-01-02 [15:04[:05]] a date, with a time if wanted, in the local time zone
//	2026-01-02T15:04:05Z    RFC 3339, with a time zone
//
// The error lists these forms.
func ParseStart(s string) (Start, error) {
	text := strings.TrimSpace(s)
	switch text {
	case "", "end":
		return End, nil
	case "beginning":
		return Beginning, nil
	case "boot":
		return Boot, nil
	}
	if d, ok := parseAgo(text); ok {
		return Ago(d), nil
	}
	for _, layout := range startLayouts {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return At(t), nil
		}
	}
	return Start{}, fmt.Errorf("parse start %q: want end, beginning, boot, a duration back (2h, 90m, 7d), "+
		"a local time (2026-01-02, 2026-01-02 15:04, 2026-01-02 15:04:05), or an RFC 3339 time (2026-01-02T15:04:05Z)", s)
}

// parseAgo reads a duration that is not negative: Go's, or days before it.
func parseAgo(s string) (time.Duration, bool) {
	var days time.Duration
	if number, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || !(n >= 0 && n <= math.MaxInt64/float64(48*time.Hour)) {
			return 0, false
		}
		days = time.Duration(n * float64(24*time.Hour))
		if rest == "" {
			return days, true
		}
		s = rest
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || days+d < 0 {
		return 0, false
	}
	return days + d, true
}
