package slack

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
	"github.com/slack-go/slack"
)

var writePicture = flag.Bool("write-picture", false, "write picture/messages.json, of which scripts/slack-picture makes the pictures of the documentation")

// TestPicture: the pictures of docs/actions/slack.md are made of what is posted now.
func TestPicture(t *testing.T) {
	const path = "picture/messages.json"
	now, err := json.MarshalIndent(samples(t), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	now = append(now, '\n')
	if *writePicture {
		if err := os.WriteFile(path, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rendered, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(rendered), string(now)); diff != "" {
		t.Errorf("the pictures of the documentation show messages that are no more: run scripts/slack-picture (-shown +posted)\n%s", diff)
	}
}

// A sample is a message of the picture.
type sample struct {
	Time        time.Time          `json:"time"`
	Replies     int                `json:"replies,omitempty"`
	Text        string             `json:"text,omitempty"`
	Attachments []slack.Attachment `json:"attachments"`
}

func samples(t *testing.T) (all []sample) {
	a := bot("", "")
	entries := []struct {
		template, text string
		after          time.Duration
		fields         []string
		times          int
	}{
		{
			text:   "payment of order 4711 failed: POST https://payments.example.com/v1/charges?order=4711&attempt=3&idempotency_key=7b1c0fd2-95a4-4f0e-9c38 returned 503",
			fields: []string{"PRIORITY", "3", "_SYSTEMD_UNIT", "shop-payments.service", "_HOSTNAME", "web1"},
			times:  17,
		},
		{
			text:   "backup finished: 214 GiB in 41 min",
			after:  4*time.Minute + 11*time.Second,
			fields: []string{"PRIORITY", "5", "_SYSTEMD_UNIT", "backup.service", "_HOSTNAME", "db1"},
		},
		{
			template: "*{{ .Rule }}*: {{ .Captures.mail }} has signed up with `{{ .Captures.code }}`, see the <https://shop.example.com/accounts/{{ .Captures.id }}|account>",
			after:    6*time.Minute + 40*time.Second,
			fields:   []string{"PRIORITY", "6", "_SYSTEMD_UNIT", "shop.service", "_HOSTNAME", "web2"},
		},
	}
	captures := map[string]string{"mail": "ada@example.com", "code": "SPRING26", "id": "1815"}
	begin := time.Date(2026, 3, 2, 14, 3, 22, 0, time.UTC)
	for i, e := range entries {
		at := begin.Add(e.after)
		var fields []journal.Field
		for i := 0; i < len(e.fields); i += 2 {
			fields = append(fields, journal.Field{Name: e.fields[i], Value: []byte(e.fields[i+1])})
		}
		cursor := fmt.Sprintf("s=c2d85fb1e9a34a6b8f4e0d9b7a615c3e;i=%x;b=5f9d3c1b7a8e4260b1d2c3e4f5a69788;m=4e3b2a19;t=%x;x=8d7c6b5a49382716", 0x1f3a4+i*517, at.UnixMicro())
		m := action.Message{ID: fmt.Sprint(i), Text: a.Escape(e.text), Record: journal.NewRecord(cursor, at, 0, fields...)}
		if e.template != "" {
			parsed, err := action.ParseTemplate(e.template, a.Escape)
			if err != nil {
				t.Fatal(err)
			}
			if m.Text, err = parsed.Render(action.NewData(m.ID, "signups", "", captures, m.Record)); err != nil {
				t.Fatal(err)
			}
		}
		p, _, _ := a.compose([]action.Message{m})
		if e.times > 0 {
			p = p.counted(e.times, at.Add(38*time.Minute+5*time.Second))
		}
		all = append(all, sample{at, max(e.times-1, 0), p.text, p.attachments})
	}
	return all
}
