package journal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
)

func TestParseStart(t *testing.T) {
	// A zone that is neither UTC nor a whole number of hours from it.
	zone := time.FixedZone("", 5*3600+1800)
	defer func(old *time.Location) { time.Local = old }(time.Local)
	time.Local = zone

	for _, tt := range []struct {
		in   string
		want journal.Start
	}{
		{"", journal.Start{}},
		{"end", journal.End},
		{" end ", journal.End},
		{"beginning", journal.Beginning},
		{"boot", journal.Boot},
		{"2h", journal.Ago(2 * time.Hour)},
		{"90m", journal.Ago(90 * time.Minute)},
		{"1h30m", journal.Ago(90 * time.Minute)},
		{"0", journal.Ago(0)},
		{"7d", journal.Ago(7 * 24 * time.Hour)},
		{"0.5d", journal.Ago(12 * time.Hour)},
		{"1d12h", journal.Ago(36 * time.Hour)},
		{"2026-01-02", journal.At(time.Date(2026, 1, 2, 0, 0, 0, 0, zone))},
		{"2026-01-02 15:04", journal.At(time.Date(2026, 1, 2, 15, 4, 0, 0, zone))},
		{"2026-01-02 15:04:05", journal.At(time.Date(2026, 1, 2, 15, 4, 5, 0, zone))},
		{"2026-01-02 15:04:05.25", journal.At(time.Date(2026, 1, 2, 15, 4, 5, 250e6, zone))},
		{"2026-01-02T15:04:05", journal.At(time.Date(2026, 1, 2, 15, 4, 5, 0, zone))},
		{"2026-01-02T15:04:05Z", journal.At(time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC))},
		{"2026-01-02T15:04:05+02:00", journal.At(time.Date(2026, 1, 2, 13, 4, 5, 0, time.UTC))},
	} {
		got, err := journal.ParseStart(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseStart(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
			continue
		}
		if again, err := journal.ParseStart(got.String()); err != nil || again != got {
			t.Errorf("ParseStart(%q), the String of %q, = %v, %v", got.String(), tt.in, again, err)
		}
	}
}

func TestParseStartErrors(t *testing.T) {
	for _, in := range []string{
		"yesterday", "End", "-2h", "2", "2x", "d", "-1d", "1d-2h", "NaNd", "1e300d", "40000d1h2000000h", "2026-13-01", "2026-01-02 25:00", "15:04",
	} {
		got, err := journal.ParseStart(in)
		if err == nil {
			t.Errorf("ParseStart(%q) = %v; want an error", in, got)
			continue
		}
		for _, form := range []string{in, "end", "beginning", "boot", "2h", "7d", "2026-01-02 15:04", "RFC 3339"} {
			if !strings.Contains(err.Error(), form) {
				t.Errorf("ParseStart(%q): error %q does not name %q", in, err, form)
			}
		}
	}
}

func TestStartTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		start journal.Start
		want  time.Time // zero: not a time
	}{
		{journal.End, time.Time{}},
		{journal.Beginning, time.Time{}},
		{journal.Boot, time.Time{}},
		{journal.Ago(2 * time.Hour), now.Add(-2 * time.Hour)},
		{journal.At(now.Add(time.Minute)), now.Add(time.Minute)},
	} {
		got, ok := tt.start.Time(now)
		if ok == tt.want.IsZero() || !got.Equal(tt.want) {
			t.Errorf("%v.Time(%v) = %v, %v; want %v", tt.start, now, got, ok, tt.want)
		}
	}
}
