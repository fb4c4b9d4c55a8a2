package spool

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/klauspost/compress/s2"
	bolt "go.etcd.io/bbolt"
)

// A block's bucket has one key: it tells how the records are stored.
var (
	keyRecords    = []byte("records")
	keyCompressed = []byte("records.s2") // https://github.com/klauspost/compress/tree/master/s2
)

// compressFrom is the size of the records, in bytes, from which they are stored
// compressed. Entries repeat each other's fields, so that a block of many shrinks
// to a fifth or less; but what is read as it comes is a few entries, and
// compressing those saves nothing.
const compressFrom = 16 << 10

// buffers are for making a block: both get as large as the largest was, which is
// too much to be made anew for each. They belong to the first block of the
// transaction under way; bbolt reads them when it commits.
type buffers struct {
	records, compressed []byte
	taken               bool
}

// free says that the transaction has ended.
func (buf *buffers) free() { buf.taken = false }

// put stores a block in a bucket of its own. As values of one bucket up to four
// of them would share a page, that is a megabyte or more, which bbolt writes
// anew whenever one of them comes or goes (node.splitTwo).
func (buf *buffers) put(blocks *bolt.Bucket, key []byte, queuedAt time.Time, records []journal.Record) error {
	b, err := blocks.CreateBucket(key)
	if err != nil {
		return err
	}
	if buf.taken {
		buf = new(buffers)
	}
	buf.taken = true
	buf.records = appendRecords(slices.Grow(buf.records[:0], recordsSize(records)), queuedAt, records)
	if len(buf.records) < compressFrom {
		return b.Put(keyRecords, buf.records)
	}
	buf.compressed = s2.Encode(buf.compressed[:cap(buf.compressed)], buf.records)
	return b.Put(keyCompressed, buf.compressed)
}

// getBlock reads a block's records into memory of their own.
func getBlock(blocks *bolt.Bucket, number uint64) (*block, error) {
	bucket := blocks.Bucket(blockKey(number))
	if bucket == nil {
		return nil, fmt.Errorf("it is missing")
	}
	records := bytes.Clone(bucket.Get(keyRecords))
	if records == nil {
		var err error
		if records, err = s2.Decode(nil, bucket.Get(keyCompressed)); err != nil {
			return nil, err
		}
	}
	return decodeRecords(number, records)
}
