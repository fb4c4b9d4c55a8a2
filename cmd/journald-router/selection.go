package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/spool"
	"github.com/spf13/cobra"
)

// selection are the flags that choose letters.
type selection struct {
	spool.Filter
	olderThan, newerThan age
	all                  bool
}

func (s *selection) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.Action, "action", "a", "", "only letters of the action `NAME`")
	cmd.Flags().StringVarP(&s.Rule, "rule", "r", "", "only letters of the rule `NAME`")
	cmd.Flags().Var(&s.olderThan, "older-than", "only letters that were buried longer ago than `DURATION`: 90m, 12h, 7d")
	cmd.Flags().Var(&s.newerThan, "newer-than", "only letters that were buried within the last `DURATION`")
	cmd.Flags().StringVar(&s.Cause, "cause", "", "only letters with `TEXT` in their cause, in upper or lower case")
}

// choose checks what was given, and completes the filter.
func (s *selection) choose(cmd *cobra.Command, ids []string) error {
	s.IDs = ids
	for _, name := range []string{"action", "rule", "cause"} {
		// An empty one, from a shell's variable that is not set, would stand for any.
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return usageError{fmt.Errorf("--%s is empty (leave it out for any)", name)}
		}
	}
	if s.all && s.chosen() {
		return usageError{errors.New("--all goes with no ID, --action or --rule, and no other choice")}
	}
	older, newer := s.olderThan, s.newerThan
	if newer.given() && older.time >= newer.time {
		return usageError{fmt.Errorf("no letter is older than %s and newer than %s", older.text, newer.text)}
	}
	now := time.Now()
	if older.given() {
		s.Until = now.Add(-older.time)
	}
	if newer.given() {
		s.Since = now.Add(-newer.time)
	}
	return nil
}

// chosen tells whether anything but --all was given.
func (s *selection) chosen() bool { return len(s.IDs) > 0 || len(s.words()) > 0 }

// words say what is chosen beside ids.
func (s *selection) words() (all []string) {
	for _, one := range []struct{ format, value string }{
		{"of the action %q", s.Action}, {"of the rule %q", s.Rule},
		{"older than %s", s.olderThan.text}, {"newer than %s", s.newerThan.text},
		{"of a cause with %q", s.Cause},
	} {
		if one.value != "" {
			all = append(all, fmt.Sprintf(one.format, one.value))
		}
	}
	return all
}

// none says that nothing was chosen.
func (s *selection) none() string {
	words := s.words()
	if len(words) == 0 {
		return "no dead letters"
	}
	return "no dead letter is " + strings.Join(words, " and ")
}

// age is a flag with a duration as in the configuration, more than zero.
type age struct {
	text string // as it was given
	time time.Duration
}

func (a age) given() bool { return a.time > 0 }

// Set implements pflag.Value.
func (a *age) Set(s string) error {
	d, ok := strict.ParseDuration(s)
	if !ok || d == 0 {
		return errors.New("want a duration such as 90m, 12h or 7d")
	}
	*a = age{s, d}
	return nil
}

// String implements pflag.Value.
func (a *age) String() string { return a.text }

// Type implements pflag.Value.
func (*age) Type() string { return "duration" }
