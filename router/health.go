package router

import (
	"fmt"
	"sync"
	"time"
)

// health knows of each loop what it is doing, and until when that may take. It
// is what the watchdog is fed by.
type health struct {
	start time.Time
	mu    sync.Mutex
	steps map[*step]struct{}
}

// A step is one loop's place in health.
type step struct {
	health   *health
	what     string
	deadline time.Duration // since start; 0 while the loop waits
}

func newHealth() *health {
	return &health{start: time.Now(), steps: make(map[*step]struct{})}
}

// join adds a loop, which is waiting at first.
func (h *health) join() *step {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &step{health: h}
	h.steps[s] = struct{}{}
	return s
}

func (s *step) leave() {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	delete(s.health.steps, s)
}

// begin says what the loop does now, and how long that may take.
func (s *step) begin(what string, limit time.Duration) {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	s.what, s.deadline = what, time.Since(s.health.start)+limit
}

// wait says that the loop waits for something that may never come.
func (s *step) wait() {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	s.deadline = 0
}

func (h *health) check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Since(h.start)
	for s := range h.steps {
		if s.deadline != 0 && now > s.deadline {
			return fmt.Errorf("%s is stuck: overdue by %v", s.what, (now - s.deadline).Round(time.Second))
		}
	}
	return nil
}
