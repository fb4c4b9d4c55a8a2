package slacktest_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action/slack/slacktest"
)

func TestWebhook(t *testing.T) {
	const divider = `[{"type":"divider"}]`
	tests := []struct {
		name              string
		path, contentType string
		body              string
		status            int
		answer            string
		says              string
	}{
		{"JSON", "", jsonType, `{"text":"hello"}`, 200, "ok", "hello"},
		{"form", "", form, "payload=" + url.QueryEscape(`{"text":"hello"}`), 200, "ok", "hello"},
		{"blocks", "", jsonType, `{"blocks":[{"type":"section","text":{"type":"mrkdwn","text":"hello"}}]}`, 200, "ok", "hello"},
		{"metadata is none of its business", "", jsonType, `{"text":"hello","metadata":{}}`, 200, "ok", "hello"},
		{"bad JSON", "", jsonType, `{"text":`, 400, "invalid_payload", ""},
		{"bad form", "", form, "payload=x", 400, "invalid_payload", ""},
		{"nothing", "", jsonType, `{}`, 400, "invalid_payload", ""},
		{"no text", "", jsonType, `{"text":" "}`, 400, "no_text", ""},
		{"too long", "", jsonType, `{"text":"` + strings.Repeat("x", 40_001) + `"}`, 400, "msg_too_long", ""},
		{"bad blocks", "", jsonType, `{"blocks":[{"type":"section"}]}`, 400, "invalid_blocks", ""},
		{"too many attachments", "", jsonType, `{"attachments":[` + strings.Repeat(`{"blocks":`+divider+`},`, 100) + `{"blocks":` + divider + `}]}`, 400, "too_many_attachments", ""},
		{"wrong token", slacktest.WebhookPath + "x", jsonType, `{"text":"hello"}`, 403, "invalid_token", ""},
		{"unknown", "/services/T1/B1/x", jsonType, `{"text":"hello"}`, 404, "no_service", ""},
	}
	for _, tt := range tests {
		s := serve(t)
		s.Channels = []string{"#growth"}
		address := s.WebhookURL()
		if tt.path != "" {
			address = strings.TrimSuffix(address, slacktest.WebhookPath) + tt.path
		}
		status, answer := send(t, address, tt.contentType, "", tt.body)
		messages := s.Messages()
		if status != tt.status || answer != tt.answer || len(messages) == 1 != (tt.answer == "ok") {
			t.Errorf("%s: %d %s, %d accepted", tt.name, status, answer, len(messages))
		} else if tt.says != "" && (messages[0].Says() != tt.says || messages[0].Channel != slacktest.WebhookChannel) {
			t.Errorf("%s: %+v", tt.name, messages[0])
		}
	}
	s := serve(t)
	s.Archive(slacktest.WebhookChannel, true)
	if status, answer := send(t, s.WebhookURL(), jsonType, "", `{"text":"hello"}`); status != 410 || answer != "channel_is_archived" {
		t.Errorf("archived: %d %s", status, answer)
	}
}
