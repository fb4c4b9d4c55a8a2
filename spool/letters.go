package spool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// A LetterCount tells of the dead letters of one action.
type LetterCount struct {
	// Kept is how many there are.
	Kept int `json:"kept,omitempty"`
	// Removed is how many the LetterLimit has removed since the spool was made.
	Removed uint64 `json:"removed,omitempty"`
}

// LetterCounts returns the counts of all actions that there are any for. They are
// kept, so that a million letters cost no more than none.
func (s *Spool) LetterCounts() map[string]LetterCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.letters)
}

// deadLetters are the dead letters within one changing transaction. What changes them
// goes through here, so that the counts in the file are always theirs.
type deadLetters struct {
	spool  *Spool
	tx     *bolt.Tx
	bucket *bolt.Bucket
	counts map[string]LetterCount // nil until one changes
	buried int
}

func (s *Spool) lettersIn(tx *bolt.Tx) *deadLetters {
	return &deadLetters{spool: s, tx: tx, bucket: tx.Bucket(bucketDead)}
}

// bury adds a letter. One with the same id and time is the same letter.
func (ls *deadLetters) bury(l Letter) error {
	key := letterKey(l)
	if ls.bucket.Get(key) == nil {
		if err := ls.count(l.Action, 1, 0); err != nil {
			return err
		}
		ls.buried++
	}
	return ls.bucket.Put(key, encodeLetter(l))
}

// take deletes the letter of an action.
func (ls *deadLetters) take(key []byte, action string) error {
	if err := ls.bucket.Delete(key); err != nil {
		return err
	}
	return ls.count(action, -1, 0)
}

func (ls *deadLetters) count(action string, kept int, removed uint64) error {
	if ls.counts == nil {
		if err := ls.loadCounts(); err != nil {
			return err
		}
	}
	c := ls.counts[action]
	c.Kept += kept
	c.Removed += removed
	ls.counts[action] = c
	if c == (LetterCount{}) {
		delete(ls.counts, action)
	}
	return nil
}

// loadCounts takes the counts from the transaction. Those in memory are as good
// where open could not store them.
func (ls *deadLetters) loadCounts() (err error) {
	if ls.counts, err = storedCounts(ls.tx); ls.counts == nil && err == nil {
		ls.counts = ls.spool.LetterCounts()
	}
	return err
}

// close ends the changes: where letters were buried the limit is applied, and the
// counts are stored. What it returns is to be done once the transaction is durable.
func (ls *deadLetters) close() (then func(), err error) {
	if ls.buried > 0 {
		// More go than come: a limit that was made smaller is reached at last.
		if _, err := ls.remove(ls.spool.LetterLimit(), ls.buried+removedAtOnce); err != nil {
			return nil, err
		}
	}
	if ls.counts == nil {
		return func() {}, nil
	}
	if err := storeCounts(ls.tx, ls.counts); err != nil {
		return nil, err
	}
	return func() { ls.spool.letters = ls.counts }, nil
}

// storedCounts returns nil where there are none, in a file of an older release.
func storedCounts(tx *bolt.Tx) (counts map[string]LetterCount, err error) {
	stored := tx.Bucket(bucketMeta).Get(keyLetters)
	if stored == nil {
		return nil, nil
	}
	if err := json.Unmarshal(stored, &counts); err != nil {
		return nil, fmt.Errorf("counts of dead letters: %w", err)
	}
	return counts, nil
}

func storeCounts(tx *bolt.Tx, counts map[string]LetterCount) error {
	value, err := json.Marshal(counts)
	if err != nil {
		return fmt.Errorf("counts of dead letters: %w", err)
	}
	return tx.Bucket(bucketMeta).Put(keyLetters, value)
}

// loadLetterCounts is for opening. A file without the counts is gone through once;
// where the disk does not take them, as it is full, the next opening does it again.
func (s *Spool) loadLetterCounts() error {
	counted := false
	err := s.view(func(tx *bolt.Tx) (err error) {
		if s.letters, err = storedCounts(tx); s.letters == nil && err == nil {
			s.letters, counted = countLetters(tx), true
		}
		return err
	})
	if err != nil || !counted {
		return err
	}
	err = s.update("store counts of dead letters", func(tx *bolt.Tx) (func(), error) {
		return nil, storeCounts(tx, s.letters)
	})
	var disk syscall.Errno
	if errors.As(err, &disk) {
		return nil
	}
	return err
}

// countLetters looks at every letter.
func countLetters(tx *bolt.Tx) map[string]LetterCount {
	counts := make(map[string]LetterCount)
	c := tx.Bucket(bucketDead).Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		action := letterAction(value)
		counts[action] = LetterCount{Kept: counts[action].Kept + 1}
	}
	return counts
}

// letterAction is the action of an encoded letter, empty for a damaged one.
func letterAction(value []byte) string {
	_, n := binary.Uvarint(value) // the time, see decodeLetter
	if n <= 0 {
		return ""
	}
	d := decoder{b: value[n:]}
	d.int()
	return d.string()
}
