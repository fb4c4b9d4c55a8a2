package main

import (
	"fmt"
	"strings"

	"github.com/journald-router/journald-router/config"
	"github.com/spf13/cobra"
)

func newCheckCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, and print every mistake",
		Long: `Check reads the configuration and its drop-ins as "run" would, connects to
nothing and starts nothing. Every mistake is printed as file:line:column, with
what to do about it. Notes are about what is legal but should be known.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(o.config, config.Options{Check: true})
			if err != nil {
				return err
			}
			for _, note := range c.Notes {
				fmt.Fprintf(cmd.ErrOrStderr(), "note: %v\n", note)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: valid: %s, %s\n", strings.Join(c.Files, ", "),
				count(len(c.Rules.Rules()), "rule"), count(len(c.Actions), "action"))
			return err
		},
	}
}

func count(n int, what string) string {
	if stem, ok := strings.CutSuffix(what, "y"); ok && n != 1 {
		what = stem + "ies"
	} else if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
