package s3

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"mime"
	"sync"

	"github.com/journald-router/journald-router/action"
	"github.com/klauspost/compress/zstd"
)

// A compression is how the content of an object is packed.
type compression string

const (
	zstandard compression = "zstd"
	gzipped   compression = "gzip"
	none      compression = "none"
)

// suffix is the usual ending of a name.
func (c compression) suffix() string {
	switch c {
	case zstandard:
		return ".zst"
	case gzipped:
		return ".gz"
	}
	return ""
}

// encoding is the object's Content-Encoding.
func (c compression) encoding() string {
	if c == none {
		return ""
	}
	return string(c)
}

// zstdEncoders are kept: to make one costs more than to fill a small object.
var zstdEncoders = sync.Pool{New: func() any {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // it is about options, which are right or wrong for good
	}
	return e
}}

// into runs write with what compresses into a buffer.
func (c compression) into(write func(io.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	switch c {
	case zstandard:
		e := zstdEncoders.Get().(*zstd.Encoder)
		defer zstdEncoders.Put(e)
		e.Reset(&b)
		defer e.Reset(nil)
		if err := write(e); err != nil {
			return nil, err
		}
		if err := e.Close(); err != nil {
			return nil, err
		}
	case gzipped:
		e := gzip.NewWriter(&b)
		if err := write(e); err != nil {
			return nil, err
		}
		if err := e.Close(); err != nil {
			return nil, err
		}
	default:
		if err := write(&b); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// content is what an object has in it, compressed. Only that is held in memory as a
// whole, beside one line.
func (a *Action) content(o *object) (content []byte, err error) {
	if a.field == "" {
		return a.compress.into(func(w io.Writer) error { return writeLines(w, o) })
	}
	value, ok := o.first.Record.Get(a.field)
	if !ok {
		return nil, action.Permanent(fmt.Errorf("the entry has no field %s", a.field))
	}
	if a.compress == none {
		return value, nil
	}
	return a.compress.into(func(w io.Writer) error {
		_, err := w.Write(value)
		return err
	})
}

// writeLines writes a line for each entry, as the file action does.
func writeLines(w io.Writer, o *object) error {
	var line []byte
	for _, i := range o.places {
		m := &o.batch[i]
		if m.Custom {
			line = action.AppendLine(line[:0], m.Text)
		} else {
			line = append(m.Record.AppendJSON(line[:0]), '\n')
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// sizeOf is about how large the message is in an object.
func sizeOf(m *action.Message) int {
	if m.Custom {
		return len(m.Text) + 1
	}
	return len(m.Record.Packed()) + 128
}

// typeOf is the Content-Type of an object that begins with the message. An error is
// permanent.
func (a *Action) typeOf(m *action.Message) (string, error) {
	if a.contentType != nil {
		d := m.Data
		d.ID, d.Rule = m.ID, m.Rule
		t, err := a.contentType.Render(d)
		switch {
		case err != nil:
			return "", action.Permanent(fmt.Errorf("content_type: %w", err))
		case validContentType(t):
			return t, nil
		}
		return octets, nil
	}
	switch {
	case a.field != "":
		return octets, nil
	case m.Custom:
		return "text/plain; charset=utf-8", nil
	}
	return "application/x-ndjson", nil
}

// octets is the type of what nobody knows more of.
const octets = "application/octet-stream"

func validContentType(t string) bool {
	_, _, err := mime.ParseMediaType(t)
	return err == nil && len(t) <= 256 && isPlain(t)
}

// isPlain says whether s may be a header's value.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
