package main

import (
	"fmt"
	"strings"

	"github.com/journald-router/journald-router/config"
	"github.com/spf13/cobra"
)

func newCheckCommand(o *options) *cobra.Command {
	var connect bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, and print every mistake",
		Long: `Check reads the configuration and its drop-ins as "run" would, connects to
nothing and starts nothing. Every mistake is printed as file:line:column, with
what to do about it. Notes are about what is legal but should be known.

With --connect it then tries the address and the credentials of every action's
destination, without sending anything there, and says which fail and why: as the
user that it runs as, and with the credentials that are in
$CREDENTIALS_DIRECTORY.`,
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
			if err != nil || !connect {
				return err
			}
			return tryDestinations(cmd.Context(), c, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&connect, "connect", false, "also try every destination's address and credentials")
	return cmd
}

func count(n int, what string) string {
	if stem, ok := strings.CutSuffix(what, "y"); ok && n != 1 {
		what = stem + "ies"
	} else if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
