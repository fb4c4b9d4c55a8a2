package spool

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
)

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
