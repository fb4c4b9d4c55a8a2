package router

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/journald-router/journald-router/journal"
)

// A Guard tells the entries that the program itself, or a process that it
// started, has logged. Were they routed, an error about a line that begins with
// "SLACK: " could be a match of its own, for ever.
//
// Under systemd, all of a unit's processes log with the unit's invocation id
// (systemd.exec(5)), and so did earlier runs, whose ids the spool remembers.
// Elsewhere, in a user's shell for instance, the cgroup is shared with innocent
// processes: only the program's own pid and those of its direct children count,
// on this machine and in this boot.
type Guard struct {
	invocations map[string]bool
	boot        string
	machine     string

	mu        sync.Mutex
	processes []process
}

// process is a time in which a pid was the program's own.
type process struct {
	pid         string
	start, stop time.Time // stop is zero while it runs
}

// NewGuard makes the guard of this process. remember is called with the unit's
// invocation id, if there is one, and returns all ids that count as the
// program's own; see spool.Invocations.
func NewGuard(remember func(id string) ([]string, error)) (*Guard, error) {
	g := &Guard{boot: hexFile("/proc/sys/kernel/random/boot_id"), machine: hexFile("/etc/machine-id")}
	g.Spawned(os.Getpid())
	// systemd sets SYSTEMD_EXEC_PID for the unit's main process alone; a process
	// that inherited the environment, such as a shell's child, has another pid.
	if id := os.Getenv("INVOCATION_ID"); id != "" && os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid()) {
		ids, err := remember(id)
		if err != nil {
			return nil, fmt.Errorf("remember the unit's invocation: %w", err)
		}
		g.invocations = make(map[string]bool)
		for _, id := range ids {
			g.invocations[id] = true
		}
	}
	return g, nil
}

// hexFile reads an id as journald writes it: without dashes.
func hexFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(strings.TrimSpace(string(b)), "-", "")
}

// late is how long after the end of a process its last entry may be stamped:
// journald stamps an entry when it gets round to it.
const late = 2 * time.Second

// Spawned says that a process was started. ended is to be called once it is
// gone.
func (g *Guard) Spawned(pid int) (ended func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	// A child's entry may be read long after its end, but not for ever.
	const remembered = 1024
	if len(g.processes) >= remembered {
		for i, p := range g.processes {
			if !p.stop.IsZero() {
				g.processes = append(g.processes[:i], g.processes[i+1:]...)
				break
			}
		}
	}
	g.processes = append(g.processes, process{pid: strconv.Itoa(pid), start: start})
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for i := range g.processes {
			if p := &g.processes[i]; p.pid == strconv.Itoa(pid) && p.start.Equal(start) {
				p.stop = time.Now()
			}
		}
	}
}

// Own tells whether the program, or a process that it started, logged the entry.
func (g *Guard) Own(r journal.Record) bool {
	if g.invocations != nil {
		id, _ := r.Get(journal.FieldInvocationID)
		return g.invocations[string(id)]
	}
	pid, ok := r.Get(journal.FieldPID)
	return ok && g.ran(string(pid), r.Time()) && is(r, "_BOOT_ID", g.boot) && is(r, "_MACHINE_ID", g.machine)
}

// ran tells whether the pid was one of the program's own at that time.
func (g *Guard) ran(pid string, at time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.processes, func(p process) bool {
		return p.pid == pid && !at.Before(p.start.Add(-late)) && (p.stop.IsZero() || at.Before(p.stop.Add(late)))
	})
}

// is compares a field with a value, where that could be found out.
func is(r journal.Record, field, want string) bool {
	value, _ := r.Get(field)
	return want == "" || string(value) == want
}
