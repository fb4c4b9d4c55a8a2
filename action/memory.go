package action

import "iter"

// A Rememberer is an action with a memory: what it will have to know of what it did, even
// after the process was killed. Unless the user sets `concurrency`, its next call begins only
// once it is on disk what became of the one before.
type Rememberer interface {
	// Remember is called once, before the first Deliver. The last call under the
	// configuration before a reload may still be under way then: what it remembers is
	// there at the first Deliver.
	Remember(m Memory)
}

// A Memory is what is kept for one action, under its name in the configuration: a small
// map, all of which is in the process's memory, too; a key has 1 to 32768 bytes. What a call of Deliver puts into it
// becomes durable in the very transaction that notes what became of the call's messages, so
// that after a crash either both have happened, or neither has and the messages come
// again. It may be used by several goroutines.
type Memory interface {
	// Get returns what was put last, durable or not, or nil. It must not be changed.
	Get(key string) []byte
	// Put remembers the value, which must not be changed afterwards; nil forgets the
	// key. Where several calls are under way at once, it becomes durable with the first
	// that ends.
	Put(key string, value []byte)
	// Keys returns all that Get would find whose beginning is prefix, sorted.
	Keys(prefix string) []string
	// Durable yields what is on disk, sorted by key: what no crash takes back. It shows
	// each transaction whole or not at all, and copies the map, of however many keys.
	Durable(prefix string) iter.Seq2[string, []byte]
	// Save makes all that was put durable now, which takes an fsync. After an error it
	// is not durable, but is put still.
	Save() error
}
