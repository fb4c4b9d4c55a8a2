package exec

import "time"

// SetKillDelay makes tests of SIGKILL quick.
func (a *Action) SetKillDelay(d time.Duration) { a.killDelay = d }
