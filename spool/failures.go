package spool

import "time"

// Failures are those of a destination that no success came after. They are zero
// for one that works.
type Failures struct {
	// Count is how many tries have failed in a row.
	Count int `json:"failures,omitempty"`
	// Since and Last are the times of the first and the last of them.
	Since time.Time `json:"failing_since,omitzero"`
	Last  time.Time `json:"last_failure,omitzero"`
	// Wait is how long after the last one the next try is due.
	Wait time.Duration `json:"wait,omitempty"`
	// Error is the last failure in words.
	Error string `json:"last_error,omitempty"`
	// Lasted is how long the destination had failed at the last failure, not
	// counting the times in which nothing was tried.
	Lasted time.Duration `json:"lasted,omitempty"`
}

// Due is how long to wait before the next try: no longer than was meant, even
// if the clock was set back.
func (f Failures) Due(now time.Time) time.Duration {
	return max(0, min(f.Wait, f.Last.Add(f.Wait).Sub(now)))
}

// LastedUntil is Lasted as of now. A time without a try, such as that in which
// the machine was off, or a clock that jumped, counts for no more than the wait
// that was due and tryTime.
func (f Failures) LastedUntil(now time.Time) time.Duration {
	if f.Count == 0 {
		return 0
	}
	return f.Lasted + max(0, min(now.Sub(f.Last), f.Wait+tryTime))
}

// tryTime is what one try may take and count as failing time.
const tryTime = 5 * time.Minute

// settled takes in what became of one call. If it has failed, the next try is due after
// the wait.
func (f *Failures) settled(outcomes []Outcome, now time.Time, wait time.Duration) {
	failed, answered, late, cause := false, false, false, f.Error
	for _, o := range outcomes {
		if o.Untried {
			continue
		}
		late = late || o.Late
		switch o.Fate {
		case Accepted, Rejected:
			answered = true
		case Retry, GivenUp:
			failed, cause = true, o.Cause
		}
	}
	switch {
	case late && failed && f.Count > 0:
		f.Wait = max(f.Wait, now.Sub(f.Last)+wait)
	case late && !failed:
	case failed:
		if answered {
			*f = Failures{}
		}
		f.failed(now, wait, cause)
	case answered:
		*f = Failures{}
	}
}

// failed adds one failure.
func (f *Failures) failed(now time.Time, wait time.Duration, cause string) {
	if f.Count == 0 {
		f.Since = now
	}
	f.Lasted = f.LastedUntil(now)
	f.Last, f.Wait, f.Error = now, wait, cause
	f.Count++
}
