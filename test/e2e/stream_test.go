package e2e

import "github.com/journald-router/journald-router/journal/journaltest"

// A stream of lines is logged in shares, one for each kill and one more, so that kills
// fall everywhere in it.
type stream struct {
	share  chan struct{}
	logged chan error
}

// newStream begins a stream of so many lines, with the n-th as message has it.
func newStream(j *journaltest.T, lines, kills int, message func(n int) string) *stream {
	s := &stream{share: make(chan struct{}, kills+1), logged: make(chan error, 1)}
	go func() {
		for n := range lines {
			if n%(lines/(kills+1)) == 0 {
				<-s.share
			}
			if err := j.Journald.Print(message(n)); err != nil {
				s.logged <- err
				return
			}
		}
		s.logged <- nil
	}()
	return s
}

// next lets another share be logged.
func (s *stream) next() { s.share <- struct{}{} }

// end lets the rest be logged, and waits for that.
func (s *stream) end() error {
	close(s.share)
	return <-s.logged
}
