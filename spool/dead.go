package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
)

// A Letter is a dead letter: a delivery that was given up, with all that is
// needed to look at it, and to try it again.
type Letter struct {
	Delivery
	// BuriedAt is when it was given up.
	BuriedAt time.Time
	// Cause is the last failure, in words.
	Cause string
	// Sent is the text that was, or would have been, sent.
	Sent string
}

// A LetterView is how people and programs see a letter, as JSON.
type LetterView struct {
	ID       string            `json:"id"`
	Time     time.Time         `json:"time"` // of its burial
	Queued   time.Time         `json:"queued"`
	Rule     string            `json:"rule"`
	Action   string            `json:"action"`
	Attempts int               `json:"attempts"`
	Cause    string            `json:"cause"`
	Text     string            `json:"text"`
	Captures map[string]string `json:"captures,omitempty"`
	Record   json.RawMessage   `json:"record"` // see journal.Record.AppendJSON
}

// View gives the letter whole.
func (l *Letter) View() LetterView {
	return LetterView{
		l.ID, l.BuriedAt, l.QueuedAt, l.Rule, l.Action, l.Attempts, l.Cause, l.Sent, l.Captures, l.Record.AppendJSON(nil),
	}
}

// A Filter chooses dead letters. All that is set must hold.
type Filter struct {
	// IDs are ids, or beginnings of ids; any of them may hold.
	IDs          []string
	Action, Rule string
}

func (f Filter) match(l *Letter) bool {
	if f.Action != "" && f.Action != l.Action || f.Rule != "" && f.Rule != l.Rule {
		return false
	}
	if len(f.IDs) == 0 {
		return true
	}
	return slices.ContainsFunc(f.IDs, func(id string) bool { return begins(l.ID, id) })
}

// leastID is how much of an id must be given at least: an empty one, from a
// shell's variable that is not set, would stand for any.
const leastID = 4

// CheckID refuses what is too short to be the beginning of an id.
func CheckID(id string) error {
	if len(id) < leastID {
		return fmt.Errorf("dead letter %q: give at least %d digits of the id", id, leastID)
	}
	return nil
}

func begins(id, part string) bool { return len(part) >= leastID && strings.HasPrefix(id, part) }

// ErrNoLetter is wrapped by the error for an id that no letter has.
var ErrNoLetter = errors.New("no such dead letter")

// Letters yields the dead letters that the filter chooses, the oldest first. It
// holds no lock between two letters: what is buried or taken away meanwhile may
// be seen or not.
func (s *Spool) Letters(f Filter) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		var next []byte
		for {
			letters, after, err := s.someLetters(f, next)
			if err != nil {
				yield(Letter{}, fmt.Errorf("read dead letters from spool %s: %w", s.path, err))
				return
			}
			for _, l := range letters {
				if !yield(l, nil) {
					return
				}
			}
			if after == nil {
				return
			}
			next = after
		}
	}
}

// someLetters reads a few letters from a key on, and tells the key to go on from,
// nil at the end. A long transaction would keep the file from being used again,
// and growing.
func (s *Spool) someLetters(f Filter, from []byte) (letters []Letter, next []byte, err error) {
	const limitLetters, limitBytes = 200, 4 << 20
	err = s.view(func(tx *bolt.Tx) error {
		size := 0
		c := tx.Bucket(bucketDead).Cursor()
		for key, value := c.Seek(from); key != nil; key, value = c.Next() {
			if len(letters) >= limitLetters || size >= limitBytes {
				next = bytes.Clone(key)
				return nil
			}
			size += len(value)
			l, err := decodeLetter(key, bytes.Clone(value))
			if err != nil {
				return err
			}
			if f.match(&l) {
				letters = append(letters, l)
			}
		}
		return nil
	})
	return letters, next, err
}

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
	n, err = s.takeLetters("retry dead letters", f, choose, func(tx *bolt.Tx, letters []Letter) (func(), error) {
		var entries []Routed
		for _, l := range letters {
			entries = append(entries, Routed{l.Record, []Target{{l.Action, l.Rule, l.Value, l.Strip, l.Captures}}})
		}
		return s.enqueue(tx, entries, time.Now())
	})
	return n, kept, err
}

