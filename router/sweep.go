package router

import (
	"context"
	"time"
)

// sweepEvery is how often is looked for dead letters that got too old.
const sweepEvery = time.Minute

// sweeper removes the dead letters that exceed the limit, and tells how many went,
// here and where more were buried.
type sweeper struct {
	router *Router
	told   uint64 // removed letters that were told of
}

func (r *Router) newSweeper() *sweeper {
	return &sweeper{router: r, told: r.removedLetters()}
}

// run sweeps at the start, and then once in a while, until ctx is done.
func (s *sweeper) run(ctx context.Context) {
	step := s.router.health.join()
	defer step.leave()
	for {
		s.sweep(ctx, step)
		s.tell()
		step.wait()
		if s.router.Once || !sleep(ctx, sweepEvery) {
			return
		}
	}
}

func (s *sweeper) sweep(ctx context.Context, step *step) {
	for ctx.Err() == nil {
		step.begin("removing dead letters", readLimit)
		n, err := s.router.Spool.RemoveLetters()
		if err != nil {
			s.router.Log.Error("dead letters that exceed the limit are still there; it will be tried again", "err", err, "in", sweepEvery)
		}
		if n == 0 {
			return
		}
	}
}

// tell logs how many letters went since it last did.
func (s *sweeper) tell() {
	removed := s.router.removedLetters()
	if n := removed - s.told; n > 0 {
		limit := s.router.Spool.LetterLimit()
		s.router.Log.Warn("the oldest dead letters were removed, as the limit dead_letters demands",
			"count", n, "max", limit.Max, "max_age", limit.MaxAge)
	}
	s.told = removed
}

func (r *Router) removedLetters() (n uint64) {
	for _, c := range r.Spool.LetterCounts() {
		n += c.Removed
	}
	return n
}
