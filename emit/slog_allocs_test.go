//go:build !race

package emit_test

import (
	"io"
	"log/slog"
	"testing"

	"github.com/journald-router/journald-router/emit"
)

// A record with attributes that are no pointers costs no allocation, once the queue's
// slots have their memory. (With the race detector a sync.Pool forgets at random.)
func TestSlogAllocations(t *testing.T) {
	for name, o := range map[string]emit.HandlerOptions{"plain": {}, "source": {AddSource: true}} {
		path, conn := silent(t)
		go io.Copy(io.Discard, conn)
		const entries = 2048
		e := emit.New(emit.Options{Socket: path, Entries: entries})
		defer closeAll(t, e)
		log := slog.New(emit.NewHandler(e, o)).With("service", "shop", "version", 3)
		for range entries {
			logThree(t.Context(), log)
		}
		until(t, "the queue to be empty", func() bool { s := e.Stats(); return s.Written+s.Dropped == s.Sent })
		before := e.Stats().Dropped
		if n := testing.AllocsPerRun(entries/2, func() { logThree(t.Context(), log) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if n := e.Stats().Dropped - before; n > 0 {
			t.Errorf("%s: %d were dropped", name, n)
		}
	}
}
