//go:build torture

package torture

import (
	"encoding/json"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/journald-router/journald-router/action/metrics"
	"github.com/journald-router/journald-router/router"
	"github.com/journald-router/journald-router/spool"
)

// counted is what the action count has in the spool. It must be what the queue has not,
// at any time.
func counted(t *testing.T, s *spool.Spool) int {
	t.Helper()
	a, err := metrics.New(metrics.Config{"lines_total": {Type: metrics.Counter, Help: "Lines."}})
	if err != nil {
		t.Fatal(err)
	}
	a.Remember(s.Queue("count").Memory())
	return int(testutil.ToFloat64(a))
}

// checkCount wants each line to be counted once.
func (r *rig) checkCount(lines int) {
	r.Helper()
	s, err := spool.OpenExisting(r.state())
	if err != nil {
		r.Fatal(err)
	}
	defer s.Close()
	if n := counted(r.T, s); n != lines {
		r.Errorf("%d lines are counted, want %d", n, lines)
	}
}

// queued is how many deliveries the running program has for the action.
func (r *rig) queued(action string) int64 {
	r.Helper()
	var now router.Snapshot
	if err := json.Unmarshal([]byte(r.run("status", "--output", "json")), &now); err != nil {
		r.Fatal(err)
	}
	for _, a := range now.Actions {
		if a.Name == action {
			return a.Queued
		}
	}
	r.Fatalf("status has no action %s", action)
	return 0
}
