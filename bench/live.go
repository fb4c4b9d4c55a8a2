package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/journal/journaltest"
)

// live is a daemon that follows a private journald, and prints what matches.
type live struct {
	journald *journaltest.Journald
	cmd      *exec.Cmd
	lines    chan string
	dir      string
}

func (b *bench) follow() (l *live, err error) {
	l = &live{lines: make(chan string, 1000)}
	if l.journald, err = journaltest.Run(journaltest.Options{}); err != nil {
		return nil, err
	}
	if l.dir, err = os.MkdirTemp(b.dir, "bench-"); err != nil {
		return nil, err
	}
	config := filepath.Join(l.dir, "config.yaml")
	text := fmt.Sprintf("journal: {namespace: %s}\nstate: %s\nactions: {out: {stdout: {}}}\nrules: [{name: all, prefix: 'SLACK: ', actions: [out]}]\n",
		l.journald.Namespace(), filepath.Join(l.dir, "state"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	l.cmd = exec.Command(b.router, "run", "--config="+config)
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(l.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			l.lines <- s.Text()
		}
	}()
	// The first line that comes through shows that it follows.
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err := l.journald.Print("SLACK: 0"); err != nil {
			return nil, err
		}
		select {
		case <-l.lines:
			return l, nil
		case <-time.After(200 * time.Millisecond):
			if time.Now().After(deadline) {
				return nil, fmt.Errorf("the program does not follow the journal")
			}
		}
	}
}

func (l *live) close() {
	l.cmd.Process.Signal(syscall.SIGTERM)
	for range l.lines {
	}
	l.cmd.Wait()
	l.journald.Close()
	os.RemoveAll(l.dir)
}

// idle is the CPU time of a daemon that has nothing to do, and its memory.
func (b *bench) idle() (reached, compared, want string, err error) {
	l, err := b.follow()
	if err != nil {
		return
	}
	defer l.close()
	const span = 30 * time.Second
	before, err := cpuTime(l.cmd.Process.Pid)
	if err != nil {
		return
	}
	time.Sleep(span)
	after, err := cpuTime(l.cmd.Process.Pid)
	if err != nil {
		return
	}
	memory, err := anonymous(l.cmd.Process.Pid)
	if err != nil {
		return
	}
	return fmt.Sprintf("%.2f %% of a core, %.0f MiB RssAnon", 100*(after-before).Seconds()/span.Seconds(), float64(memory)/1024),
		fmt.Sprintf("over %v", span), "under 0.4 %, under 40 MiB", nil
}

// cpuTime is the user and system time of a process, in ticks of 10 ms as
// proc_pid_stat(5) has them.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var ticks time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond, nil
}

// anonymous is RssAnon in KiB: the memory that is the process's own.
func anonymous(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	return strconv.Atoi(strings.Fields(rest)[0])
}

// latency is the time from the write to the journal to the action's line.
func (b *bench) latency() (reached, compared, want string, err error) {
	l, err := b.follow()
	if err != nil {
		return
	}
	defer l.close()
	var all []time.Duration
	for range 300 {
		sent := time.Now()
		line := strconv.FormatInt(sent.UnixNano(), 10)
		if err = l.journald.Print("SLACK: " + line); err != nil {
			return
		}
		for got := range l.lines {
			if got == line {
				all = append(all, time.Since(sent))
				break
			}
		}
		// Not in step with the program's own rhythm.
		time.Sleep(90*time.Millisecond + time.Duration(time.Now().UnixNano()%20)*time.Millisecond)
	}
	if len(all) < 300 {
		return "", "", "", fmt.Errorf("the program ended after %d lines", len(all))
	}
	slices.Sort(all)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", ms(all[len(all)/2]), ms(all[len(all)*99/100])),
		"a reader in sd_journal_wait: 200 and 300 ms", "p50 under 10 ms, p99 under 25 ms", nil
}
