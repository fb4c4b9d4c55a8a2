package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/journald-router/journald-router/router"
	"github.com/journald-router/journald-router/spool"
)

// backlog is a daemon whose destination is down, with a rule that every entry of
// the journal matches.
type backlog struct {
	*bench
	dir, config string
	cmd         *exec.Cmd
	peak        int // the most RssAnon that was seen, in KiB
}

func (b *bench) newBacklog() (*backlog, error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return nil, err
	}
	l := &backlog{bench: b, dir: dir, config: filepath.Join(dir, "config.yaml")}
	// Nothing listens on port 9 of this machine (discard), and nothing will.
	text := fmt.Sprintf(`journal: {directory: %s, start: beginning}
state: %s
actions: {down: {webhook: {url: "http://127.0.0.1:9/"}, retry: {min: 200ms, max: 200ms}, queue: {max_bytes: 100GiB}}}
rules: [{name: all, match: {MESSAGE: {exists: true}}, actions: [down]}]
`, b.journal, l.state())
	return l, os.WriteFile(l.config, []byte(text), 0o600)
}

func (l *backlog) state() string { return filepath.Join(l.dir, "state") }

// start runs the daemon, and returns how long it took until it reads the journal,
// and so has opened the spool.
func (l *backlog) start() (time.Duration, error) {
	l.cmd = exec.Command(l.router, "run", "--config="+l.config)
	errs, err := l.cmd.StderrPipe()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := l.cmd.Start(); err != nil {
		return 0, err
	}
	var said strings.Builder
	for s := bufio.NewScanner(errs); s.Scan(); {
		if strings.Contains(s.Text(), "reading the journal") {
			took := time.Since(begin)
			go io.Copy(io.Discard, errs)
			return took, nil
		}
		fmt.Fprintln(&said, s.Text())
	}
	return 0, fmt.Errorf("the program has ended: %s", said.String())
}

// fill waits until that many deliveries are queued.
func (l *backlog) fill(deliveries int64) (router.Snapshot, error) {
	for deadline := time.Now().Add(3 * time.Minute); ; {
		out, err := command(l.router, "status", "--output=json", "--config="+l.config)
		if err != nil {
			return router.Snapshot{}, err
		}
		var s router.Snapshot
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			return router.Snapshot{}, err
		}
		if err := l.look(); err != nil || s.Actions[0].Queued >= deliveries {
			return s, err
		}
		if time.Now().After(deadline) {
			return s, fmt.Errorf("%d of %d deliveries are queued after minutes", s.Actions[0].Queued, deliveries)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (l *backlog) look() error {
	now, err := anonymous(l.cmd.Process.Pid)
	l.peak = max(l.peak, now)
	return err
}

func (l *backlog) kill() {
	l.cmd.Process.Kill()
	l.cmd.Wait()
}

// down is what the spool and the memory grow by while a destination is down, and
// what it takes to start again after kill -9. The memory counts at its peak.
func (b *bench) down() (reached, compared, want string, err error) {
	l, err := b.newBacklog()
	if err != nil {
		return
	}
	defer os.RemoveAll(l.dir)
	if _, err = l.start(); err != nil {
		return
	}
	defer func() { l.kill() }()
	few, err := l.fill(int64(b.entries) / 5)
	if err != nil {
		return
	}
	memoryOfFew := l.peak
	all, err := l.fill(int64(b.entries))
	if err != nil {
		return
	}
	memoryOfAll := l.peak
	l.kill()
	l.peak = 0
	m, err := b.interleave(l.open, l.openAndTry)
	if err != nil {
		return
	}
	mib := func(s router.Snapshot) float64 { return float64(s.SpoolBytes) / (1 << 20) }
	return fmt.Sprintf("%d MiB RssAnon, %.0f MiB of disk; after kill -9 the spool opens in %.1f ms, the program reads after %.0f ms, %d MiB RssAnon",
			memoryOfAll>>10, mib(all), 1000*m[0], 1000*m[1], l.peak>>10),
		fmt.Sprintf("with %d queued: %d MiB RssAnon, %.0f MiB of disk", few.Actions[0].Queued, memoryOfFew>>10, mib(few)),
		"the same memory, disk in proportion; under 1 s, under 100 MiB", nil
}

// openAndTry starts the program, and kills it when it has tried to deliver for
// a while.
func (l *backlog) openAndTry() (float64, error) {
	took, err := l.start()
	if err != nil {
		return 0, err
	}
	defer l.kill()
	for range 20 {
		if err := l.look(); err != nil {
			return 0, err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return took.Seconds(), nil
}

// open opens and closes the spool.
func (l *backlog) open() (float64, error) {
	start := time.Now()
	s, err := spool.OpenExisting(l.state())
	if err != nil {
		return 0, err
	}
	took := time.Since(start).Seconds()
	return took, s.Close()
}
