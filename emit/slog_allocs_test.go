//go:build !race

package emit_test

import (
	"log/slog"
	"testing"

	"github.com/journald-router/journald-router/emit"
)

// A record of simple attributes costs no allocation beside what slog itself makes of
// it, and what the queue keeps: its slots, which the first round fills.
func TestSlogAllocations(t *testing.T) {
	ctx := t.Context()
	for name, o := range map[string]emit.HandlerOptions{"plain": {}, "source": {AddSource: true}} {
		e := drain(t)
		log := slog.New(emit.NewHandler(e, o)).With("service", "shop", "version", 3)
		for range 1 << 17 {
			logThree(ctx, log)
		}
		if n := testing.AllocsPerRun(10000, func() { logThree(ctx, log) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
