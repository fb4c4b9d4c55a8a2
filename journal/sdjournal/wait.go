package sdjournal

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// #include "reader.h"
import "C"

// Wait implements journal.Reader. It finds a new entry some 4 ms after it was
// written, 15 ms if it is the first for a while, and notices the context's end as
// soon. It also does what Process does.
func (r *Reader) Wait(ctx context.Context) error {
	// One long call costs less than many short ones: the Go runtime watches
	// over each for its first 10 ms.
	stop := new(int32)
	defer context.AfterFunc(ctx, func() { atomic.StoreInt32(stop, 1) })()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.c.indexed != 0 || r.ahead.away {
			return nil // it has not come to the end yet
		}
		if err := r.reopenIfMoved(); err != nil {
			return err
		}
		if err := r.checkFilesIfChanged(); err != nil {
			return err
		}
		d := time.Second
		if r.boots == earlierBoots {
			d = 100 * time.Millisecond // Next looks for the running one
		}
		if n, err := waitFor([]*C.struct_reader{r.c}, d, stop); n > 0 || err != nil || r.boots == earlierBoots {
			return err
		}
	}
}

// waitFor returns the number of the reader that has a next entry, counted from 1,
// or 0.
func waitFor(readers []*C.struct_reader, d time.Duration, stop *int32) (int, error) {
	n := C.reader_wait(&readers[0], C.size_t(len(readers)), C.uint(d.Milliseconds()), (*C.int32_t)(stop))
	if n < 0 {
		return 0, fmt.Errorf("wait for the journal: %w", syscall.Errno(-n))
	}
	return int(n), nil
}
