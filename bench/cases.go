package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/sdjournal"
	"github.com/journald-router/journald-router/rules"
)

// command runs a program to its end and returns its standard output.
func command(name string, args ...string) (string, error) {
	out, _, err := measured(name, args...)
	return out, err
}

// cost is what a program took, in seconds: by the clock, and of the processors,
// with what it started.
type cost struct{ wall, cpu float64 }

func measured(name string, args ...string) (string, cost, error) {
	cmd := exec.Command(name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	start := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return "", cost{}, fmt.Errorf("%s: %w: %s", name, err, &errs)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return string(out), cost{time.Since(start).Seconds(), cpu.Seconds()}, nil
}

// cLoop runs the C loop, and returns what it counted and its time in seconds.
func (b *bench) cLoop(args ...string) (entries, found int, seconds float64, err error) {
	out, err := command(b.loop, append([]string{b.journal}, args...)...)
	if err == nil {
		_, err = fmt.Sscan(out, &entries, &found, &seconds)
	}
	return entries, found, seconds, err
}

// cScan is the C loop's time, in seconds.
func (b *bench) cScan() (float64, error) {
	entries, found, seconds, err := b.cLoop("scan", prefix)
	if err == nil && (entries != b.entries || found != b.matching()) {
		err = fmt.Errorf("the C loop saw %d entries, %d matching", entries, found)
	}
	return seconds, err
}

// prefix is that of one message in a hundred.
const prefix = "SLACK: "

// matching is how many entries begin with the prefix.
func (b *bench) matching() int { return (b.entries + 99) / 100 }

const oneRule = `[{name: slack, prefix: "SLACK: ", actions: [a]}]`

// readerScan is the time that the reader and the rules take for the journal.
func (b *bench) readerScan(text string, want int) (float64, error) {
	var c strict.Collector
	v, _ := c.Parse("rules", []byte(text))
	var all []*rules.Rule
	for _, one := range v.Items("rules") {
		all = append(all, rules.Decode(one))
	}
	if err := c.Err(); err != nil {
		return 0, err
	}
	set := rules.New(all)
	runtime.LockOSThread() // as the engine does
	defer runtime.UnlockOSThread()
	r, err := sdjournal.Open(sdjournal.Options{Directory: b.journal, After: journal.Head})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	r.Keep(set.Fields(), set.Sieves()...)
	matcher, matches, found := set.Matcher(), []rules.Match(nil), 0
	start := time.Now()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		if e == nil {
			continue
		}
		if matches = matcher.Match(e, matches[:0]); len(matches) > 0 {
			found++
		}
	}
	if found != want {
		return 0, fmt.Errorf("%d entries match, want %d", found, want)
	}
	return time.Since(start).Seconds(), nil
}

func (b *bench) rate(seconds float64) string {
	return fmt.Sprintf("%.0f entries/s", float64(b.entries)/seconds)
}

func (b *bench) scan() (reached, compared, want string, err error) {
	m, err := b.interleave(b.cScan, func() (float64, error) { return b.readerScan(oneRule, b.matching()) })
	if err != nil {
		return
	}
	return fmt.Sprintf("%.2f x C", m[1]/m[0]), "C: " + b.rate(m[0]), "at most 1.15 x C", nil
}

// fiftyRules has 40 prefixes, of which one matches, 5 units that do not log, and
// 5 regexes that never match.
func (b *bench) fiftyRules() (reached, compared, want string, err error) {
	text := []string{`{name: slack, prefix: "SLACK: ", actions: [a]}`}
	for i := range 39 {
		text = append(text, fmt.Sprintf(`{name: p%d, prefix: "EVENT-%d: ", actions: [a]}`, i, i))
	}
	for i := range 5 {
		text = append(text, fmt.Sprintf(`{name: u%d, match: {_SYSTEMD_UNIT: other%d.service}, actions: [a]}`, i, i))
		text = append(text, fmt.Sprintf(`{name: r%d, match: {MESSAGE: {regex: 'payment%d (\d+) refused'}}, actions: [a]}`, i, i))
	}
	fifty := "[" + strings.Join(text, ", ") + "]"
	m, err := b.interleave(
		func() (float64, error) { return b.readerScan(oneRule, b.matching()) },
		func() (float64, error) { return b.readerScan(fifty, b.matching()) })
	if err != nil {
		return
	}
	return fmt.Sprintf("%.2f x one rule", m[1]/m[0]), "one rule: " + b.rate(m[0]), "at most 1.3 x one rule", nil
}

const unit = "_SYSTEMD_UNIT=app7.service"

// pinned has one rule for one unit of the twenty, which the journal's index knows,
// and of whose entries 1 % match.
func (b *bench) pinned() (reached, compared, want string, err error) {
	_, found, _, err := b.cLoop("match", unit, prefix)
	if err != nil {
		return
	}
	return b.byIndex(`[{name: unit, match: {_SYSTEMD_UNIT: app7.service}, prefix: "SLACK: ", actions: [a]}]`, found)
}

// pinnedWhole is pinned where every entry of the unit matches, so that all of its
// fields are read.
func (b *bench) pinnedWhole() (reached, compared, want string, err error) {
	entries, _, _, err := b.cLoop("match", unit, prefix)
	if err != nil {
		return
	}
	reached, compared, _, err = b.byIndex(`[{name: unit, match: {_SYSTEMD_UNIT: app7.service}, actions: [a]}]`, entries)
	return reached, compared, "", err
}

