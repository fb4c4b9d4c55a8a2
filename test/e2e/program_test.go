// Package e2e runs the built program as its users do, from the line that an
// application logs to what arrives at the destination, on a real
// systemd-journald.
package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/journald-router/journald-router/journal/journaltest"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "router-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "journald-router")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/journald-router")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the program:", err)
		return 1
	}
	return m.Run()
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

// waitFor polls until done.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// program is a daemon that is started again and again on one configuration.
type program struct {
	t       *testing.T
	dir     string
	config  string
	journal string   // the section of that name
	env     []string // beside the test's own
	within  []string // a command that the daemon is run by, if any
	cmd     *exec.Cmd
	log     lockedBuffer

	crashes int // by SIGBUS, after which waitFor has started it again
}

// newProgram writes the configuration, whose journal is that of the private
// journald, if there is one.
func newProgram(t *testing.T, j *journaltest.T, config string) *program {
	t.Helper()
	if j == nil {
		return newProgramOn(t, "", config)
	}
	return newProgramOn(t, fmt.Sprintf("namespace: %s", j.Namespace()), config)
}

// newProgramOn has another journal, or none of its own.
func newProgramOn(t *testing.T, journal, config string) *program {
	t.Helper()
	p := &program{t: t, dir: t.TempDir()}
	p.config = filepath.Join(p.dir, "config.yaml")
	if journal != "" {
		p.journal = "journal: {" + journal + "}\n"
	}
	p.configure(config)
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		if t.Failed() {
			t.Logf("the program's log:\n%s", p.log.String())
		}
	})
	return p
}

// waitFor polls until done, and does as systemd does: it starts the program again
// when SIGBUS has killed it, as libsystemd maps files that others cut short.
func (p *program) waitFor(what string, done func() bool) {
	p.t.Helper()
	waitFor(p.t, what, func() bool {
		var status unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &status, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == nil && status.Signo == int32(unix.SIGCHLD) {
			p.cmd.Wait()
			p.crashes++
			if p.says("SIGBUS: bus error") < p.crashes {
				p.t.Fatalf("the program has ended by itself: %v", p.cmd.ProcessState)
			}
			p.start()
		}
		return done()
	})
}

func (p *program) configure(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.config, []byte(p.journal+text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) start() {
	p.t.Helper()
	command := append(slices.Clone(p.within), binary, "run", "--config", p.config)
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = append(append(os.Environ(), "STATE_DIRECTORY="+filepath.Join(p.dir, "state")), p.env...)
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// startReady also waits until the journal is being read.
func (p *program) startReady() {
	p.t.Helper()
	before := p.says("reading the journal")
	p.start()
	waitFor(p.t, "the program to read the journal", func() bool { return p.says("reading the journal") > before })
}

// says counts what the log holds.
func (p *program) says(text string) int { return strings.Count(p.log.String(), text) }

func (p *program) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Errorf("the program had ended before it was killed: %v", err)
	}
	p.cmd.Wait()
	p.cmd = nil
}

// stop ends the program as systemd does, and returns how long that took.
func (p *program) stop() time.Duration {
	p.t.Helper()
	start := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	err := p.cmd.Wait()
	p.cmd = nil
	if err != nil {
		p.t.Errorf("after SIGTERM: %v", err)
	}
	return time.Since(start)
}

// run executes another command of the program to its end, which must be a good one.
func (p *program) run(args ...string) (stdout string) {
	p.t.Helper()
	stdout, stderr, err := p.try(args...)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", args, err, stderr)
	}
	return stdout
}

// try executes another command of the program, which may fail.
func (p *program) try(args ...string) (stdout, stderr string, err error) {
	cmd := exec.Command(binary, append(args, "--config", p.config)...)
	cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+filepath.Join(p.dir, "state"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// reload gives the running program another configuration, and waits until it holds.
func (p *program) reload(text string) {
	p.t.Helper()
	p.configure(text)
	before := p.says("msg=reloaded")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
	waitFor(p.t, "the reload", func() bool { return p.says("msg=reloaded") > before })
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// hook is a webhook's server that accepts everything, unless it is down or refuses.
type hook struct {
	*httptest.Server
	down   atomic.Bool
	refuse atomic.Bool
	mu     sync.Mutex
	bodies []string
	keys   []string
}

func newHook(t *testing.T) *hook {
	h := new(hook)
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case h.down.Load():
		io.Copy(io.Discard, r.Body)
		http.Error(w, "down", http.StatusServiceUnavailable)
	case h.refuse.Load():
		io.Copy(io.Discard, r.Body)
		http.Error(w, "refused", http.StatusBadRequest)
	default:
		h.accept(r)
	}
}

// accept takes the message in.
func (h *hook) accept(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = append(h.bodies, string(body))
	h.keys = append(h.keys, r.Header.Get("Idempotency-Key"))
}

func (h *hook) received() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.bodies...)
}
