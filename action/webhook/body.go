package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"

	"github.com/journald-router/journald-router/action"
)

// key names the request: by the delivery's id, or a hash of several. The same
// deliveries have the same; after a failure they may go together otherwise.
func key(batch []action.Message) string {
	if len(batch) == 1 {
		return batch[0].ID
	}
	h := sha256.New()
	for _, m := range batch {
		io.WriteString(h, m.ID)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (a *Action) body(batch []action.Message) (body []byte, contentType string, err error) {
	switch a.format {
	case Array:
		return array(batch)
	case NDJSON:
		body, err = join(batch, "\n")
		return append(body, '\n'), "application/x-ndjson", err
	}
	return single(batch[0])
}

func array(batch []action.Message) (body []byte, contentType string, err error) {
	body, err = join(batch, ",\n")
	return slices.Concat([]byte("["), body, []byte("]\n")), "application/json", err
}

// join has each message as JSON without a line break.
func join(batch []action.Message, between string) ([]byte, error) {
	var b bytes.Buffer
	for i, m := range batch {
		if i > 0 {
			b.WriteString(between)
		}
		value, err := []byte(m.Text), error(nil)
		switch {
		case !m.Custom:
			value, err = m.JSON()
		case !json.Valid(value):
			value, err = json.Marshal(m.Text)
		}
		if err != nil {
			return nil, err
		}
		if err := json.Compact(&b, value); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// single is what one message is as a request.
func single(m action.Message) (body []byte, contentType string, err error) {
	switch {
	case !m.Custom:
		body, err = m.JSON()
		return append(body, '\n'), "application/json", err
	case json.Valid([]byte(m.Text)):
		return []byte(m.Text), "application/json", nil
	}
	return []byte(m.Text), "text/plain; charset=utf-8", nil
}