// byIndex reads what a rule wants of the unit: beside the C loop over the same
// entries, and beside the scans of all entries.
func (b *bench) byIndex(rule string, matching int) (reached, compared, want string, err error) {
	entries := 0
	m, err := b.interleave(
		func() (seconds float64, err error) {
			entries, _, seconds, err = b.cLoop("match", unit, prefix)
			return seconds, err
		},
		func() (float64, error) { return b.readerScan(rule, matching) },
		func() (float64, error) { return b.readerScan(oneRule, b.matching()) },
		b.cScan)
	if err != nil {
		return
	}
	return fmt.Sprintf("%.2f x C, %.1f times faster than C scans, %.1f times faster than the reader scans", m[1]/m[0], m[3]/m[1], m[2]/m[1]),
		fmt.Sprintf("C, by the same match: %d entries in %.0f ms, %.1f times faster than C scans", entries, 1000*m[0], m[3]/m[0]),
		"at most 1.3 x C, at least 10 times faster than a scan", nil
}

// once runs the program over the journal with one rule, and returns the time; the
// file action must have got as many lines as wanted.
func (b *bench) once(rule string, lines int) (float64, error) {
	c, err := b.onceCost(rule, lines)
	return c.wall, err
}

// onceCost gives each file action, "out" if none is named, as many lines.
func (b *bench) onceCost(rule string, lines int, actions ...string) (cost, error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return cost{}, err
	}
	defer os.RemoveAll(dir)
	if actions == nil {
		actions = []string{"out"}
	}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf("journal: {directory: %s, start: beginning}\nstate: %s\nrules: [%s]\nactions:\n", b.journal, filepath.Join(dir, "state"), rule)
	for _, a := range actions {
		text += fmt.Sprintf("  %s: {file: {path: %s}}\n", a, filepath.Join(dir, a))
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return cost{}, err
	}
	_, took, err := measured(b.router, "run", "--once", "--timeout=5m", "--config="+config)
	if err != nil {
		return cost{}, err
	}
	for _, a := range actions {
		written, err := os.ReadFile(filepath.Join(dir, a))
		if err != nil {
			return cost{}, err
		}
		if n := bytes.Count(written, []byte("\n")); n != lines {
			return cost{}, fmt.Errorf("%d lines were delivered to %s, want %d", n, a, lines)
		}
	}
	return took, nil
}

const slackRule = `{name: slack, prefix: "SLACK: ", actions: [out]}`

func (b *bench) wholeProgram() (reached, compared, want string, err error) {
	m, err := b.interleave(b.cScan, func() (float64, error) { return b.once(slackRule, b.matching()) })
	if err != nil {
		return
	}
	return fmt.Sprintf("%.2f x C", m[1]/m[0]), "C: " + b.rate(m[0]), "at most 1.2 x C", nil
}

func (b *bench) everything() (reached, compared, want string, err error) {
	rule := `{name: all, match: {MESSAGE: {exists: true}}, actions: [out]}`
	m, err := b.interleave(b.cScan, func() (float64, error) { return b.once(rule, b.entries) }, b.intake)
	if err != nil {
		return
	}
	return fmt.Sprintf("%s, %.1f times what journald takes in", b.rate(m[1]), m[2]/m[1]),
		fmt.Sprintf("journald: %s; C: %s", b.rate(m[2]), b.rate(m[0])), "at least 150000 entries/s, twice what journald takes in", nil
}

// thrice is everything for three file actions.
func (b *bench) thrice() (reached, compared, want string, err error) {
	const rule = `{name: all, match: {MESSAGE: {exists: true}}, actions: [one, two, three]}`
	m, err := b.interleave(b.cScan, func() (float64, error) {
		c, err := b.onceCost(rule, b.entries, "one", "two", "three")
		return c.wall, err
	})
	if err != nil {
		return
	}
	return fmt.Sprintf("%.0f deliveries/s", 3*float64(b.entries)/m[1]), "C: " + b.rate(m[0]), "at least 250000 deliveries/s", nil
}

// python compares with the pipeline that the project began with, by the clock and
// by what all of its processes cost.
func (b *bench) python() (reached, compared, want string, err error) {
	var cpu [2][]float64
	note := func(i int, c cost, err error) (float64, error) {
		cpu[i] = append(cpu[i], c.cpu)
		return c.wall, err
	}
	few := *b
	few.rounds = min(b.rounds, 3)
	m, err := few.interleave(
		func() (float64, error) {
			_, c, err := measured("sh", "-c", `journalctl --directory="$1" --output=json | python3 bench/pipeline.py`, "sh", b.journal)
			return note(0, c, err)
		},
		func() (float64, error) {
			c, err := b.onceCost(slackRule, b.matching())
			return note(1, c, err)
		})
	if err != nil {
		return
	}
	return fmt.Sprintf("%.0f times faster, %.0f times less CPU time", m[0]/m[1], median(cpu[0])/median(cpu[1])),
		"journalctl and Python: " + b.rate(m[0]), "at least 20 times, both", nil
}
