package slack

import "time"

// SetClock has the action take another clock for the machine's.
func SetClock(a *Action, now func() time.Time) { a.clock.local = now }

// Age has the deliveries that have ended be that much longer ago.
func Age(a *Action, by time.Duration) {
	for i := range a.ended {
		a.ended[i].at = a.ended[i].at.Add(-by)
	}
}
