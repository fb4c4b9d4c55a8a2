package router

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// suppressing are the fields of journald's own entry; set changes some.
func suppressing(unit string, n int, set ...string) []journal.Field {
	fields := journaltest.Fields("_TRANSPORT", "driver", "MESSAGE_ID", suppressedID,
		"MESSAGE", fmt.Sprintf("Suppressed %d messages from %s", n, unit), "N_DROPPED", fmt.Sprint(n))
	for i := 0; i < len(set); i += 2 {
		for j := range fields {
			if fields[j].Name == set[i] {
				fields[j].Value = []byte(set[i+1])
			}
		}
	}
	return fields
}

func TestSuppression(t *testing.T) {
	for _, test := range []struct {
		name   string
		fields []journal.Field
		unit   string
		n      uint64
	}{
		{"systemd's", suppressing("shop.service", 82), "shop.service", 82},
		{"before systemd 235", suppressing("/system.slice/shop.service", 82)[:3], "/system.slice/shop.service", 82},
		{"a fake", suppressing("shop.service", 82, "_TRANSPORT", "journal"), "", 0},
		{"without a number", suppressing("shop.service", 82, "MESSAGE", "Suppressed", "N_DROPPED", "many"), "", 0},
		{"without a transport", suppressing("shop.service", 82)[1:], "", 0},
	} {
		unit, n := suppression(journal.NewRecord("", time.Time{}, 0, test.fields...))
		if n != test.n || n > 0 && unit != test.unit {
			t.Errorf("%s: %q, %d", test.name, unit, n)
		}
	}
}

// TestSuppressedIsWarnedOfOnceAMinute for each unit, with the sum.
func TestSuppressedIsWarnedOfOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), new(destination))
		var log lockedLog
		r.options.Log = slog.New(slog.NewTextHandler(&log, nil))
		r.start()
		add := func(unit string, n int) {
			r.journal.add(suppressing(unit, n))
			synctest.Wait()
		}
		var warned []string
		said := func(want ...string) {
			t.Helper()
			var got []string
			for line := range strings.Lines(log.String()) {
				if _, what, ok := strings.Cut(strings.TrimSpace(line), " unit="); ok {
					got = append(got, what)
				}
			}
			warned = append(warned, want...)
			if diff := cmp.Diff(warned, got); diff != "" {
				t.Error("log (-want +got):\n", diff)
			}
		}
		add("shop.service", 1)
		add("shop.service", 2)
		add("web.service", 4)
		add("shop.service", 8)
		r.journal.add(suppressing("shop.service", 1000, "_TRANSPORT", "journal")) // a fake
		said("shop.service messages=1", "web.service messages=4")
		time.Sleep(time.Minute)
		synctest.Wait()
		said("shop.service messages=10")
		add("web.service", 16)
		said("web.service messages=16")
		time.Sleep(10 * time.Minute)
		add("shop.service", 32)
		add("shop.service", 64)
		said("shop.service messages=32")
		r.stop()
		said("shop.service messages=64")
		want := Suppressed{127, map[string]uint64{"shop.service": 107, "web.service": 20}}
		if diff := cmp.Diff(want, r.router.figures.snapshot(time.Now()).Suppressed); diff != "" {
			t.Error("(-want +got):\n", diff)
		}
	})
}

// lockedLog can be read while a timer writes.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestSuppressedUnitsAreBounded(t *testing.T) {
	f := newFigures()
	for i := range 1000 {
		f.suppress(fmt.Sprintf("shop@%d.service", i), 1)
	}
	s := f.snapshot(time.Now()).Suppressed
	if len(s.Units) > 101 || s.Messages != 1000 || s.Units["others"] != 900 {
		t.Errorf("%d units, %d messages, %d of others", len(s.Units), s.Messages, s.Units["others"])
	}
}

// TestSuppressedWhateverTheRules: the entry passes the sieve of each kind of rules.
func TestSuppressedWhateverTheRules(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	entry := func(fields []journal.Field) journaltest.Entry {
		at = at.Add(time.Second)
		return journaltest.Entry{Time: at, Monotonic: time.Hour, Boot: journaltest.Boot1, Fields: fields}
	}
	dir := journaltest.Forge(t, entry(journaltest.Fields("MESSAGE", "noise")), entry(suppressing("shop.service", 82)),
		entry(suppressing("fake.service", 1000, "_TRANSPORT", "journal")), entry(suppressing("web.service", 1)))
	for name, rule := range map[string]string{
		"prefix":     `[{name: r, prefix: "X: ", actions: a}]`,
		"only units": `[{name: r, match: {_SYSTEMD_UNIT: other.service}, actions: a}]`,
		"its own":    `[{name: r, match: {MESSAGE_ID: ` + suppressedID + `, N_DROPPED: 1}, actions: a}]`,
		"no sieve":   `[{name: r, match: {PRIORITY: {at_most: 2}}, actions: a}]`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, newMemory(), new(destination))
			r.routes.Rules = parseRules(t, rule)
			r.options.Once = true
			r.options.Open = func(position string) (journal.Reader, error) {
				return sdjournal.Open(sdjournal.Options{Directory: dir, Start: journal.Beginning, After: position, Once: true})
			}
			r.start()
			if err := <-r.done; err != nil {
				t.Fatal(err)
			}
			r.done <- nil
			r.stop()
			want := Suppressed{83, map[string]uint64{"shop.service": 82, "web.service": 1}}
			if diff := cmp.Diff(want, r.router.figures.snapshot(time.Now()).Suppressed); diff != "" {
				t.Error("(-want +got):\n", diff)
			}
		})
	}
}

// TestSuppressedByJournald: a unit logs more than a real journald takes.
func TestSuppressedByJournald(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{Config: []string{"RateLimitIntervalSec=200ms", "RateLimitBurst=1"}})
	r := newRig(t, newMemory(), new(destination))
	r.options.Open = func(position string) (journal.Reader, error) {
		return sdjournal.Open(sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, After: position})
	}
	r.start()
	defer r.stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var s Suppressed
	for deadline := time.Now().Add(time.Minute); s.Messages == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing was counted")
		}
		// A process that journald knows already, without a unit, it looks at again
		// when that knowledge is older than a second and a new stream begins.
		out, err := j.UnitStdout("shop.service", "shop")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 500 {
			fmt.Fprintf(out, "line %d\n", i)
		}
		// It tells of what it dropped once it takes a message again.
		for again := time.Now().Add(2 * time.Second); s.Messages == 0 && time.Now().Before(again); <-tick.C {
			fmt.Fprintln(out, "one more")
			s = r.router.Snapshot().Suppressed
		}
		out.Close()
	}
	if s.Messages < 100 || len(s.Units) != 1 {
		t.Errorf("suppressed: %+v", s)
	}
}
