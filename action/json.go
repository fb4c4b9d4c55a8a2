package action

import (
	"bytes"
	"encoding/json"
)

// JSON is all of the delivery as one JSON object of id, rule, text and fields, the
// fields in the form of journalctl --output=json: on one line, without its end. It is
// what an action sends whose user wrote no `text:`, unless its format is another.
func (m Message) JSON() ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(m.Text) + len(m.Record.Packed()) + 1024)
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(struct {
		ID   string `json:"id"`
		Rule string `json:"rule"`
		Text string `json:"text"`
	}{m.ID, m.Rule, m.Text}); err != nil {
		return nil, err
	}
	// A json.Marshaler's object would be read anew by the encoder, for a third of the time.
	head := bytes.TrimSuffix(b.Bytes(), []byte("}\n"))
	return append(m.Record.AppendJSON(append(head, `,"fields":`...)), '}'), nil
}
