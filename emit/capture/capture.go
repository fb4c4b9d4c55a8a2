// Package capture keeps the raw bodies of HTTP requests in the journal: middleware for
// net/http that logs an entry for each request that is chosen, with its body as it came,
// byte for byte, before anything has parsed it.
//
//	keep := capture.New(log, capture.Options{Headers: []string{"User-Agent"}})
//	http.ListenAndServe(addr, keep.Wrap(mux))
//
// The handler reads as it would without it: what it reads is copied on the way, up to
// a limit, and the entry is logged when the body has ended. What the handler has left is
// read after it has returned, or panicked, for a limited time. Memory is bounded for one
// request and for all of them, and nothing here fails a request: what could not be kept
// is missing in the entry, and the entry says so.
//
// A body may have anything in it that people type, passwords too. Choose only what is
// wanted, and see who may read the journal.
package capture

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/journald-router/journald-router/emit"
)

// Options of a Middleware. The zero value is right for most.
type Options struct {
	// Choose says which requests are kept. Default: all but GET, HEAD, OPTIONS, TRACE
	// and CONNECT. Leave out those whose body and reply are streams side by side, as with
	// gRPC: their end would wait for Wait.
	Choose func(*http.Request) bool
	// Headers are kept beside Content-Type and Content-Encoding: User-Agent is the
	// field HTTP_USER_AGENT. Others are not, as Cookie and Authorization are secrets.
	Headers []string
	// Query keeps the URL's query, as QUERY_STRING. Beware of secrets in it.
	Query bool
	// IDHeader is the header that has the request's id, if a proxy gives it one. It is
	// taken if it is at most 128 visible ASCII characters; else an id is made. Default:
	// X-Request-Id.
	IDHeader string
	// Limit is how many bytes of a body are kept. It has to be less than the Emitter's
	// Options.Bytes, or a larger body is dropped there, whole entry and all; and beyond
	// 16 MiB the router cuts it (journal: max_field_bytes). Default: 1 MiB.
	Limit int
	// Memory is how many bytes the bodies of all requests may take together. A request
	// that finds no room is logged without its body. Default: 64 MiB.
	Memory int64
	// Wait is how long what the handler has not read may take to come in. The reply
	// waits for that. A client that is slower loses its HTTP/1 connection after the
	// reply. Negative: it is not read. Default: 1 s.
	Wait time.Duration
}

// The defaults of Options.
const (
	DefaultIDHeader = "X-Request-Id"
	DefaultLimit    = 1 << 20
	DefaultMemory   = 64 << 20
	DefaultWait     = time.Second
)

// A Middleware keeps requests. It may wrap several handlers, and all of its methods may
// be called by any goroutine.
type Middleware struct {
	log     *emit.Emitter
	options Options
	headers []header
	memory  budget

	requests, truncated, noRoom atomic.Uint64
}

// Stats are counts since New.
type Stats struct {
	// Requests is how many entries were given to the Emitter; Truncated how many of
	// them do not have the whole body; and NoRoom how many of those were for want of
	// Options.Memory, and have none of it.
	Requests, Truncated, NoRoom uint64
	// Memory is how many bytes bodies take now.
	Memory int64
}

// New makes a Middleware that logs to log.
func New(log *emit.Emitter, o Options) *Middleware {
	if o.Choose == nil {
		o.Choose = mayChange
	}
	if o.IDHeader == "" {
		o.IDHeader = DefaultIDHeader
	}
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if o.Wait == 0 {
		o.Wait = DefaultWait
	}
	return &Middleware{log: log, options: o, headers: headers(o.Headers), memory: budget{limit: o.Memory}}
}

// mayChange is true for the methods that are not safe, by RFC 9110, section 9.2.1, but
// CONNECT, which is for proxies.
func mayChange(r *http.Request) bool {
	return !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect}, r.Method)
}

// Stats returns the counts.
func (m *Middleware) Stats() Stats {
	return Stats{m.requests.Load(), m.truncated.Load(), m.noRoom.Load(), m.memory.used.Load()}
}

type idKey struct{}

// RequestID is the id in the entry of the request whose context this is, or empty where
// the request was not chosen: for what a handler logs itself.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(idKey{}).(string)
	return id
}

// Wrap returns a handler that calls next, and keeps its requests. Over HTTP/1 it is best
// put next to the server, outside of what else wraps the ResponseWriter: where that has
// not all that net/http's own has, what the handler does not read is not kept.
func (m *Middleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.options.Choose(r) {
			m.serve(next, w, r)
		} else {
			next.ServeHTTP(w, r)
		}
	})
}

func (m *Middleware) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	id := m.requestID(r)
	// The server looks at the body of its own Request, to see what is left of it, and
	// so that stays as it is; the handler gets a copy.
	c := r.WithContext(context.WithValue(r.Context(), idKey{}, id))
	e := m.newEntry(r, id)
	if r.Body == nil || r.Body == http.NoBody {
		m.send(e, content{whole: true})
		next.ServeHTTP(w, c)
		return
	}
	b := &body{middleware: m, entry: e, src: r.Body, original: r, request: c, writer: w, began: time.Now()}
	c.Body = b
	if r.ProtoMajor == 1 {
		w = b.watch(w)
	}
	defer func() { // also where the handler panics, which goes on
		b.end()
		// What the server cleans up, and what middleware that is further out may ask for.
		r.Form, r.PostForm, r.MultipartForm, r.Pattern = c.Form, c.PostForm, c.MultipartForm, c.Pattern
	}()
	next.ServeHTTP(w, c)
}

// budget is the memory that bodies may take.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int) bool {
	if b.used.Add(int64(n)) > b.limit {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

func (b *budget) giveBack(n int) { b.used.Add(-int64(n)) }
