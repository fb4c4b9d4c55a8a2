// Package journaltest runs private systemd-journalds, and forges journals, for
// tests and demonstrations. Nothing of it needs a running systemd, but the
// programs must be installed, and starting a journald takes root.
//
// A private journald is an instance for a journal namespace of its own
// (systemd-journald.service(8), "Journal Namespaces"): it takes no messages but
// those sent to its own sockets, and its files are apart from the machine's.
package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/internal/child"
)

// Options of a private journald. The zero value keeps its journal in /run.
type Options struct {
	// Namespace is its name; the default is one of its own.
	Namespace string
	// Persistent keeps the journal in /var/log/journal instead of /run/log/journal.
	Persistent bool
	// Config has further lines for the [Journal] section of journald.conf(5).
	Config []string
}

// Journald is a running private journald.
type Journald struct {
	*Client
	namespace string
	dir       string // of journal files
	conf      string // directory

	cmd    *exec.Cmd
	stderr bytes.Buffer // readable once exited is closed
	exited <-chan struct{}
}

// ErrNotInstalled is returned where a program is missing; the error names the
// Debian package that has it.
var ErrNotInstalled = errors.New("not installed")

// Run starts a private journald, which Close ends and removes with its journal.
func Run(o Options) (*Journald, error) {
	j, err := run(o)
	if err != nil {
		return nil, fmt.Errorf("start private journald: %w", err)
	}
	return j, nil
}

func run(o Options) (*Journald, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("it takes root: use sudo")
	}
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return nil, fmt.Errorf("%w: run systemd-machine-id-setup", err)
	}
	if o.Namespace == "" {
		sweep()
		o.Namespace = newName()
	}
	j := &Journald{
		namespace: o.Namespace,
		dir:       "/run/log/journal/" + strings.TrimSpace(string(id)) + "." + o.Namespace,
		Client:    NewClient(o.Namespace),
		conf:      "/run/systemd/journald@" + o.Namespace + ".conf.d",
	}
	storage := "volatile"
	if o.Persistent {
		storage = "persistent"
		j.dir = strings.Replace(j.dir, "/run/", "/var/", 1)
	}
	for _, path := range []string{j.dir, j.sockets} {
		if _, err := os.Stat(path); err == nil {
			return nil, fmt.Errorf("namespace %s is in use: %s exists", o.Namespace, path)
		}
	}
	// Nothing of a test may be dropped by a rate limit, nor by journald's own exit
	// after 30 idle seconds, which it forgoes only when it has a retention time
	// to watch over.
	lines := append([]string{"[Journal]", "Storage=" + storage, "RateLimitIntervalSec=0", "MaxRetentionSec=1day",
		"Audit=no", "ForwardToSyslog=no", "ForwardToWall=no"}, o.Config...)
	if err := os.MkdirAll(j.conf, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(j.conf, "journald.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		j.remove()
		return nil, err
	}
	if err := j.launch(); err != nil {
		j.remove()
		return nil, err
	}
	return j, nil
}

// launch starts the process and waits until it answers.
func (j *Journald) launch() error {
	program, err := find("systemd-journald", "systemd")
	if err != nil {
		return err
	}
	cmd := exec.Command(program, j.namespace)
	j.stderr.Reset()
	cmd.Stderr = &j.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	exited, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return err
	}
	j.cmd, j.exited = cmd, exited
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if _, err = os.Stat(filepath.Join(j.sockets, "io.systemd.journal")); err == nil {
			if err = j.Sync(); err == nil {
				return nil
			}
		}
		select {
		case <-exited:
			return fmt.Errorf("it exited: %s\n%s", cmd.ProcessState, &j.stderr)
		default:
		}
		if time.Now().After(deadline) {
			j.stop(syscall.SIGKILL)
			return fmt.Errorf("it does not answer: %w\n%s", err, &j.stderr)
		}
	}
}

// Namespace is its name, for `journalctl --namespace` and the like.
func (j *Journald) Namespace() string { return j.namespace }

// Dir is the directory of its journal files. It may not exist before the first
// entry.
func (j *Journald) Dir() string { return j.dir }

// PID is that of the process.
func (j *Journald) PID() int { return j.cmd.Process.Pid }

// Sync returns when all that was sent before it is in the journal, and on disk.
func (j *Journald) Sync() error { return j.journalctl("--sync") }

// Rotate has journald archive its files and begin new ones.
func (j *Journald) Rotate() error { return j.journalctl("--rotate") }

// Vacuum deletes archived files until at most n files are left.
func (j *Journald) Vacuum(n int) error { return j.journalctl(fmt.Sprintf("--vacuum-files=%d", n)) }

func (j *Journald) journalctl(arg string) error {
	program, err := exec.LookPath("journalctl")
	if err != nil {
		return fmt.Errorf("journalctl: %w: apt-get install systemd", ErrNotInstalled)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--namespace="+j.namespace, arg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("journalctl %s: %w: %s", arg, err, bytes.TrimSpace(out))
	}
	return nil
}

// Stop ends the process with SIGTERM; its journal stays.
func (j *Journald) Stop() { j.stop(syscall.SIGTERM) }

// Kill ends the process with SIGKILL; its journal stays, as a crash leaves it.
func (j *Journald) Kill() { j.stop(syscall.SIGKILL) }

func (j *Journald) stop(sig syscall.Signal) {
	if j.cmd == nil {
		return
	}
	j.cmd.Process.Signal(sig)
	select {
	case <-j.exited:
	case <-time.After(10 * time.Second):
		j.cmd.Process.Kill()
		<-j.exited
	}
	j.Disconnect()
}

// Restart ends the process if it still runs, and starts it again.
func (j *Journald) Restart() error {
	j.Stop()
	if err := j.launch(); err != nil {
		return fmt.Errorf("restart private journald: %w", err)
	}
	return nil
}

// Done is closed when the process has ended.
func (j *Journald) Done() <-chan struct{} { return j.exited }

// Close ends the process, and removes its journal and all else.
func (j *Journald) Close() error {
	j.Stop()
	return j.remove()
}

func (j *Journald) remove() error {
	return errors.Join(os.RemoveAll(j.dir), os.RemoveAll(j.sockets), os.RemoveAll(j.conf))
}

const prefix = "journaltest-"

// newName names a namespace after this process, so that sweep can tell whether
// it is still wanted.
func newName() string {
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), n)
		if err := os.Mkdir("/run/systemd/journald@"+name+".conf.d", 0o755); !errors.Is(err, os.ErrExist) {
			return name // any other error comes up again at once
		}
	}
}

// sweep removes what tests that were killed have left behind.
func sweep() {
	for _, pattern := range []string{
		"/run/systemd/journald@" + prefix + "*.conf.d", "/run/systemd/journal." + prefix + "*",
		"/run/log/journal/*." + prefix + "*", "/var/log/journal/*." + prefix + "*",
	} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			var pid int
			_, name, _ := strings.Cut(path, prefix)
			fmt.Sscanf(name, "%d-", &pid)
			if pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				os.RemoveAll(path)
			}
		}
	}
}

// find looks for one of systemd's own programs, which are on nobody's PATH.
func find(program, debianPackage string) (string, error) {
	for _, dir := range []string{"/usr/lib/systemd", "/lib/systemd"} {
		path := filepath.Join(dir, program)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w: apt-get install %s", program, ErrNotInstalled, debianPackage)
}
