package spool

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/journald-router/journald-router/internal/failpoint"
	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
)

// A Queue holds the deliveries of one action, in the order of their entries. It
// belongs to one worker, who peeks, and settles what was peeked.
type Queue struct {
	spool  *Spool
	action string
	ready  chan struct{}
	kept   kept // what the action remembers

	// Guarded by spool.mu.
	state queueState
	head  *block  // the block that the last Peek began in, when it came from the file
	taken []taken // peeked and not settled: they may be on their way
}

// queueState is what a queue remembers beside its deliveries. It changes in the
// transactions that change the queue.
type queueState struct {
	// Head is the first delivery that is not settled; nothing before it is left.
	Head place `json:"head"`
	// Queued and Bytes count all that is not settled.
	Queued int64 `json:"queued"`
	Bytes  int64 `json:"bytes"`
	// Marks are deliveries from the head on that are settled already, or were
	// tried in vain.
	Marks []mark `json:"marks,omitempty"`
	// Dropped are all that were dropped, but for those that Settle was told of.
	Dropped Dropped `json:"dropped,omitzero"`
	Failures
}

type mark struct {
	place
	Settled  bool `json:"settled,omitempty"`
	Attempts int  `json:"attempts,omitempty"`
}

func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.Block, b.Block), cmp.Compare(a.Item, b.Item))
}

func newQueue(s *Spool, action string) *Queue {
	return &Queue{spool: s, action: action, ready: make(chan struct{}, 1)}
}

// Queue returns the queue of an action; one that the spool has never seen is
// empty.
func (s *Spool) Queue(action string) *Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[action]
	if q == nil {
		q = newQueue(s, action)
		s.queues[action] = q
	}
	return q
}

// A QueueStatus is how a queue stands.
type QueueStatus struct {
	Action string
	// Queued and Bytes are how many deliveries wait, and the bytes of their
	// entries.
	Queued, Bytes int64
	// Dropped are those that the queue had no room for, ever.
	Dropped Dropped
	// Failures tell of a destination that fails now.
	Failures Failures
}

// Queues returns the status of every queue that the spool knows, by name.
func (s *Spool) Queues() []QueueStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []QueueStatus
	for _, q := range s.queues {
		all = append(all, q.statusLocked())
	}
	slices.SortFunc(all, func(a, b QueueStatus) int { return cmp.Compare(a.Action, b.Action) })
	return all
}

// Freed returns a channel that is closed when some queue has got smaller.
func (s *Spool) Freed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freed
}

// Crowded tells whether the workers, who keep up on the whole, have so much to do
// that they would have to read from the file what is appended now. That costs
// more than waiting a moment for Freed.
func (s *Spool) Crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recent.crowded(time.Now())
}

// Status tells how the queue stands.
func (q *Queue) Status() QueueStatus {
	q.spool.mu.Lock()
	defer q.spool.mu.Unlock()
	return q.statusLocked()
}

func (q *Queue) statusLocked() QueueStatus {
	return QueueStatus{q.action, q.state.Queued, q.state.Bytes, q.droppedLocked(), q.state.Failures}
}

// Ready receives a value when deliveries were appended since it last did.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

func (q *Queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// durable copies the state as the file has it.
func (q *Queue) durable() queueState {
	q.spool.mu.Lock()
	defer q.spool.mu.Unlock()
	state := q.state
	state.Marks = slices.Clone(state.Marks)
	return state
}

// staged copies the state as it is within the transaction under way, for it to
// prepare the next one.
func (q *Queue) staged() queueState {
	state, ok := q.spool.staged[q]
	if !ok {
		return q.durable()
	}
	state.Marks = slices.Clone(state.Marks)
	return state
}

// stage makes the state that of the queue within the transaction under way.
func (q *Queue) stage(tx *bolt.Tx, state queueState) error {
	value, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("state of queue %q: %w", q.action, err)
	}
	q.spool.staged[q] = state
	return tx.Bucket(bucketStates).Put([]byte(q.action), value)
}

// PeekBytes bounds the records of one batch where nothing else does, so that a few
// huge entries do not become one enormous call.
const PeekBytes = 8 << 20

// Peek returns the first deliveries that are not settled, at least one and at
// most limit, or none if the queue is empty.
func (q *Queue) Peek(limit int) ([]Delivery, error) { return q.PeekAfter(nil, limit, 0) }

