package router

import (
	"math/rand/v2"
	"time"
)

// diskRetry is for a spool that cannot be written: there may be room soon.
var diskRetry = Retry{Min: 100 * time.Millisecond, Max: 10 * time.Second}

// backoff is the wait after that many failures in a row, the first being 1.
func (r Retry) backoff(failures int) time.Duration {
	wait := r.Min
	for i := 1; i < failures && wait < r.Max; i++ {
		wait *= 2
	}
	wait = min(wait, r.Max)
	return wait - rand.N(wait/2+1)
}
