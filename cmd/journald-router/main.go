// Journald-router reads the systemd journal, matches each entry against rules,
// and delivers what matches, at least once, to Slack, webhooks, files, commands
// and more. See the README for what it is for, and docs/ for the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/journald-router/journald-router/config"
	"github.com/spf13/cobra"
)

// Exit codes, for scripts. They are documented in the README.
const (
	exitOK      = 0
	exitFailure = 1 // the error is on standard error
	exitUsage   = 2 // the command line is wrong
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program. Its result is the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "journald-router: %v\nsee journald-router --help\n", err)
		return exitUsage
	}
	var problems config.Errors
	if errors.As(err, &problems) {
		fmt.Fprintln(stderr, problems) // each with its own file:line:column
	} else {
		fmt.Fprintf(stderr, "journald-router: %v\n", err)
	}
	return exitFailure
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// options are those of every command.
type options struct{ config string }

func newCommand() *cobra.Command {
	o := new(options)
	root := newRunCommand(o)
	root.Use = "journald-router"
	root.Short = "Route journal entries to Slack, webhooks, files, commands and more"
	root.Long = `journald-router follows the systemd journal, matches each entry against the
rules of its configuration, and carries out the actions of those that match, at
least once, in order. Without a command it does what "run" does.

Exit codes: 0 success; 1 failure, explained on standard error; 2 wrong usage.`
	root.Version = version()
	root.SetVersionTemplate("journald-router {{ .Version }}\n")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentFlags().StringVarP(&o.config, "config", "c", config.DefaultPath, "configuration `FILE`; drop-ins are in config.d beside it")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newRunCommand(o), newCheckCommand(o), newStatusCommand(o), newDeadCommand(o))
	return root
}

// noArguments refuses what is no command and no flag.
func noArguments(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}

// release is set by the Makefile for a release: -X main.release=v1.2.3.
var release string

func version() string {
	v := release
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	return fmt.Sprintf("%s (%s, %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
