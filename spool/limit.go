package spool

import (
	"bytes"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A LetterLimit bounds the dead letters of all actions together. What is zero sets no
// bound. The oldest go first; how old one is goes by the clock of its burial, even
// if that was wrong.
type LetterLimit struct {
	// Max is how many letters are kept.
	Max int
	// MaxAge is how long a letter is kept.
	MaxAge time.Duration
}

// removedAtOnce bounds what a limit removes in one transaction, beside as many as
// are buried in it.
const removedAtOnce = 500

// SetLetterLimit sets the limit for what is buried from now on. What exceeds it already,
// or gets too old, is left to RemoveLetters.
func (s *Spool) SetLetterLimit(l LetterLimit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = l
}

// LetterLimit returns what SetLetterLimit has set.
func (s *Spool) LetterLimit() LetterLimit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit
}

// RemoveLetters removes some of the letters that exceed the limit, and returns how
// many: none when none is left that does. Letters within the limit are not read.
func (s *Spool) RemoveLetters() (n int, err error) {
	limit := s.LetterLimit()
	if exceeded, err := s.exceeds(limit); !exceeded || err != nil {
		return 0, err
	}
	err = s.updateFreeing("remove dead letters", func(tx *bolt.Tx) (then func(), err error) {
		dead := s.lettersIn(tx)
		if n, err = dead.remove(limit, removedAtOnce); err != nil {
			return nil, err
		}
		return dead.close()
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// exceeds tells whether there is anything to remove. A transaction that changes
// nothing would still write to the disk.
func (s *Spool) exceeds(limit LetterLimit) (yes bool, err error) {
	if limit.Max > 0 && total(s.LetterCounts()) > limit.Max {
		return true, nil
	}
	if limit.MaxAge <= 0 {
		return false, nil
	}
	err = s.view(func(tx *bolt.Tx) error {
		oldest, _ := tx.Bucket(bucketDead).Cursor().First()
		yes = oldest != nil && limit.tooOld(oldest)
		return nil
	})
	return yes, err
}

// remove deletes the oldest letters that exceed the limit, at most so many.
func (ls *deadLetters) remove(limit LetterLimit, most int) (n int, err error) {
	if limit == (LetterLimit{}) {
		return 0, nil
	}
	if ls.counts == nil {
		if err := ls.loadCounts(); err != nil {
			return 0, err
		}
	}
	tooMany := 0
	if limit.Max > 0 {
		tooMany = total(ls.counts) - limit.Max
	}
	type letter struct {
		key    []byte
		action string
	}
	var gone []letter // a cursor does not bear changes
	c := ls.bucket.Cursor()
	for key, value := c.First(); key != nil && len(gone) < most; key, value = c.Next() {
		if len(gone) >= tooMany && !limit.tooOld(key) {
			break
		}
		gone = append(gone, letter{bytes.Clone(key), letterAction(value)})
	}
	for _, l := range gone {
		if err := ls.bucket.Delete(l.key); err != nil {
			return 0, err
		}
		if err := ls.count(l.action, -1, 1); err != nil {
			return 0, err
		}
	}
	return len(gone), nil
}

func (l LetterLimit) tooOld(key []byte) bool {
	return l.MaxAge > 0 && bytes.Compare(key, timeKey(time.Now().Add(-l.MaxAge))) < 0
}

func total(counts map[string]LetterCount) (n int) {
	for _, c := range counts {
		n += c.Kept
	}
	return n
}
