package action_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

// TestJSON: the object is what encoding/json makes of its parts.
func TestJSON(t *testing.T) {
	odd := "a <&> \"}\n\x00\xff\u2028"
	for _, m := range []action.Message{
		{},
		{ID: "1", Rule: "r", Text: "x", Record: journal.NewRecord("s=0;i=1", time.UnixMicro(1), 2)},
		{ID: odd, Rule: odd, Text: odd, Record: journal.NewRecord(odd, time.UnixMicro(1), 2,
			journal.Field{Name: "A", Value: []byte(odd)}, journal.Field{Name: "B", Value: nil}, journal.Field{Name: "A", Value: []byte("2")})},
	} {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(struct {
			ID     string         `json:"id"`
			Rule   string         `json:"rule"`
			Text   string         `json:"text"`
			Fields journal.Record `json:"fields"`
		}{m.ID, m.Rule, m.Text, m.Record}); err != nil {
			t.Fatal(err)
		}
		got, err := m.JSON()
		if err != nil || string(got)+"\n" != want.String() {
			t.Errorf("%s, %v\nwant %s", got, err, &want)
		}
	}
}
