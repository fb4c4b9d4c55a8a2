package exec

import (
	"context"
	"fmt"
	"os/exec"
)

// Probe implements action.Prober: is the program there, and may it be run? It is not.
func (a *Action) Probe(context.Context) error {
	if _, err := exec.LookPath(a.command[0]); err != nil {
		return fmt.Errorf("look for the program: %w", err)
	}
	return nil
}
