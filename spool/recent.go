package spool

import (
	"slices"
	"time"
)

// recentBlocks holds what was appended a moment ago, so that a worker which
// keeps up never reads it back from the file.
type recentBlocks struct {
	order []*block
	size  int
}

const (
	// recentLimit bounds the bytes of the blocks in memory. One block alone may
	// exceed it.
	recentLimit = 16 << 20
	// recentFor is how long a worker that is merely slow may take to come to a
	// block, before it has to make room.
	recentFor = 2 * time.Second
)

// add keeps the block where there is room. What is there already is wanted
// sooner, unless it has been waiting for long: then its worker does not keep up,
// and the new one may be for others.
func (r *recentBlocks) add(b *block) {
	for r.size+b.size > recentLimit && len(r.order) > 0 {
		if b.queuedAt.Sub(r.order[0].queuedAt) < recentFor {
			return
		}
		r.drop(r.order[0].number)
	}
	r.order = append(r.order, b)
	r.size += b.size
}

// crowded tells whether there may be no room for the next block, and soon will
// be. It is false where the oldest has been waiting for long.
func (r *recentBlocks) crowded(now time.Time) bool {
	return r.size > recentLimit/2 && now.Sub(r.order[0].queuedAt) < recentFor
}

func (r *recentBlocks) get(number uint64) *block {
	if i, ok := r.find(number); ok {
		return r.order[i]
	}
	return nil
}

func (r *recentBlocks) drop(number uint64) {
	if i, ok := r.find(number); ok {
		r.size -= r.order[i].size
		r.order = slices.Delete(r.order, i, i+1)
	}
}

func (r *recentBlocks) find(number uint64) (int, bool) {
	return slices.BinarySearchFunc(r.order, number, func(b *block, n uint64) int {
		switch {
		case b.number < n:
			return -1
		case b.number > n:
			return 1
		}
		return 0
	})
}
