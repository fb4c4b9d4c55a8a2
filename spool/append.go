package spool

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/journald-router/journald-router/internal/failpoint"
	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
)

// A Routed is an entry with all that is to be done about it.
type Routed struct {
	Record journal.Record
	To     []Target
}

// A Target is one delivery of an entry, before it has a place in a queue.
type Target struct {
	Action, Rule string
	// Value, Strip and Captures are as in Delivery.
	Value, Strip int
	Captures     map[string]string
}

// Append stores, in one transaction, that the source has been read up to the
// position, and the deliveries that came of it, each at the end of its action's
// queue. Without entries it just moves the position. After an error nothing has
// changed, and the same Append may be tried again.
//
// It fails with ENOSPC already where the disk has no room left for taking
// deliveries out: see reserve.
func (s *Spool) Append(source, position string, entries []Routed) error {
	failpoint.Hit("append", "begin")
	if err := s.reserve.hold(); err != nil && !s.hasRoom(entries) {
		return fmt.Errorf("append to spool %s: %w", s.path, err)
	}
	return s.update("append", func(tx *bolt.Tx) (func(), error) {
		if err := tx.Bucket(bucketPositions).Put([]byte(source), []byte(position)); err != nil {
			return nil, err
		}
		return s.enqueue(tx, entries, time.Now())
	})
}

// enqueue adds one block with the entries to the transaction.
func (s *Spool) enqueue(tx *bolt.Tx, entries []Routed, now time.Time) (then func(), err error) {
	if len(entries) == 0 {
		return nil, nil
	}
	blocks := tx.Bucket(bucketBlocks)
	number, err := blocks.NextSequence()
	if err != nil {
		return nil, err
	}
	b := &block{number: number, queuedAt: now, items: make(map[string][]item)}
	added := make(map[string]size)
	for _, e := range entries {
		for _, t := range e.To {
			b.items[t.Action] = append(b.items[t.Action], item{len(b.records), t.Rule, t.Value, t.Strip, t.Captures})
			added[t.Action] = added[t.Action].plus(e.Record)
		}
		b.records = append(b.records, e.Record)
		b.size += len(e.Record.Packed())
	}
	if err := s.buffers.put(blocks, blockKey(number), now, b.records); err != nil {
		return nil, err
	}
	changed := make(map[*Queue]queueState)
	for action, items := range b.items {
		bucket, err := tx.Bucket(bucketQueues).CreateBucketIfNotExists([]byte(action))
		if err != nil {
			return nil, err
		}
		if err := bucket.Put(blockKey(number), encodeItems(items)); err != nil {
			return nil, err
		}
		q := s.Queue(action)
		state := q.snapshot()
		state.Queued += added[action].count
		state.Bytes += added[action].bytes
		if err := putState(tx, action, state); err != nil {
			return nil, err
		}
		changed[q] = state
	}
	return func() {
		s.recent.add(b)
		for q, state := range changed {
			q.state = state
			q.wake()
		}
	}, nil
}

// size is how much a queue holds.
type size struct{ count, bytes int64 }

func (s size) plus(r journal.Record) size {
	return size{s.count + 1, s.bytes + int64(len(r.Packed()))}
}

func putState(tx *bolt.Tx, action string, state queueState) error {
	value, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("state of queue %q: %w", action, err)
	}
	return tx.Bucket(bucketStates).Put([]byte(action), value)
}
