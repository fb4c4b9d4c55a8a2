// Package exec is the action that runs a command.
//
// A message is never part of a command line: it reaches the command on standard
// input and in its environment. Any local user can log any message, so a rule
// that leads here does well to match a trusted field, such as _SYSTEMD_UNIT.
package exec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/journald-router/journald-router/action"
)

// Config is the action's section of the configuration.
type Config struct {
	// Command is the program and its arguments, each as it is: no shell sees
	// them. The program is an absolute path, or a name to be found in the daemon's
	// PATH. Required.
	Command []string `yaml:"command,required"`
	// Env are more variables for the command's environment; they go before the
	// action's own.
	Env map[string]action.Secret `yaml:"env"`
	// Timeout is how long the command may run. Then its process group is sent
	// SIGTERM, and 2 seconds later SIGKILL. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
}

// Action runs the command once for a delivery.
//
// Standard input is the entry as one line of JSON, in the form of journalctl
// --output=json; output is thrown away. The environment is described at environ.
// Exit status 0 means accepted, 65 (EX_DATAERR of sysexits.h) never to be
// accepted; any other, a signal or the time limit, to be tried again. What is
// left of the command's process group when it has ended is killed.
type Action struct {
	command   []string
	env       []string
	secrets   []string // what an error may not say
	timeout   time.Duration
	killDelay time.Duration
	spawned   func(pid int) (ended func())
}

var (
	_ action.TimeLimiter = (*Action)(nil)
	_ action.Parallel    = (*Action)(nil)
	_ action.Prober      = (*Action)(nil)
	_ action.Pinned      = (*Action)(nil)
)

// New makes the action; it starts nothing, and does not look for the program.
// Its errors are *action.FieldError, joined.
func New(c Config) (*Action, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	a := &Action{command: slices.Clone(c.Command), timeout: c.Timeout, killDelay: defaultKillDelay}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		a.env = append(a.env, name+"="+c.Env[name].Reveal())
		a.secrets = append(a.secrets, c.Env[name].Reveal())
	}
	return a, nil
}

func (c Config) check() error {
	var errs []error
	refuse := func(key, problem, hint string) {
		errs = append(errs, &action.FieldError{Key: key, Problem: problem, Hint: hint})
	}
	const list = "write a list, the program first: command: [/usr/local/bin/page, --team, growth]"
	switch {
	case len(c.Command) == 0 || c.Command[0] == "":
		refuse("command", "is missing", list)
	case strings.Contains(c.Command[0], "/") && !filepath.IsAbs(c.Command[0]):
		refuse("command", "begins with a relative path", "write an absolute path, or a name without / to look for in PATH")
	case strings.ContainsAny(c.Command[0], " \t\n") && len(c.Command) == 1:
		refuse("command", "is one word with spaces in it", list)
	case strings.ContainsRune(strings.Join(c.Command, ""), 0):
		refuse("command", "has a NUL in it", "no argument can")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			refuse("env."+name, "is not a variable's name", "use letters, digits and _")
		case strings.ContainsRune(c.Env[name].Reveal(), 0):
			refuse("env."+name, "has a NUL in its value", "no variable can")
		}
	}
	if c.Timeout < 0 {
		refuse("timeout", "is negative", "write a time like 30s, or leave it out")
	}
	return errors.Join(errs...)
}

// Parallel implements action.Parallel.
func (*Action) Parallel() {}

// TimeLimit implements action.TimeLimiter.
func (a *Action) TimeLimit() time.Duration {
	if a.timeout == 0 {
		return action.DefaultTimeout
	}
	return a.timeout
}

// SetSpawned has f called with the process id of each command, as soon as it has
// started, and the function that f returns once it has ended: by this the
// router knows the journal entries that it has caused itself. It is called
// before the first Deliver.
func (a *Action) SetSpawned(f func(pid int) (ended func())) { a.spawned = f }

// Pin implements action.Pinned.
func (*Action) Pin() (risk string, must bool) { return "run the command of", false }

// Deliver implements action.Action.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	if err := a.run(ctx, batch[0]); err != nil {
		return fmt.Errorf("run %s: %w", a.command[0], err)
	}
	return nil
}
