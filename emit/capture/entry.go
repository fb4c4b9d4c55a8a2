package capture

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"

	"github.com/journald-router/journald-router/emit"
)

// MessageID is the MESSAGE_ID of the entries, by which a rule finds them.
const MessageID = "5c0b6a1de1d94b0f8e6f3a7d2c4e9b18"

// The values of BODY_TRUNCATED: why the body is not all in BODY.
const (
	// TruncatedLimit: it is longer than Options.Limit.
	TruncatedLimit = "limit"
	// TruncatedClient: the client broke off, or sent what is no body.
	TruncatedClient = "client"
	// TruncatedTimeout: it did not come in time.
	TruncatedTimeout = "timeout"
	// TruncatedUnread: the handler has left it, and it could not be read after that.
	TruncatedUnread = "unread"
	// TruncatedMemory: there was no room in Options.Memory. There is no BODY.
	TruncatedMemory = "memory"
)

// header is one that is kept, and its field.
type header struct{ key, field string }

func headers(names []string) []header {
	list := []header{{"Content-Type", "CONTENT_TYPE"}, {"Content-Encoding", "CONTENT_ENCODING"}}
	for _, name := range names {
		h := header{http.CanonicalHeaderKey(name), "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
		if h.key != "Content-Type" && h.key != "Content-Encoding" {
			list = append(list, h)
		}
	}
	return list
}

// mostFields is for clients that send one header many times: the body is to be there, too,
// and emit.Emitter takes 1000 fields.
const mostFields = 500

// entry is what is known of a request before its body. Its names are those of CGI
// (RFC 3875), where that has one.
type entry struct {
	title  string
	fields []emit.Field
}

func (m *Middleware) newEntry(r *http.Request, id string) entry {
	path := r.URL.EscapedPath()
	e := entry{
		title: r.Method + " " + path,
		fields: []emit.Field{
			emit.String("MESSAGE_ID", MessageID), emit.String("REQUEST_ID", id),
			emit.String("REQUEST_METHOD", r.Method), emit.String("REQUEST_PATH", path),
			emit.String("SERVER_PROTOCOL", r.Proto), emit.String("REMOTE_ADDR", r.RemoteAddr),
			emit.String("HTTP_HOST", r.Host),
		},
	}
	if m.options.Query {
		e.fields = append(e.fields, emit.String("QUERY_STRING", r.URL.RawQuery))
	}
	for _, h := range m.headers {
		for _, value := range r.Header[h.key] {
			if len(e.fields) == mostFields {
				return e
			}
			e.fields = append(e.fields, emit.String(h.field, value))
		}
	}
	return e
}

// requestID is the one that the request has, or a new one.
func (m *Middleware) requestID(r *http.Request) string {
	id := r.Header.Get(m.options.IDHeader)
	visible := func(c rune) bool { return c > ' ' && c <= '~' }
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(c rune) bool { return !visible(c) }) {
		return rand.Text()
	}
	return id
}

// content is what there is of a body.
type content struct {
	bytes  []byte
	length int64  // of all of it, or negative
	whole  bool   // else
	why    string // it is not
}

// send logs the entry.
func (m *Middleware) send(e entry, c content) {
	m.requests.Add(1)
	message := fmt.Sprintf("%s: %d bytes", e.title, len(c.bytes))
	fields := e.fields
	if c.length >= 0 {
		fields = append(fields, emit.Int("BODY_LENGTH", c.length))
	}
	if !c.whole {
		m.truncated.Add(1)
		fields = append(fields, emit.String("BODY_TRUNCATED", c.why))
		if c.length >= 0 {
			message = fmt.Sprintf("%s: %d of %d bytes kept (%s)", e.title, len(c.bytes), c.length, c.why)
		} else {
			message += fmt.Sprintf(" kept (%s)", c.why)
		}
	}
	if c.why == TruncatedMemory {
		m.noRoom.Add(1)
	} else {
		fields = append(fields, emit.Bytes("BODY", c.bytes))
	}
	m.log.Send(emit.Info, message, fields...)
}
