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
	// Since and Until choose by the time of burial: Since or later, and before
	// Until.
	Since, Until time.Time
	// Cause is a part of the cause, in upper or lower case.
	Cause string
}

// match tells whether all but the time of burial holds.
func (f Filter) match(l *Letter) bool {
	if f.Action != "" && f.Action != l.Action || f.Rule != "" && f.Rule != l.Rule {
		return false
	}
	if f.Cause != "" && !strings.Contains(strings.ToLower(l.Cause), strings.ToLower(f.Cause)) {
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
		if !f.Since.IsZero() {
			next = timeKey(f.Since)
		}
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
			if !f.Until.IsZero() && bytes.Compare(key, timeKey(f.Until)) >= 0 {
				return nil
			}
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

// timeKey is not behind the key of any letter that is buried at the time or later.
func timeKey(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(max(0, t.UnixMicro())))
}

func letterKey(l Letter) []byte {
	key := timeKey(l.BuriedAt)
	id, err := hex.DecodeString(l.ID)
	if err != nil {
		id = []byte(l.ID)
	}
	return append(key, id...)
}

func encodeLetter(l Letter) []byte {
	b := binary.AppendUvarint(nil, uint64(l.QueuedAt.UnixMicro()))
	b = binary.AppendUvarint(b, uint64(l.Attempts))
	for _, s := range [...]string{l.Action, l.Rule, l.Cause, l.Sent} {
		b = appendString(b, s)
	}
	b = binary.AppendUvarint(b, uint64(l.Value))
	b = binary.AppendUvarint(b, uint64(l.Strip))
	b = appendCaptures(b, l.Captures)
	b = binary.AppendUvarint(b, uint64(len(l.Record.Packed())))
	return append(b, l.Record.Packed()...)
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
