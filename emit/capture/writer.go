package capture

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// A wholeWriter has all that net/http's ResponseWriter has over HTTP/1.
type wholeWriter interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.ReaderFrom
	CloseNotify() <-chan bool // http.CloseNotifier: old frameworks rely on it
}

// watch wraps the ResponseWriter of a request over HTTP/1 that has a body: once the
// connection is hijacked, the body must not be touched, and once the head of the reply is
// written, the server throws away what is left of it. One that lacks something is left as
// it is: the handler is to see no more and no less.
//
// What cannot be passed on is how http.MaxBytesReader has net/http close the connection.
// The server does that anyway, where more than 256 KiB are left.
func (b *body) watch(w http.ResponseWriter) http.ResponseWriter {
	whole, ok := w.(wholeWriter)
	if !ok {
		return w
	}
	b.watched = true
	return &watcher{wholeWriter: whole, body: b}
}

type watcher struct {
	wholeWriter
	body    *body
	written atomic.Int64
	over    atomic.Bool // the head is written, or the server leaves the body alone
}

// serverBuffers is how many bytes net/http keeps before it writes the head of a reply: its
// bufferBeforeChunkingSize.
const serverBuffers = 2048

func (w *watcher) wrote(n int) {
	if w.written.Add(int64(n)) > serverBuffers {
		w.commit()
	}
}

func (w *watcher) commit() {
	if !w.over.Swap(true) {
		w.body.committed()
	}
}

func (w *watcher) Write(p []byte) (int, error) {
	w.wrote(len(p))
	return w.wholeWriter.Write(p)
}

func (w *watcher) WriteString(s string) (int, error) {
	w.wrote(len(s))
	return io.WriteString(w.wholeWriter, s)
}

func (w *watcher) ReadFrom(r io.Reader) (int64, error) {
	w.commit()
	return w.wholeWriter.ReadFrom(r)
}

func (w *watcher) Flush() { w.FlushError() }

// FlushError is for http.ResponseController.
func (w *watcher) FlushError() error {
	w.commit()
	return http.NewResponseController(w.wholeWriter).Flush()
}

func (w *watcher) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffer, err := w.wholeWriter.Hijack()
	if err == nil {
		w.body.hijacked()
	}
	return conn, buffer, err
}

// EnableFullDuplex is for http.ResponseController.
func (w *watcher) EnableFullDuplex() error {
	err := http.NewResponseController(w.wholeWriter).EnableFullDuplex()
	if err == nil {
		w.over.Store(true)
	}
	return err
}

// Unwrap is for http.ResponseController.
func (w *watcher) Unwrap() http.ResponseWriter { return w.wholeWriter }
