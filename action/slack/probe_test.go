package slack_test

import (
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

func TestProbe(t *testing.T) {
	tests := []struct {
		name   string
		fault  slacktest.Fault
		scopes string
		long   slack.Long
		want   string // in the error; none if empty
	}{
		{"well", slacktest.OK, "chat:write,channels:read", "", ""},
		{"all in one header", slacktest.OK, "channels:read, chat:write", "", ""},
		{"no word of scopes", slacktest.OK, "", "", ""},
		{"not allowed to post", slacktest.OK, "channels:read,chat:write.public", "", "ask Slack about the token: the token has not the scope chat:write (give the app"},
		{"files", slacktest.OK, "chat:write,files:write", slack.InFile, ""},
		{"not allowed to upload files", slacktest.OK, "chat:write,channels:history", slack.InFile, "the token has not the scope files:write (give the app"},
		{"revoked", slacktest.Error("token_revoked"), "", "", "ask Slack about the token: token_revoked (make a new bot token"},
		{"down", slacktest.Status(503, "later"), "", "", "answered 503 Service Unavailable"},
		{"not Slack", slacktest.Status(200, `{"ok":true}`), "", "", "(does api_url lead to Slack?)"},
	}
	for _, tt := range tests {
		s := slacktest.NewServer()
		s.Scopes = tt.scopes
		s.Always(tt.fault)
		err := newAction(t, slack.Config{Token: slacktest.Token, Channel: "#growth", Long: tt.long, APIURL: s.APIURL()}).Probe(t.Context())
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		s.Close()
	}
}
