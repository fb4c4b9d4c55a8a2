//go:build torture

package torture

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A daemon is the program under test, which is started and killed again and
// again on one configuration and one state.
type daemon struct {
	t      *testing.T
	binary string
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// newDaemon writes the configuration. The directory holds it, the state and the
// program's log.
func newDaemon(t *testing.T, binary, config string) *daemon {
	t.Helper()
	d := &daemon{t: t, binary: binary, dir: t.TempDir()}
	if err := os.WriteFile(d.path("config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.cmd != nil {
			d.cmd.Process.Kill()
			<-d.exited
		}
		if t.Failed() {
			log := d.log()
			t.Logf("the end of the program's log:\n%s", log[max(0, len(log)-8000):])
		}
	})
	return d
}

func (d *daemon) path(name string) string { return filepath.Join(d.dir, name) }

func (d *daemon) state() string { return d.path("state") }

func (d *daemon) environment(more ...string) []string {
	return append(append(os.Environ(), "STATE_DIRECTORY="+d.state()), more...)
}

// start starts the program, with these further variables in its environment.
func (d *daemon) start(env ...string) {
	d.t.Helper()
	log, err := os.OpenFile(d.path("log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.cmd = exec.Command(d.binary, "run", "--config", d.path("config.yaml"))
	d.cmd.Env = d.environment(env...)
	d.cmd.Stderr = log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	cmd, exited := d.cmd, make(chan struct{})
	d.exited = exited
	go func() {
		cmd.Wait()
		close(exited)
	}()
}

// over tells whether the program has ended.
func (d *daemon) over() bool {
	select {
	case <-d.exited:
		return true
	default:
		return false
	}
}

// kill ends the program with SIGKILL.
func (d *daemon) kill() {
	d.t.Helper()
	d.cmd.Process.Kill()
	d.killed()
}

// killed waits for the end by SIGKILL. Any other end is a failure.
func (d *daemon) killed() {
	d.t.Helper()
	<-d.exited
	if s := d.cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGKILL {
		d.t.Fatalf("the program has ended by itself: %v", d.cmd.ProcessState)
	}
	d.cmd = nil
}

// stop ends the program as systemd does.
func (d *daemon) stop() {
	d.t.Helper()
	d.cmd.Process.Signal(syscall.SIGTERM)
	<-d.exited
	if !d.cmd.ProcessState.Success() {
		d.t.Errorf("after SIGTERM: %v", d.cmd.ProcessState)
	}
	d.cmd = nil
}

// run executes another command of the program to its end.
func (d *daemon) run(args ...string) (stdout string) {
	d.t.Helper()
	cmd := exec.Command(d.binary, append(args, "--config", d.path("config.yaml"))...)
	cmd.Env = d.environment()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("%s: %v\n%s", args, err, &errs)
	}
	return out.String()
}

func (d *daemon) log() string {
	log, err := os.ReadFile(d.path("log"))
	if err != nil && !os.IsNotExist(err) {
		d.t.Error(err)
	}
	return string(log)
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

// waitFor polls until done.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// waitForNone waits until nothing is left, for as long as it takes: patience is for when it gets
// no less. On a busy machine there is the more to do the longer the other waits were.
func waitForNone(t *testing.T, what string, left func() int) {
	t.Helper()
	last := left()
	for last > 0 {
		before := last
		waitFor(t, fmt.Sprintf("%s: %d are left", what, before), func() bool {
			last = left()
			return last != before
		})
	}
}
