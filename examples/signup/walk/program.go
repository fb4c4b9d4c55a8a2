package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// source is this folder.
func source() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Dir(here)
}

// build builds commands of this module into dir.
func build(dir string, commands ...string) error {
	args := []string{"build", "-C", source(), "-o", dir + string(filepath.Separator)}
	for _, command := range commands {
		args = append(args, "github.com/journald-router/journald-router/"+command)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}

// A program is one that is started, killed and started again.
type program struct {
	command []string
	env     []string // beside the walk's own
	log     string   // the path of a file with what it prints to standard error
	user    uint32

	cmd *exec.Cmd
}

// start starts it. What it prints to standard output is read from the reader that is
// returned, or lost.
func (p *program) start() (io.Reader, error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.user, Gid: p.user}}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.cmd = cmd
	return stdout, nil
}

// firstLine starts it, and returns the first line that it prints.
func (p *program) firstLine() (string, error) {
	stdout, err := p.start()
	if err != nil {
		return "", err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s has ended: %s", p.command[0], p.logged())
	}
	return strings.TrimSpace(line), nil
}

// kill ends it as kill -9 does, and stop as systemd does.
func (p *program) kill()       { p.end(syscall.SIGKILL) }
func (p *program) stop() error { return p.end(syscall.SIGTERM) }

// end does nothing if it does not run.
func (p *program) end(signal syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	gone := p.cmd.Process.Signal(signal)
	err := p.cmd.Wait()
	p.cmd = nil
	if gone != nil {
		return fmt.Errorf("%s had ended by itself: %w", p.command[0], err)
	}
	return err
}

func (p *program) logged() string {
	text, err := os.ReadFile(p.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	return string(text)
}
