package sdjournal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"github.com/journald-router/journald-router/journal"
)

// #include "reader.h"
import "C"

// entry is the one the reader stands on.
type entry struct{ reader *Reader }

// Values implements journal.Entry.
func (e *entry) Values(dst [][]byte, field string) [][]byte {
	r := e.reader
	index := uint32(0)
	for ; ; index++ {
		if int(index) == len(r.keep) {
			return dst
		}
		if r.keep[index] == field {
			break
		}
	}
	kept := unsafe.Slice((*byte)(unsafe.Pointer(r.c.kept.data)), int(r.c.kept.len))
	if r.ahead.giving {
		kept = r.ahead.given.kept
	}
	for len(kept) > 0 {
		of, n := binary.NativeEndian.Uint32(kept), binary.NativeEndian.Uint32(kept[4:])
		if of == index {
			dst = append(dst, kept[8:8+n:8+n])
		}
		kept = kept[8+n:]
	}
	return dst
}

// Time implements journal.Entry.
func (e *entry) Time() time.Time {
	return time.UnixMicro(int64(e.reader.c.realtime))
}

// Record implements journal.Entry.
func (e *entry) Record() (journal.Record, error) {
	c := e.reader.c
	if e.reader.ahead.giving {
		return journal.Unpack(e.reader.slab.copy(e.reader.ahead.given.record))
	}
	if n := C.reader_record(c); n < 0 {
		return journal.Record{}, fmt.Errorf("read journal entry: %w", syscall.Errno(-n))
	}
	e.reader.tellOfCuts()
	packed := unsafe.Slice((*byte)(unsafe.Pointer(c.record.data)), int(c.record.len))
	return journal.Unpack(e.reader.slab.copy(packed))
}

// slab is what records are cut from: making each one by itself costs more than
// copying it. A record that is kept keeps the others of its slab in memory.
type slab []byte

const slabSize = 64 << 10

func (s *slab) copy(b []byte) []byte {
	if len(b) > slabSize/8 {
		return bytes.Clone(b)
	}
	if len(b) > cap(*s)-len(*s) {
		*s = make([]byte, 0, slabSize)
	}
	from := len(*s)
	*s = append(*s, b...)
	return (*s)[from:len(*s):len(*s)]
}
