package spool

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"time"

	bolt "go.etcd.io/bbolt"
)

// checkIDs refuses ids that no letter has, and beginnings that several have.
func (s *Spool) checkIDs(f Filter) error {
	if len(f.IDs) == 0 {
		return nil
	}
	for _, id := range f.IDs {
		if err := CheckID(id); err != nil {
			return err
		}
	}
	found := make(map[string]string)
	for l, err := range s.Letters(f) {
		if err != nil {
			return err
		}
		for _, id := range f.IDs {
			if !begins(l.ID, id) {
				continue
			}
			if other, ok := found[id]; ok && other != l.ID {
				return fmt.Errorf("dead letter %s: more than one id begins with that; give more of it", id)
			}
			found[id] = l.ID
		}
	}
	var errs []error
	for _, id := range f.IDs {
		if _, ok := found[id]; !ok {
			errs = append(errs, fmt.Errorf("dead letter %s: %w", id, ErrNoLetter))
		}
	}
	return errors.Join(errs...)
}

// RetryLetters puts the chosen letters back at the end of their actions' queues,
// with their ids and without their attempts, and returns how many. Letters of
// actions that are not known stay, and are counted by action. Nothing is done if
// an id is unknown or ambiguous.
func (s *Spool) RetryLetters(f Filter, known func(action string) bool) (n int, kept map[string]int, err error) {
	kept = make(map[string]int)
	choose := func(l *Letter) bool {
		if known(l.Action) {
			return true
		}
		kept[l.Action]++
		return false
	}
	for keys, err := range s.chosen(f, choose) {
		if err != nil {
			return n, kept, err
		}
		taken := 0
		err := s.update("retry dead letters", func(tx *bolt.Tx) (func(), error) {
			entries, counted, err := s.takeEntries(tx, keys)
			if taken = len(entries); taken == 0 || err != nil {
				return counted, err
			}
			_, queued, err := s.enqueue(tx, entries, nil, time.Now())
			return func() { counted(); queued() }, err
		})
		if err != nil {
			return n, kept, err
		}
		n += taken
	}
	return n, kept, nil
}

// takeEntries removes letters, and returns those that were still there as what is
// to be queued.
func (s *Spool) takeEntries(tx *bolt.Tx, keys [][]byte) (entries []Routed, then func(), err error) {
	dead := s.lettersIn(tx)
	for _, key := range keys {
		value := bytes.Clone(dead.bucket.Get(key))
		if value == nil {
			continue // another command, or the limit, was faster
		}
		l, err := decodeLetter(key, value)
		if err != nil {
			return nil, nil, err
		}
		if err := dead.take(key, l.Action); err != nil {
			return nil, nil, err
		}
		entries = append(entries, Routed{l.Record, []Target{{l.Action, l.Rule, l.Value, l.Strip, l.Captures}}})
	}
	then, err = dead.close()
	return entries, then, err
}

// DropLetters deletes the chosen letters for good, and returns how many. Nothing
// is done if an id is unknown or ambiguous.
func (s *Spool) DropLetters(f Filter) (n int, err error) {
	for keys, err := range s.chosen(f, func(*Letter) bool { return true }) {
		if err != nil {
			return n, err
		}
		dropped := 0
		err := s.updateFreeing("drop dead letters", func(tx *bolt.Tx) (func(), error) {
			dead := s.lettersIn(tx)
			dropped = 0
			for _, key := range keys {
				value := dead.bucket.Get(key)
				if value == nil {
					continue // as above
				}
				if err := dead.take(key, letterAction(value)); err != nil {
					return nil, err
				}
				dropped++
			}
			return dead.close()
		})
		if err != nil {
			return n, err
		}
		n += dropped
	}
	return n, nil
}

// chosen yields the keys of the letters that are chosen now, some at a time. What is
// buried meanwhile is left for the next time: while a destination refuses it, it
// would come again and again.
func (s *Spool) chosen(f Filter, choose func(*Letter) bool) iter.Seq2[[][]byte, error] {
	return func(yield func([][]byte, error) bool) {
		if err := s.checkIDs(f); err != nil {
			yield(nil, err)
			return
		}
		now := time.Now()
		past, future := f, f
		if f.Until.IsZero() || f.Until.After(now) {
			past.Until = now
		}
		if f.Since.Before(now) {
			future.Since = now
		}
		// What was buried while the clock was ahead, mostly nothing, lies where new
		// letters come to, and is looked up before they do.
		var ahead [][][]byte
		for keys, err := range s.keys(future, choose) {
			if err != nil {
				yield(nil, err)
				return
			}
			ahead = append(ahead, keys)
		}
		for keys, err := range s.keys(past, choose) {
			if !yield(keys, err) {
				return
			}
		}
		for _, keys := range ahead {
			if !yield(keys, nil) {
				return
			}
		}
	}
}

// keys yields the keys of the chosen letters, as many at once as one transaction
// takes out. It ends with an error.
func (s *Spool) keys(f Filter, choose func(*Letter) bool) iter.Seq2[[][]byte, error] {
	const takenAtOnce = 200
	return func(yield func([][]byte, error) bool) {
		var keys [][]byte
		for l, err := range s.Letters(f) {
			if err != nil {
				yield(nil, err)
				return
			}
			if choose(&l) {
				keys = append(keys, letterKey(l))
			}
			if len(keys) == takenAtOnce {
				if !yield(keys, nil) {
					return
				}
				keys = nil
			}
		}
		if len(keys) > 0 {
			yield(keys, nil)
		}
	}
}
