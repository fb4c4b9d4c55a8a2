package spool

import (
	"bytes"
	"fmt"
	"time"

	"github.com/journald-router/journald-router/internal/failpoint"
	bolt "go.etcd.io/bbolt"
)

// A Fate is what becomes of a delivery after a try.
type Fate int

const (
	// Retry leaves the delivery in the queue, with one attempt more.
	Retry Fate = iota
	// Accepted takes it out of the queue: the destination has it.
	Accepted
	// Rejected makes it a dead letter: the destination will never take it.
	Rejected
	// GivenUp makes it a dead letter: its time has run out. Unlike a Rejected one
	// it is no sign of life from the destination.
	GivenUp
)

// An Outcome is the fate of one peeked delivery, and why.
type Outcome struct {
	Fate Fate
	// Untried says that the delivery itself was not tried this time: it counts as
	// no attempt, and tells nothing of the destination.
	Untried bool
	// Late says that the try began before the last failure, and so tells nothing new of
	// the destination: neither that it works again, nor that it has failed once more.
	Late bool
	// Cause is the failure in words that may be stored and shown: without
	// secrets. It is empty for an accepted delivery.
	Cause string
	// Text is what was, or would have been, sent. A dead letter keeps it.
	Text string
}

// Settle stores, in one transaction, what became of deliveries that were
// peeked together; outcomes are in their order. Accepted and buried ones leave the queue. If
// one has failed, the next try is due after the wait. What was put into the memory, which
// may be nil, becomes durable with that. After an error nothing has changed: the
// deliveries will be peeked again.
func (q *Queue) Settle(batch []Delivery, outcomes []Outcome, wait time.Duration, memory *Memory) error {
	if len(batch) == 0 {
		return nil
	}
	s := q.spool
	settle := func(tx *bolt.Tx) (func(), error) {
		state, now := q.staged(), time.Now()
		dead := s.lettersIn(tx)
		for i, d := range batch {
			o := outcomes[i]
			if o.Fate == Retry {
				if !o.Untried {
					state.attempted(d.at)
				}
				continue
			}
			state.settled(d)
			if o.Fate == Accepted {
				continue
			}
			letter := Letter{Delivery: d, BuriedAt: now, Cause: o.Cause, Sent: o.Text}
			if !o.Untried {
				letter.Attempts++
			}
			if err := dead.bury(letter); err != nil {
				return nil, err
			}
		}
		counted, err := dead.close()
		if err != nil {
			return nil, err
		}
		state.Failures.settled(outcomes, now, wait)
		gone, err := q.advance(tx, &state)
		if err != nil {
			return nil, err
		}
		if err := q.stage(tx, state); err != nil {
			return nil, err
		}
		stored, err := memory.store(tx)
		if err != nil {
			return nil, err
		}
		return func() {
			counted()
			stored()
			q.becomeLocked(state, gone)
			q.decidedLocked(batch)
			close(s.freed)
			s.freed = make(chan struct{})
		}, nil
	}
	failpoint.Hit("settle", "begin")
	return s.updateFreeing("settle", settle)
}

// becomeLocked takes over what a transaction has made of the queue, and forgets
// the blocks that it has removed.
func (q *Queue) becomeLocked(state queueState, gone []uint64) {
	q.state = state
	if q.head != nil && q.head.number < state.Head.Block {
		q.head = nil
	}
	for _, number := range gone {
		q.spool.recent.drop(number)
	}
}

// advance moves the head over what is settled, and removes the blocks that it
// leaves; those that no other queue needs are returned.
func (q *Queue) advance(tx *bolt.Tx, state *queueState) (gone []uint64, err error) {
	bucket := tx.Bucket(bucketQueues).Bucket([]byte(q.action))
	for {
		if m, ok := state.mark(state.Head); ok && m.Settled {
			state.Marks = state.Marks[1:]
			state.Head.Item++
			continue
		}
		key, value := bucket.Cursor().Seek(blockKey(state.Head.Block))
		if key == nil {
			return gone, nil
		}
		number, err := blockNumber(key)
		if err != nil {
			return nil, err
		}
		if number > state.Head.Block {
			state.Head = place{Block: number}
			continue
		}
		n, err := countItems(value)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", number, err)
		}
		if state.Head.Item < n {
			return gone, nil
		}
		key = bytes.Clone(key)
		if err := bucket.Delete(key); err != nil {
			return nil, err
		}
		state.Head = place{Block: number + 1}
		if !wanted(tx, key) {
			if err := tx.Bucket(bucketBlocks).DeleteBucket(key); err != nil {
				return nil, err
			}
			gone = append(gone, number)
		}
	}
}

// wanted tells whether any queue still has deliveries in the block.
func wanted(tx *bolt.Tx, key []byte) bool {
	queues := tx.Bucket(bucketQueues)
	c := queues.Cursor()
	for action, _ := c.First(); action != nil; action, _ = c.Next() {
		if queues.Bucket(action).Get(key) != nil {
			return true
		}
	}
	return false
}
