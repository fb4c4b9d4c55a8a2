package emit

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"
)

// HandlerOptions are those of NewHandler. The zero value is right for most; the first
// three are those of slog.HandlerOptions.
type HandlerOptions struct {
	// AddSource adds CODE_FILE, CODE_LINE and CODE_FUNC.
	AddSource bool
	// Level is the least that is logged. Default: slog.LevelInfo.
	Level slog.Leveler
	// ReplaceAttr changes attributes, or removes them, as slog.HandlerOptions has it; also
	// those of the record itself, with the keys slog.TimeKey, LevelKey, MessageKey and
	// SourceKey. What it makes of the message is MESSAGE, whatever key it returns. What it
	// makes of the level is PRIORITY if it still is a slog.Level; else it is a field, and
	// PRIORITY is that of the record. An entry always has a PRIORITY.
	ReplaceAttr func(groups []string, a slog.Attr) slog.Attr
	// Trace returns the ids that become TRACE_ID and SPAN_ID, of which one that is empty
	// or has only zeros is left out. With OpenTelemetry:
	//
	//	Trace: func(ctx context.Context) (string, string) {
	//		s := trace.SpanContextFromContext(ctx)
	//		return s.TraceID().String(), s.SpanID().String()
	//	},
	Trace func(ctx context.Context) (traceID, spanID string)
	// Context returns attributes that the context has, as the id of a request. They are
	// in no group, whichever are open.
	Context func(ctx context.Context) []slog.Attr
}

// NewHandler makes a handler for log/slog whose records are entries of e.
//
// The message is MESSAGE, and the level PRIORITY: below Info 7, from Info on 6, from
// Info+2 on 5, Warn 4, Error 3, Error+4 2, and from Error+8 on 1. journald stamps an
// entry with the time when it gets it; the record's own is SYSLOG_TIMESTAMP, in UTC.
//
// An attribute is a field, its name in capitals behind the groups that it is in: id in
// the group req is REQ_ID. Names are at most 64 bytes long. One that is not the
// attribute's to set (MESSAGE, PRIORITY, CODE_FILE, CODE_LINE, CODE_FUNC, OBJECT_PID,
// SYSLOG_ and what follows), or does not begin with a letter, gets ATTR_ before it. Times
// are in RFC 3339 with nanoseconds, durations in seconds as 0.25; errors and what has a
// String or MarshalText method are that text, []byte the bytes, all else is JSON.
//
// As Send, it never waits, and Handle's error is always nil.
func NewHandler(e *Emitter, o HandlerOptions) slog.Handler {
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	return &handler{emitter: e, options: o, sources: &sources{}}
}

type handler struct {
	emitter *Emitter
	options HandlerOptions
	sources *sources

	fields []byte   // those of WithAttrs, as journald wants them
	count  int      // of them
	prefix []byte   // what the groups of WithGroup make of a name: "REQ_"
	groups []string // the same, for ReplaceAttr
}

var _ slog.Handler = (*handler)(nil)

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.options.Level.Level() }

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	c := *h
	e := encoder{handler: h, b: slices.Clip(h.fields), fields: h.count, name: slices.Clip(h.prefix), groups: h.groups}
	for _, a := range attrs {
		e.attr(a)
	}
	c.fields, c.count = e.b, e.fields
	return &c
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix = appendKey(slices.Clip(h.prefix), name)
	c.prefix = append(c.prefix, '_')
	c.groups = append(slices.Clip(h.groups), name)
	return &c
}

// buffers are for entries that are being made: their size is not known before.
var buffers = sync.Pool{New: func() any { return &encoder{} }}

// keepBuffer is how much memory a buffer may keep.
const keepBuffer = 16 << 10

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	e := buffers.Get().(*encoder)
	*e = encoder{handler: h, b: e.b[:0], fields: h.count, name: e.name[:0]}
	e.record(ctx, r)
	h.emitter.sendEncoded(e.b)
	if cap(e.b) <= keepBuffer {
		e.handler, e.groups = nil, nil
		buffers.Put(e)
	}
	return nil
}

// sendEncoded is Send for an entry in journald's form.
func (e *Emitter) sendEncoded(entry []byte) {
	e.sent.Add(1)
	s, position := e.room(int64(len(entry) + len(e.constant)))
	if s == nil {
		e.dropped.Add(1)
		return
	}
	s.entry = append(append(s.room(), entry...), e.constant...)
	e.publish(s, position)
}

// priority is syslog's for a level. None is Emerg, which journald shows to everybody
// who is logged in.
func priority(l slog.Level) Priority {
	switch {
	case l < slog.LevelInfo:
		return Debug
	case l < slog.LevelInfo+2:
		return Info
	case l < slog.LevelWarn:
		return Notice
	case l < slog.LevelError:
		return Warning
	case l < slog.LevelError+4:
		return Err
	case l < slog.LevelError+8:
		return Crit
	}
	return Alert
}

// sources are the fields of the places in the program that have logged, of which there
// are so many as there are calls.
type sources struct {
	mu     sync.RWMutex
	fields map[uintptr][]byte
}

func (s *sources) at(pc uintptr) []byte {
	s.mu.RLock()
	b, ok := s.fields[pc]
	s.mu.RUnlock()
	if ok {
		return b
	}
	b = appendSource(nil, source(pc))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fields == nil {
		s.fields = map[uintptr][]byte{}
	}
	s.fields[pc] = b
	return b
}

func source(pc uintptr) *slog.Source {
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return &slog.Source{Function: f.Function, File: f.File, Line: f.Line}
}

func appendSource(b []byte, s *slog.Source) []byte {
	for _, f := range []Field{String("CODE_FILE", s.File), Int("CODE_LINE", int64(s.Line)), String("CODE_FUNC", s.Function)} {
		if f.text != "" || f.int != 0 {
			b, _ = f.append(b)
		}
	}
	return b
}
