package capture

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// body is the body that the handler reads: it keeps what it reads from the client.
type body struct {
	middleware *Middleware
	entry      entry
	src        io.ReadCloser
	original   *http.Request // the server's
	request    *http.Request // the handler's
	writer     http.ResponseWriter
	began      time.Time

	reading sync.Mutex  // held while src is read, as the server has it
	closed  atomic.Bool // by the handler
	// Under reading: it was read, has ended, was taken from by what is not the handler.
	touched, ended, taken bool

	watched bool // whether the writer is

	mu     sync.Mutex
	kept   []byte
	length int64 // of what has come
	err    error // with which reading has failed
	done   bool  // the entry is logged
	noRoom bool  // for kept
	gap    bool  // the server has taken from the body, so that what is read later has no place in kept
	gone   bool  // the connection was hijacked, or src closed
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	http1 := b.original.ProtoMajor == 1
	switch {
	case b.taken, b.closed.Load() && http1: // never an end that is none
		return 0, http.ErrBodyReadAfterClose
	case b.ended: // which the server forgets when it closes the body, and a proxy may ask late
		return 0, io.EOF
	case b.closed.Load() && b.original.ContentLength != 0: // over HTTP/2 there may be nothing to close
		return 0, http.ErrBodyReadAfterClose
	}
	return b.read(p)
}

func (b *body) read(p []byte) (int, error) {
	b.touched = true
	n, err := b.src.Read(p)
	failed := b.keep(p[:n], err)
	if err == io.EOF {
		// The server has put trailers that were not announced into its own Request.
		if b.request.Trailer == nil && b.original.Trailer != nil {
			b.request.Trailer = b.original.Trailer
		}
		if failed != nil { // the server says EOF, too, after it has said that the client broke off
			b.finish(reason(failed))
		} else {
			b.ended = true
			b.finish("")
		}
	}
	return n, err
}

// Close implements io.Closer. The server's own would read what is left, and throw it
// away.
func (b *body) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	if b.request.ProtoMajor != 1 {
		if b.reading.TryLock() {
			b.reading.Unlock()
			return nil // the rest is read when the handler is done
		}
		b.leave() // a Read is waiting, and is to end
		return b.src.Close()
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	switch {
	case b.left():
	case b.expects():
		b.leave()
		return b.src.Close()
	default:
		b.readLikeServer()
	}
	return nil
}

// serverReads is how much of what a handler leaves net/http reads, so that the
// connection can be used again: its maxPostHandlerReadBytes.
const serverReads = 256 << 10

// readLikeServer reads what the server would read now, and throw away.
func (b *body) readLikeServer() (ended bool) {
	b.mu.Lock()
	rest := b.original.ContentLength - b.length
	over := b.done || b.gone || b.err != nil
	b.mu.Unlock()
	if over || rest >= serverReads || b.original.Close || b.expects() {
		return false
	}
	buffer := make([]byte, 16<<10)
	for n := 0; n < serverReads; {
		read, err := b.read(buffer)
		n += read
		b.taken = b.taken || read > 0
		if err != nil {
			return err == io.EOF
		}
	}
	return false
}

// expects says whether the client waits to be asked for the body, which nobody has done.
// With HTTP/2 the server hides that.
func (b *body) expects() bool { return !b.touched && b.original.Header.Get("Expect") != "" }

// leave says that src is not to be read any more.
func (b *body) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = true
}

func (b *body) left() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gone
}

// keep keeps what was read, if there is room. It returns the error with which reading has
// failed, now or before.
func (b *body) keep(p []byte, err error) (failed error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.length += int64(len(p))
	if b.err == nil && err != io.EOF {
		b.err = err
	}
	if b.length == b.original.ContentLength {
		b.err = nil // as after a deadline that the handler has moved
	}
	limit := b.middleware.options.Limit
	p = p[:min(len(p), limit-len(b.kept))]
	if b.done || b.noRoom || b.gap || len(p) == 0 {
		return b.err
	}
	if size := len(b.kept) + len(p); size > cap(b.kept) {
		// What was announced is trusted by and by: few clients that send little are not to
		// take all the memory.
		grown := int(min(b.original.ContentLength, max(16<<10, 16*int64(len(b.kept)))))
		if grown < size {
			grown = max(2*cap(b.kept), 512)
		}
		size = min(max(size, grown), limit)
		if !b.middleware.memory.take(size) {
			b.noRoom = true
			b.drop()
			return b.err
		}
		larger := append(make([]byte, 0, size), b.kept...)
		b.drop()
		b.kept = larger
	}
	b.kept = append(b.kept, p...)
	return b.err
}

// drop gives the memory back.
func (b *body) drop() {
	b.middleware.memory.giveBack(cap(b.kept))
	b.kept = nil
}

// committed is called before the head of a reply is written over HTTP/1. The server then
// reads some of what is left of the body, and throws it away, lest it and the client wait
// for each other; so that is read here. Where the length is not known, it cannot be seen
// how much the server takes of what is left then. It takes nothing where the connection is
// closed after the reply anyway.
func (b *body) committed() {
	if r := b.original; r.Close || !r.ProtoAtLeast(1, 1) || r.Header.Get("Expect") != "" || b.writer.Header().Get("Connection") == "close" {
		return
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.readLikeServer() || b.original.ContentLength >= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gap = !b.done
}

// hijacked is called when the connection is not the server's any more.
func (b *body) hijacked() {
	b.leave()
	b.finish(TruncatedUnread)
}

// finish logs the entry, once. Why is why there is no more of the body, or empty where
// it has ended.
func (b *body) finish(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return
	}
	b.done = true
	c := content{bytes: b.kept, length: b.length}
	if why != "" {
		c.length = b.original.ContentLength // as the client says
	}
	switch {
	case b.noRoom:
		c.why = TruncatedMemory
	case b.gap:
		c.why, c.length = TruncatedUnread, -1
	case b.length > int64(len(b.kept)):
		c.why = TruncatedLimit
	case why != "":
		c.why = why
	default:
		c.whole = true
	}
	b.middleware.send(b.entry, c)
	b.drop()
}

// reason is why reading ended with an error.
func reason(err error) string {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TruncatedTimeout
	case errors.Is(err, http.ErrBodyReadAfterClose), errors.As(err, &tooLarge):
		return TruncatedUnread
	}
	return TruncatedClient
}
