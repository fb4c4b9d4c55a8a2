package emit

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// encoder makes an entry, in journald's form, of a record of log/slog.
type encoder struct {
	handler *handler
	b       []byte
	fields  int      // how many attributes are in b
	name    []byte   // what the open groups make of a name
	groups  []string // the same, for ReplaceAttr
}

func (e *encoder) record(ctx context.Context, r slog.Record) {
	h := e.handler
	if h.options.ReplaceAttr == nil {
		e.priority(r.Level)
		e.message(r.Message)
		e.time(r.Time)
		if h.options.AddSource && r.PC != 0 {
			e.b = append(e.b, h.sources.at(r.PC)...)
		}
	} else {
		e.replaced(r)
	}
	if h.options.Trace != nil {
		trace, span := h.options.Trace(ctx)
		e.id("TRACE_ID", trace)
		e.id("SPAN_ID", span)
	}
	if h.options.Context != nil {
		for _, a := range h.options.Context(ctx) {
			e.attr(a)
		}
	}
	e.b = append(e.b, h.fields...)
	e.name = append(e.name[:0], h.prefix...)
	e.groups = h.groups
	r.Attrs(func(a slog.Attr) bool {
		e.attr(a)
		return true
	})
}

// replaced is what ReplaceAttr makes of the record's own attributes.
func (e *encoder) replaced(r slog.Record) {
	replace := func(a slog.Attr) (slog.Attr, bool) {
		a = e.handler.options.ReplaceAttr(nil, a)
		a.Value = a.Value.Resolve()
		return a, !a.Equal(slog.Attr{})
	}
	level := r.Level
	a, ok := replace(slog.Any(slog.LevelKey, level))
	if l, is := a.Value.Any().(slog.Level); is {
		level = l
	} else if ok {
		e.field(a)
	}
	e.priority(level)
	if a, ok = replace(slog.String(slog.MessageKey, r.Message)); ok {
		e.message(a.Value.String())
	}
	if !r.Time.IsZero() {
		if a, ok = replace(slog.Time(slog.TimeKey, r.Time.Round(0))); ok && a.Value.Kind() == slog.KindTime {
			e.time(a.Value.Time())
		} else if ok {
			e.field(a)
		}
	}
	if e.handler.options.AddSource && r.PC != 0 {
		a, ok = replace(slog.Any(slog.SourceKey, source(r.PC)))
		if s, is := a.Value.Any().(*slog.Source); is && s != nil {
			e.b = appendSource(e.b, s)
		} else if ok {
			e.field(a)
		}
	}
}

func (e *encoder) priority(l slog.Level) {
	e.b = append(e.b, "PRIORITY="...)
	e.b = append(e.b, '0'+byte(priority(l)), '\n')
}

func (e *encoder) message(s string) {
	e.b = append(e.b, "MESSAGE"...)
	e.b = appendText(e.b, s)
}

// time is the record's own. Of what systemd.journal-fields(7) has, only this field is for
// the sender's time: _SOURCE_REALTIME_TIMESTAMP is not the program's to set.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		return
	}
	e.b = append(e.b, "SYSLOG_TIMESTAMP="...)
	e.b = t.UTC().AppendFormat(e.b, "2006-01-02T15:04:05.000000000Z07:00")
	e.b = append(e.b, '\n')
}

func (e *encoder) id(name, id string) {
	if strings.Trim(id, "0") != "" {
		e.b = append(e.b, name...)
		e.b = appendText(e.b, id)
	}
}

// attr adds an attribute, or those of a group.
func (e *encoder) attr(a slog.Attr) {
	a.Value = a.Value.Resolve()
	if replace := e.handler.options.ReplaceAttr; replace != nil && a.Value.Kind() != slog.KindGroup {
		a = replace(e.groups, a)
		a.Value = a.Value.Resolve()
	}
	if a.Equal(slog.Attr{}) {
		return
	}
	if a.Value.Kind() == slog.KindGroup {
		e.group(a)
		return
	}
	e.field(a)
}

func (e *encoder) group(a slog.Attr) {
	length, groups := len(e.name), e.groups
	if a.Key != "" {
		e.name = append(appendKey(e.name, a.Key), '_')
		if e.handler.options.ReplaceAttr != nil {
			e.groups = append(slices.Clip(groups), a.Key)
		}
	}
	for _, a := range a.Value.Group() {
		e.attr(a)
	}
	e.name, e.groups = e.name[:length], groups
}

// field adds a field with what is no group.
func (e *encoder) field(a slog.Attr) {
	if e.fields == e.handler.emitter.most {
		e.handler.emitter.invalid.Add(1)
		return
	}
	e.fields++
	length := len(e.name)
	e.name = appendKey(e.name, a.Key)
	e.b = appendAttrName(e.b, e.name)
	e.name = e.name[:length]
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		e.b = appendText(e.b, v.String())
		return
	case slog.KindAny:
		e.b = appendAny(e.b, v.Any())
		return
	case slog.KindInt64:
		e.b = strconv.AppendInt(append(e.b, '='), v.Int64(), 10)
	case slog.KindUint64:
		e.b = strconv.AppendUint(append(e.b, '='), v.Uint64(), 10)
	case slog.KindFloat64:
		e.b = appendFloat(append(e.b, '='), v.Float64())
	case slog.KindBool:
		e.b = strconv.AppendBool(append(e.b, '='), v.Bool())
	case slog.KindDuration:
		e.b = strconv.AppendFloat(append(e.b, '='), v.Duration().Seconds(), 'f', -1, 64)
	case slog.KindTime:
		e.b = v.Time().AppendFormat(append(e.b, '='), time.RFC3339Nano)
	default: // a group in a group's place: ReplaceAttr may return one for the level
		e.b = appendText(e.b, v.String())
		return
	}
	e.b = append(e.b, '\n')
}

// appendKey appends a part of a name, in capitals.
func appendKey(b []byte, key string) []byte {
	for i := range len(key) {
		c := key[i]
		switch {
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		default:
			c = '_'
		}
		b = append(b, c)
	}
	return b
}

// appendAttrName appends the name of an attribute's field.
func appendAttrName(b, name []byte) []byte {
	start := len(b)
	if len(name) == 0 || name[0] < 'A' || name[0] > 'Z' || reserved(name) {
		b = append(b, "ATTR_"...)
	}
	b = append(b, name...)
	return b[:min(len(b), start+longestName)]
}

// reserved says whether a field has a meaning that an attribute may not change: for the
// handler, or for journald, which takes some from the program as if it knew them.
func reserved(name []byte) bool {
	switch string(name) {
	case "MESSAGE", "PRIORITY", "CODE_FILE", "CODE_LINE", "CODE_FUNC", "OBJECT_PID":
		return true
	}
	return len(name) > 7 && string(name[:7]) == "SYSLOG_"
}
