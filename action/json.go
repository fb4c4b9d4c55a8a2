package action

import (
	"bytes"
	"encoding/json"

	"github.com/journald-router/journald-router/journal"
)

// JSON is all of the delivery as one JSON object of id, rule, text and fields, the
// fields in the form of journalctl --output=json: on one line, without its end. It is
// what an action sends whose user wrote no `text:`, unless its format is another.
func (m Message) JSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		ID     string         `json:"id"`
		Rule   string         `json:"rule"`
		Text   string         `json:"text"`
		Fields journal.Record `json:"fields"`
	}{m.ID, m.Rule, m.Text, m.Record})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
