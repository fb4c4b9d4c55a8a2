package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/action"
	"golang.org/x/sys/unix"
)

const (
	// exitDataError is EX_DATAERR of sysexits.h: the input is wrong, and will be.
	exitDataError = 65
	// defaultKillDelay is the time between SIGTERM and SIGKILL.
	defaultKillDelay = 2 * time.Second
	// pipeDelay is how long pipes stay open after the end of the command, should
	// a process that left its group hold them.
	pipeDelay = 500 * time.Millisecond
	// stderrKept is how much of the end of standard error is kept, and stderrShown
	// how much of that an error shows: a secret is to be found whole.
	stderrKept, stderrShown = 64 << 10, 500
)

// run runs the command for one message, and returns once no process of its group
// is left.
func (a *Action) run(ctx context.Context, m action.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stderr := &tail{limit: stderrKept}
	cmd := exec.Command(a.command[0], a.command[1:]...)
	cmd.Env = append(environ(m), a.env...)
	cmd.Stdin = bytes.NewReader(append(m.Record.AppendJSON(nil), '\n'))
	cmd.Stderr = stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = pipeDelay
	if err := cmd.Start(); err != nil {
		return startError(err)
	}
	if a.spawned != nil {
		defer a.spawned(cmd.Process.Pid)()
	}
	stopped := endGroup(ctx, cmd.Process.Pid, a.killDelay)
	// Its error is of no interest where the process itself says how it ended: it
	// may be about pipes.
	if err := cmd.Wait(); cmd.ProcessState == nil {
		return err
	}
	said := action.Redact(errors.New(stderr.String()), a.secrets...).Error()
	return result(cmd.ProcessState, stopped, said)
}

// startError explains why there is no process. All of it can be mended without
// another message: temporary.
func startError(err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w (is it installed, where the daemon can see it, and what its first line names too?)", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w (make it executable by the router's user: chmod a+rx)", err)
	}
	return err
}

// endGroup waits for the end of the group's leader, sees to it if ctx is done,
// and kills what is left of the group. It returns the context's error if that
// was the reason. The leader itself is not waited for in the sense of wait(2):
// as long as it is a zombie, no other group can get its number.
func endGroup(ctx context.Context, leader int, killDelay time.Duration) (stopped error) {
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		for {
			err := unix.Waitid(unix.P_PID, leader, nil, unix.WEXITED|unix.WNOWAIT, nil)
			if err != unix.EINTR {
				return
			}
		}
	}()
	select {
	case <-exited:
	case <-ctx.Done():
		stopped = ctx.Err()
		unix.Kill(-leader, unix.SIGTERM)
		select {
		case <-exited:
		case <-time.After(killDelay):
		}
	}
	unix.Kill(-leader, unix.SIGKILL)
	<-exited
	return stopped
}

// result is what the end of the command means for the delivery.
func result(state *os.ProcessState, stopped error, stderr string) error {
	code := state.ExitCode()
	if code == 0 {
		return nil
	}
	err := errors.New(state.String()) // "exit status 3", "signal: killed"
	switch {
	case errors.Is(stopped, context.DeadlineExceeded):
		err = fmt.Errorf("stopped at the time limit: %w", stopped)
	case stopped != nil:
		err = fmt.Errorf("stopped: %w", stopped)
	}
	if said := strings.TrimSpace(stderr); len(said) > stderrShown {
		err = fmt.Errorf("%w: …%s", err, action.OneLine(said[len(said)-stderrShown:], stderrShown))
	} else if said != "" {
		err = fmt.Errorf("%w: %s", err, action.OneLine(said, stderrShown))
	}
	if code == exitDataError && stopped == nil {
		return action.Permanent(err)
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct {
	limit int
	b     []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - t.limit; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
