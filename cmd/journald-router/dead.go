package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/journald-router/journald-router/config"
	"github.com/journald-router/journald-router/control"
	"github.com/journald-router/journald-router/spool"
	"github.com/spf13/cobra"
)

func newDeadCommand(o *options) *cobra.Command {
	dead := &cobra.Command{
		Use:   "dead",
		Short: "Look at dead letters, try them again, or drop them",
		Long: `A dead letter is a delivery that was given up: its destination refused it for
good, or failed for too long. It is kept until it is retried or dropped. These
commands work beside the running daemon, and without it.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{errors.New("say which: dead list, dead show, dead retry or dead drop")}
		},
	}
	dead.AddCommand(newDeadListCommand(o), newDeadShowCommand(o), newDeadRetryCommand(o), newDeadDropCommand(o))
	return dead
}

// format is the flag --output.
type format struct{ name string }

func (f *format) flag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.name, "output", "o", "text", "output `FORMAT`: text or json")
}

func (f *format) json() (bool, error) {
	switch f.name {
	case "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, usageError{fmt.Errorf("--output %s: want text or json", f.name)}
}

func newDeadListCommand(o *options) *cobra.Command {
	var chosen selection
	var out format
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the dead letters, the oldest first",
		Long: `List prints a line for each dead letter that all given flags choose; the ids are
shortened, and may be given so to the other commands. With --output json it prints an array with every letter
whole, one a line: id, time, queued, rule, action, attempts, cause, text,
captures, record.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			if err := chosen.choose(cmd, nil); err != nil {
				return err
			}
			return withLetters(cmd.Context(), o.config, cmd.OutOrStdout(), func(letters control.Letters, out io.Writer) error {
				list := letters.List(cmd.Context(), chosen.Filter)
				if asJSON {
					return listJSON(out, list)
				}
				n, err := listText(out, list)
				if n == 0 && err == nil {
					fmt.Fprintln(cmd.ErrOrStderr(), chosen.none())
				}
				return err
			})
		},
	}
	chosen.flags(cmd)
	out.flag(cmd)
	return cmd
}

// shortID is enough of an id for people, and almost surely unique.
func shortID(id string) string { return id[:min(len(id), 12)] }

func listText(out io.Writer, list iter.Seq2[spool.LetterView, error]) (n int, err error) {
	const aligned = 1000 // lines: the width of a column is that of the widest of them
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for l, err := range list {
		if err != nil {
			return n, errors.Join(err, w.Flush())
		}
		if n > 0 && n%aligned == 0 {
			if err := w.Flush(); err != nil {
				return n, err
			}
		}
		if n++; n == 1 {
			fmt.Fprintln(w, "ID\tTIME\tACTION\tRULE\tATTEMPTS\tCAUSE")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", shortID(l.ID), l.Time.Local().Format(time.DateTime), l.Action, l.Rule, l.Attempts, l.Cause)
	}
	return n, w.Flush()
}

func listJSON(out io.Writer, list iter.Seq2[spool.LetterView, error]) error {
	open := "["
	for l, err := range list {
		if err != nil {
			return err
		}
		b, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("print dead letter %s: %w", l.ID, err)
		}
		if _, err := fmt.Fprintf(out, "%s%s", open, b); err != nil {
			return err
		}
		open = ",\n"
	}
	if open != "[" {
		open = ""
	}
	_, err := fmt.Fprintln(out, open+"]")
	return err
}

func newDeadShowCommand(o *options) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one dead letter whole",
		Args:  exactlyOneID,
		RunE: func(cmd *cobra.Command, ids []string) error {
			asJSON, err := out.json()
			if err != nil {
				return err
			}
			return withLetters(cmd.Context(), o.config, cmd.OutOrStdout(), func(letters control.Letters, out io.Writer) error {
				l, err := findLetter(cmd.Context(), letters, ids[0])
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(out).Encode(l)
				}
				return showText(out, l)
			})
		},
	}
	out.flag(cmd)
	return cmd
}

func exactlyOneID(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{errors.New("dead show: give one ID, as dead list prints it")}
	}
	return nil
}

func findLetter(ctx context.Context, letters control.Letters, id string) (found spool.LetterView, err error) {
	if err := spool.CheckID(id); err != nil {
		return found, err
	}
	for l, err := range letters.List(ctx, spool.Filter{IDs: []string{id}}) {
		if err != nil {
			return found, err
		}
		if found.ID != "" && found.ID != l.ID {
			return found, fmt.Errorf("dead letter %s: more than one id begins with that; give more of it", id)
		}
		found = l
	}
	if found.ID == "" {
		return found, fmt.Errorf("dead letter %s: %w", id, spool.ErrNoLetter)
	}
	return found, nil
}