// PeekAfter is Peek for what is behind a delivery that was peeked; nil stands for the
// queue's beginning. What was peeked behind that one before, and is not settled, counts
// as not on its way. maxBytes bounds the records, but for the first; 0 means PeekBytes.
func (q *Queue) PeekAfter(last *Delivery, limit, maxBytes int) ([]Delivery, error) {
	state := q.durable()
	if state.Queued == 0 {
		return nil, nil
	}
	from := state.Head
	if last != nil {
		from = place{last.at.Block, last.at.Item + 1}
		if comparePlaces(from, state.Head) < 0 {
			from = state.Head
		}
	}
	batch := make([]Delivery, 0, min(int64(limit), state.Queued))
	size := 0
	err := q.spool.view(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketQueues).Bucket([]byte(q.action))
		if bucket == nil {
			return fmt.Errorf("the queue is missing")
		}
		c := bucket.Cursor()
		for key, value := c.Seek(blockKey(from.Block)); key != nil; key, value = c.Next() {
			b, err := q.block(tx, key, value, len(batch) == 0)
			if err != nil {
				return err
			}
			items := b.items[q.action]
			at := place{Block: b.number}
			if b.number == from.Block {
				at.Item = from.Item
			}
			for ; at.Item < len(items); at.Item++ {
				it := items[at.Item]
				m, _ := state.mark(at)
				if m.Settled {
					continue
				}
				if it.record >= len(b.records) {
					return fmt.Errorf("block %d has no record %d", b.number, it.record)
				}
				r := b.records[it.record]
				if size += len(r.Packed()); len(batch) > 0 && size > cmp.Or(maxBytes, PeekBytes) {
					return nil
				}
				batch = append(batch, Delivery{
					ID:     DeliveryID(r.Cursor(), it.rule, q.action),
					Action: q.action, Rule: it.rule, Value: it.value, Strip: it.strip, Captures: it.captures,
					Record: r, QueuedAt: b.queuedAt, Attempts: m.Attempts, at: at,
				})
				if len(batch) >= limit {
					return nil
				}
			}
		}
		return nil
	})
	if err == nil && len(batch) == 0 && last == nil {
		err = fmt.Errorf("%d deliveries are counted, but none is there", state.Queued)
	}
	if err != nil {
		return nil, fmt.Errorf("read queue of action %q from spool %s: %w", q.action, q.spool.path, err)
	}
	peeked := len(batch)
	if batch = q.take(last, batch); len(batch) == 0 && peeked > 0 {
		return q.PeekAfter(last, limit, maxBytes) // all of it was dropped meanwhile
	}
	return batch, nil
}

// block finds a block in memory, or reads it. The queue keeps the one that its
// head is in: with a batch of 1 it is asked for again and again.
func (q *Queue) block(tx *bolt.Tx, key, items []byte, head bool) (*block, error) {
	number, err := blockNumber(key)
	if err != nil {
		return nil, err
	}
	s := q.spool
	s.mu.Lock()
	b := s.recent.get(number)
	if b == nil && q.head != nil && q.head.number == number {
		b = q.head
	}
	s.mu.Unlock()
	if b != nil {
		return b, nil
	}
	if b, err = getBlock(tx.Bucket(bucketBlocks), number); err == nil {
		b.items[q.action], err = decodeItems(items)
	}
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", number, err)
	}
	if head {
		s.mu.Lock()
		q.head = b
		s.mu.Unlock()
	}
	return b, nil
}

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

func (st *queueState) find(at place) (int, bool) {
	return slices.BinarySearchFunc(st.Marks, at, func(m mark, at place) int { return comparePlaces(m.place, at) })
}

func (st *queueState) mark(at place) (mark, bool) {
	if i, ok := st.find(at); ok {
		return st.Marks[i], true
	}
	return mark{}, false
}

// marked returns the mark of a place, made if need be.
func (st *queueState) marked(at place) *mark {
	i, ok := st.find(at)
	if !ok {
		st.Marks = slices.Insert(st.Marks, i, mark{place: at})
	}
	return &st.Marks[i]
}

func (st *queueState) attempted(at place) {
	if comparePlaces(at, st.Head) >= 0 {
		st.marked(at).Attempts++
	}
}

func (st *queueState) settled(d Delivery) {
	if comparePlaces(d.at, st.Head) < 0 {
		st.Dropped.takeBack(int64(len(d.Record.Packed()))) // it was dropped on its way
		return
	}
	if d.at == st.Head && len(st.Marks) == 0 { // in order, as mostly
		st.Head.Item++
		st.leave(d.Record)
		return
	}
	m := st.marked(d.at)
	if m.Settled {
		return
	}
	m.Settled, m.Attempts = true, 0
	st.leave(d.Record)
}

func (st *queueState) leave(r journal.Record) {
	st.Queued--
	st.Bytes -= int64(len(r.Packed()))
}
