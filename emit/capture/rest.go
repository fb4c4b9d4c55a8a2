package capture

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// end logs the entry if the body has not ended while the handler ran: the rest is read
// now, before the server finishes the reply, and throws the rest away.
func (b *body) end() {
	b.mu.Lock()
	done := b.done
	b.mu.Unlock()
	if !done {
		b.finish(b.rest())
	}
}

// rest reads what the handler has left, up to the limit, and returns why there is no
// more of it, or nothing where it has ended.
func (b *body) rest() (why string) {
	b.mu.Lock()
	err, lost := b.err, b.gone || b.gap
	b.mu.Unlock()
	http1 := b.request.ProtoMajor == 1
	switch {
	case err != nil:
		return reason(err)
	case lost, b.middleware.options.Wait < 0, http1 && !b.watched:
		return TruncatedUnread
	}
	control := http.NewResponseController(b.writer)
	if control.SetReadDeadline(time.Now().Add(b.middleware.options.Wait)) != nil {
		return TruncatedUnread // a slow client could not be stopped
	}
	// A goroutine of the handler's may still be reading: the deadline ends that, too.
	b.reading.Lock()
	defer b.reading.Unlock()
	if http1 && b.expects() {
		control.SetReadDeadline(b.serverDeadline())
		return TruncatedUnread
	}
	err = b.readUpToLimit()
	if http1 {
		switch {
		case err == io.EOF:
			control.SetReadDeadline(time.Time{})
		case err != nil && reason(err) == TruncatedTimeout:
			closeAfterReply(b.writer)
			fallthrough
		default:
			control.SetReadDeadline(b.serverDeadline())
		}
	}
	switch err {
	case io.EOF:
		return ""
	case nil:
		return TruncatedLimit
	}
	return reason(err)
}

// readUpToLimit reads until the body has ended, or is known to be longer than the limit;
// then the error is nil.
func (b *body) readUpToLimit() error {
	buffer := make([]byte, 16<<10)
	for {
		b.mu.Lock()
		more := int64(b.middleware.options.Limit) + 1 - b.length
		useless := b.noRoom || more <= 0
		b.mu.Unlock()
		if useless {
			return nil
		}
		if _, err := b.read(buffer[:min(more, int64(len(buffer)))]); err != nil {
			return err
		}
	}
}

// serverDeadline is when the server itself stops reading a request.
func (b *body) serverDeadline() time.Time {
	if s, ok := b.original.Context().Value(http.ServerContextKey).(*http.Server); ok && s.ReadTimeout > 0 {
		return b.began.Add(s.ReadTimeout)
	}
	return time.Time{}
}

// closeAfterReply has net/http close the connection once the reply is written, and the
// client had the time to read it. That is what it does where MaxBytesReader is at its
// limit, and there is no other way to ask for it once the head is written. It has to be:
// a read that has run out of time has also canceled the context of all requests that would
// come over the connection later.
func closeAfterReply(w http.ResponseWriter) {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = u.Unwrap()
	}
	http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}
