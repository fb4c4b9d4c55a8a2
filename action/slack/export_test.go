package slack

import "time"

// SetClock has the action take another clock for the machine's.
func SetClock(a *Action, now func() time.Time) { a.clock.local = now }
