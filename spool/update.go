package spool

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/journald-router/journald-router/internal/failpoint"
	bolt "go.etcd.io/bbolt"
)

// What is changed at the same time becomes durable together: while one transaction
// is written and synced, the others that want one gather, and the next is theirs, in
// the order in which they came. Nobody waits for company.

// A part is what one caller changes in a transaction.
type part struct {
	op    string
	apply func(tx *bolt.Tx) (then func(), err error)
	then  func()

	// Guarded by Spool.write.
	done bool
	err  error
}

// view is one transaction that only reads. What it is given by bbolt must not be
// kept beyond it.
func (s *Spool) view(read func(tx *bolt.Tx) error) error {
	s.swap.RLock()
	defer s.swap.RUnlock()
	return s.db.View(read)
}

// update makes a change, alone or with others in one transaction. apply returns what
// is to be done in memory once the file has it; that runs with s.mu held. See unsynced
// for what the file has, but the disk may not. apply is called again where the
// transaction has failed that it was in with others, and must find the states of
// queues by Queue.staged, as those may have changed them.
func (s *Spool) update(op string, apply func(tx *bolt.Tx) (then func(), err error)) error {
	p := &part{op: op, apply: apply}
	s.mu.Lock()
	s.waiting = append(s.waiting, p)
	s.mu.Unlock()
	s.write.Lock()
	defer s.write.Unlock()
	if !p.done {
		s.updateWaiting()
	}
	if p.err != nil {
		return fmt.Errorf("%s in spool %s: %w", op, s.path, p.err)
	}
	return nil
}

// updateFreeing is update for what makes room, or must not wait for it: on a full
// disk it may use what the reserve has set aside.
func (s *Spool) updateFreeing(op string, apply func(tx *bolt.Tx) (then func(), err error)) error {
	for {
		err := s.update(op, apply)
		full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
		if !full || !s.reserve.shrink() {
			return err
		}
	}
}

// updateWaiting makes all changes that wait. Where they cannot be made together,
// one may be at fault, or they are too much for the disk: then each is made alone.
func (s *Spool) updateWaiting() {
	s.mu.Lock()
	all := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	err := s.commit(all)
	for _, p := range all {
		if p.done, p.err = true, err; err != nil && len(all) > 1 {
			p.err = s.commit([]*part{p})
		}
	}
}

// forgetHeads is for a transaction that has failed: a queue may have kept a block
// that another change in it had added, and whose number will be another's.
func (s *Spool) forgetHeads() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		q.head = nil
	}
}

// commit makes the changes in one transaction.
func (s *Spool) commit(all []*part) error {
	if err := s.syncLast(); err != nil {
		return err
	}
	s.buffers.free()
	s.staged = make(map[*Queue]queueState)
	var id int
	err := s.db.Update(func(tx *bolt.Tx) (err error) {
		id = tx.ID()
		for _, p := range all {
			if p.then, err = p.apply(tx); err != nil {
				return err
			}
			failpoint.Hit(p.op, "commit")
		}
		return nil
	})
	s.staged = nil
	if err != nil && !s.holds(id) {
		s.forgetHeads()
		return err
	}
	s.unsynced.Store(err != nil)
	for _, p := range all {
		failpoint.Hit(p.op, "committed")
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range all {
		if p.then != nil {
			p.then()
		}
	}
	return nil
}
