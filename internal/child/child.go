// Package child runs programs that end with the process that has started them, in
// whatever way that ends: a test that panics or is killed leaves no server behind.
package child

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts the command and waits for its end, at which ended is closed. When this
// process ends before, the kernel sends it the signal.
func Start(cmd *exec.Cmd, signal syscall.Signal) (ended <-chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = signal
	started, over := make(chan error), make(chan struct{})
	go func() {
		// The kernel takes the end of the thread that has started it for that of the
		// process, and so the thread is kept. https://github.com/golang/go/issues/27505
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // how it ended, cmd.ProcessState says
			close(over)
		}
	}()
	return over, <-started
}