// DropLetters deletes the chosen letters for good, and returns how many. Nothing
// is done if an id is unknown or ambiguous.
func (s *Spool) DropLetters(f Filter) (n int, err error) {
	all := func(*Letter) bool { return true }
	return s.takeLetters("drop dead letters", f, all, func(*bolt.Tx, []Letter) (func(), error) { return nil, nil })
}

// takeLetters removes the letters that are chosen now, some at a time; what is
// done with them is in the transaction that removes them.
func (s *Spool) takeLetters(op string, f Filter, choose func(*Letter) bool, do func(*bolt.Tx, []Letter) (func(), error)) (n int, err error) {
	if err := s.checkIDs(f); err != nil {
		return 0, err
	}
	// The keys first: what is buried meanwhile is left for the next time.
	var keys [][]byte
	for l, err := range s.Letters(f) {
		if err != nil {
			return 0, err
		}
		if choose(&l) {
			keys = append(keys, letterKey(l))
		}
	}
	for some := range slices.Chunk(keys, 200) {
		taken := 0
		err := s.update(op, func(tx *bolt.Tx) (func(), error) {
			dead := tx.Bucket(bucketDead)
			var letters []Letter
			for _, key := range some {
				value := bytes.Clone(dead.Get(key))
				if value == nil {
					continue // another command was faster
				}
				l, err := decodeLetter(key, value)
				if err != nil {
					return nil, err
				}
				if err := dead.Delete(key); err != nil {
					return nil, err
				}
				letters = append(letters, l)
			}
			taken = len(letters)
			return do(tx, letters)
		})
		if err != nil {
			return n, err
		}
		n += taken
	}
	return n, nil
}

func letterKey(l Letter) []byte {
	key := binary.BigEndian.AppendUint64(nil, uint64(l.BuriedAt.UnixMicro()))
	id, err := hex.DecodeString(l.ID)
	if err != nil {
		id = []byte(l.ID)
	}
	return append(key, id...)
}

func putLetter(tx *bolt.Tx, l Letter) error {
	b := binary.AppendUvarint(nil, uint64(l.QueuedAt.UnixMicro()))
	b = binary.AppendUvarint(b, uint64(l.Attempts))
	for _, s := range [...]string{l.Action, l.Rule, l.Cause, l.Sent} {
		b = appendString(b, s)
	}
	b = binary.AppendUvarint(b, uint64(l.Value))
	b = binary.AppendUvarint(b, uint64(l.Strip))
	b = appendCaptures(b, l.Captures)
	b = binary.AppendUvarint(b, uint64(len(l.Record.Packed())))
	b = append(b, l.Record.Packed()...)
	return tx.Bucket(bucketDead).Put(letterKey(l), b)
}

// decodeLetter keeps value.
func decodeLetter(key, value []byte) (l Letter, err error) {
	if len(key) < 8 {
		return l, fmt.Errorf("key %x: %w", key, errTruncated)
	}
	l.BuriedAt = time.UnixMicro(int64(binary.BigEndian.Uint64(key)))
	l.ID = hex.EncodeToString(key[8:])
	d := decoder{b: value}
	// A time in microseconds is beyond what int() takes for a length.
	queued, n := binary.Uvarint(d.b)
	if n <= 0 {
		return l, fmt.Errorf("letter %s: %w", l.ID, errTruncated)
	}
	d.b = d.b[n:]
	l.QueuedAt = time.UnixMicro(int64(queued))
	l.Attempts = d.int()
	l.Action, l.Rule, l.Cause, l.Sent = d.string(), d.string(), d.string(), d.string()
	l.Value, l.Strip = d.int(), d.int()
	l.Captures = d.captures()
	if record := d.bytes(); d.err == nil {
		l.Record, d.err = journal.Unpack(record)
	}
	if d.err != nil {
		return l, fmt.Errorf("letter %s: %w", l.ID, d.err)
	}
	return l, nil
}