func showText(out io.Writer, l spool.LetterView) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "id:\t%s\n", l.ID)
	fmt.Fprintf(w, "action:\t%s\n", l.Action)
	fmt.Fprintf(w, "rule:\t%s\n", l.Rule)
	fmt.Fprintf(w, "buried:\t%s\n", l.Time.Local().Format(time.RFC3339))
	fmt.Fprintf(w, "queued:\t%s\n", l.Queued.Local().Format(time.RFC3339))
	fmt.Fprintf(w, "attempts:\t%d\n", l.Attempts)
	fmt.Fprintf(w, "cause:\t%s\n", l.Cause)
	fmt.Fprintf(w, "text:\t%q\n", l.Text)
	for _, name := range slices.Sorted(maps.Keys(l.Captures)) {
		fmt.Fprintf(w, "capture %s:\t%q\n", name, l.Captures[name])
	}
	var record map[string]any
	if err := json.Unmarshal(l.Record, &record); err != nil {
		return fmt.Errorf("show dead letter %s: %w", l.ID, err)
	}
	fmt.Fprintln(w, "record:")
	for _, name := range slices.Sorted(maps.Keys(record)) {
		value, err := json.Marshal(record[name])
		if err != nil {
			return fmt.Errorf("show dead letter %s: %w", l.ID, err)
		}
		fmt.Fprintf(w, "  %s\t%s\n", name, value)
	}
	return w.Flush()
}

func newDeadRetryCommand(o *options) *cobra.Command {
	var chosen selection
	cmd := &cobra.Command{
		Use:   "retry [ID...]",
		Short: "Put dead letters back into their queues",
		Long: `Retry puts the dead letters that all given IDs and flags choose, or all of them
without any, back at the end of their actions' queues. They keep their ids. Texts are rendered anew, so
that a mended template or action applies.`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := chosen.choose(cmd, ids); err != nil {
				return err
			}
			return withLetters(cmd.Context(), o.config, cmd.OutOrStdout(), func(letters control.Letters, out io.Writer) error {
				done, err := letters.Retry(cmd.Context(), chosen.Filter)
				if err != nil {
					return err
				}
				if done.Count == 0 && len(done.Kept) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), chosen.none())
				}
				_, err = fmt.Fprintf(out, "%s put back\n", count(done.Count, "dead letter"))
				errs := []error{err}
				for _, name := range slices.Sorted(maps.Keys(done.Kept)) {
					errs = append(errs, fmt.Errorf("%s kept: the configuration has no action %q (add it and reload, or drop them)", count(done.Kept[name], "dead letter"), name))
				}
				return errors.Join(errs...)
			})
		},
	}
	chosen.flags(cmd)
	cmd.Flags().BoolVar(&chosen.all, "all", false, "all dead letters, as without any choice")
	return cmd
}

func newDeadDropCommand(o *options) *cobra.Command {
	var chosen selection
	cmd := &cobra.Command{
		Use:   "drop [ID...]",
		Short: "Delete dead letters for good",
		Long: `Drop deletes the dead letters that all given IDs and flags choose. All of them go
only with --all.`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := chosen.choose(cmd, ids); err != nil {
				return err
			}
			if !chosen.all && !chosen.chosen() {
				return usageError{errors.New("dead drop: give IDs, --action, --rule or --all, or another choice: see --help")}
			}
			return withLetters(cmd.Context(), o.config, cmd.OutOrStdout(), func(letters control.Letters, out io.Writer) error {
				done, err := letters.Drop(cmd.Context(), chosen.Filter)
				if err != nil {
					return err
				}
				if done.Count == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), chosen.none())
				}
				_, err = fmt.Fprintf(out, "%s dropped\n", count(done.Count, "dead letter"))
				return err
			})
		},
	}
	chosen.flags(cmd)
	cmd.Flags().BoolVar(&chosen.all, "all", false, "all dead letters")
	return cmd
}

// withLetters finds the letters of the configuration's state directory. What do
// prints goes to out; the spool, which a daemon may want to open, is closed before
// that, as a pager may hold up the output for long.
func withLetters(ctx context.Context, path string, out io.Writer, do func(l control.Letters, out io.Writer) error) error {
	return reach(ctx, path, func(daemon *control.Remote) error { return do(daemon, out) }, func(s *spool.Spool, c *config.Summary) error {
		known := func(name string) bool { return c.Actions[name] != "" }
		return buffered(out, func(out io.Writer) error {
			return errors.Join(do(control.Local{Spool: s, HasAction: known}, out), s.Close())
		})
	})
}

// buffered keeps what do prints in a file until do has ended.
func buffered(out io.Writer, do func(io.Writer) error) error {
	file, err := os.CreateTemp("", "journald-router-")
	if err != nil {
		return fmt.Errorf("keep the output: %w", err)
	}
	defer file.Close()
	if err := os.Remove(file.Name()); err != nil {
		return fmt.Errorf("keep the output: %w", err)
	}
	w := bufio.NewWriter(file)
	err = errors.Join(do(w), w.Flush())
	if _, seekErr := file.Seek(0, io.SeekStart); seekErr != nil {
		return errors.Join(err, seekErr)
	}
	_, copyErr := io.Copy(out, file)
	return errors.Join(err, copyErr)
}
