//go:build torture

package torture

import (
	"fmt"
	"testing"
	"time"
)

// TestKills: SIGKILL at random moments under traffic.
func TestKills(t *testing.T) {
	const lines = 40 // are logged for each kill, so that they fall everywhere
	r := newRig(t, released)
	for kill := range *kills {
		r.healed.Store(kill >= *kills*3/4)
		r.allowed.Add(lines)
		r.start()
		r.anyMoment()
		r.kill()
		r.restarted()
	}
	r.start()
	r.finish("kills")
}

// anyMoment waits for some number of lines more at the slow destination, or only
// a time that may be too short for the program to get to work.
func (r *rig) anyMoment() {
	r.Helper()
	if r.random.IntN(4) > 0 {
		target := min(r.slow.reached()+r.random.IntN(80), int(r.allowed.Load()))
		waitFor(r.T, fmt.Sprintf("line %d", target), func() bool { return r.slow.reached() >= target || r.over() })
	}
	<-time.After(time.Duration(r.random.IntN(20_000)) * time.Microsecond)
}

// steps are the fail points.
var steps = []string{
	"append.begin", "append.commit", "append.committed",
	"deliver.begin", "deliver.done",
	"settle.begin", "settle.commit", "settle.committed",
}

// TestSteps: a kill at every step of append, deliver and settle.
func TestSteps(t *testing.T) {
	r := newRig(t, failing)
	for round := range *rounds {
		r.healed.Store(round >= *rounds-1)
		for _, step := range steps {
			point := fmt.Sprintf("%s:%d", step, 1+r.random.IntN(10))
			r.start("JOURNALD_ROUTER_FAILPOINT=" + point)
			waitFor(t, "the program to die at "+point, func() bool {
				r.allowed.Add(1)
				return r.over()
			})
			r.killed()
			r.restarted()
		}
	}
	r.start()
	r.finish("steps")
}
