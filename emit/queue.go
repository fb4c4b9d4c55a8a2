package emit

import "sync/atomic"

// queue is a bounded ring of entries in the form in which they go to journald. Many
// goroutines put, and none ever waits for another: it is the bounded queue of Dmitry
// Vyukov (https://www.1024cores.net/home/lock-free-algorithms/queues/bounded-mpmc-queue),
// whose slots keep their memory, so that a put that finds room allocates nothing.
type queue struct {
	mask  uint64
	slots []slot
	limit int64 // of bytes

	_     [64]byte // the counters are written by different processors
	tail  atomic.Uint64
	_     [64]byte
	head  atomic.Uint64
	_     [64]byte
	bytes atomic.Int64 // of the entries in it
	_     [64]byte
}

// A slot has an entry where its turn is the position of that entry plus 1, and is free
// for the entry of a position that is its turn.
type slot struct {
	turn  atomic.Uint64
	size  int64
	entry []byte
}

// keepRoom is how much memory an empty slot may keep: most entries have room in it.
const keepRoom = 1 << 10

// room is for the entry of a slot that was claimed: it is made at once, where append
// would copy the entry several times.
func (s *slot) room() []byte {
	if s.size > int64(cap(s.entry)) {
		return make([]byte, 0, s.size)
	}
	return s.entry[:0]
}

// newQueue rounds the number of entries up to a power of two.
func newQueue(entries int, limit int64) *queue {
	n := uint64(2)
	for n < uint64(entries) {
		n *= 2
	}
	q := &queue{mask: n - 1, slots: make([]slot, n), limit: limit}
	for i := range q.slots {
		q.slots[i].turn.Store(uint64(i))
	}
	return q
}

// claim takes the slot for the next entry, which will have so many bytes at most. It
// is nil where there is no room. The entry is there once publish was called.
func (q *queue) claim(size int64) (s *slot, position uint64) {
	// A full queue is only looked at: what many processors write to at a time is slow.
	if position = q.tail.Load(); q.slots[position&q.mask].turn.Load() < position {
		return nil, 0
	}
	if q.bytes.Add(size) > q.limit {
		q.bytes.Add(-size)
		return nil, 0
	}
	for position = q.tail.Load(); ; {
		s = &q.slots[position&q.mask]
		switch turn := s.turn.Load(); {
		case turn == position:
			if q.tail.CompareAndSwap(position, position+1) {
				s.size = size
				return s, position
			}
			position = q.tail.Load()
		case turn < position: // it still has the entry of the round before
			q.bytes.Add(-size)
			return nil, 0
		default: // another has taken it
			position = q.tail.Load()
		}
	}
}

func (s *slot) publish(position uint64) { s.turn.Store(position + 1) }

// take takes the first entry out. It is nil where there is none, or where the first one
// is still being written. The slot is to be released.
func (q *queue) take() (s *slot, position uint64) {
	for position = q.head.Load(); ; {
		s = &q.slots[position&q.mask]
		switch turn := s.turn.Load(); {
		case turn == position+1:
			if q.head.CompareAndSwap(position, position+1) {
				return s, position
			}
			position = q.head.Load()
		case turn <= position:
			return nil, 0
		default:
			position = q.head.Load()
		}
	}
}

// release frees the slot of an entry that was taken.
func (q *queue) release(s *slot, position uint64) {
	if cap(s.entry) > keepRoom {
		s.entry = nil
	}
	q.bytes.Add(-s.size)
	s.turn.Store(position + q.mask + 1)
}

// length is how many entries were claimed and not taken.
func (q *queue) length() uint64 {
	head := q.head.Load() // first, for the tail is never behind it
	return q.tail.Load() - head
}

func (q *queue) empty() bool { return q.length() == 0 }
