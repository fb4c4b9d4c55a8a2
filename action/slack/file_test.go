package slack_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

// TestFileRefused: a text whose file Slack does not take goes on in the thread, with the reason.
func TestFileRefused(t *testing.T) {
	for _, code := range []string{"missing_scope", "file_uploads_disabled", "storage_limit_reached", "file_upload_size_restricted"} {
		r := newRig(t, slack.Config{Long: slack.InFile})
		r.slack.ScriptFor("files.getUploadURLExternal", slacktest.Error(code))
		r.slack.ScriptFor("chat.postMessage", slacktest.OK, slacktest.OK, slacktest.DropReply())
		r.deliver(long)
		r.has(begun, "- _Slack has not taken", "- "+begun, "- "+begun)
		if said := r.slack.Messages()[1].Text; !strings.Contains(said, code) {
			t.Errorf("%q does not say %s", said, code)
		}
	}
}

// TestUploadSecret: who knows the address may upload.
func TestUploadSecret(t *testing.T) {
	r := newRig(t, slack.Config{Long: slack.InFile})
	r.slack.ScriptFor(slacktest.Upload, slacktest.Status(503, "cannot take /upload/v1/F00000001 now"))
	if err := r.try(long); err == nil || strings.Contains(err.Error(), "F00000001") || !strings.Contains(err.Error(), "503 Service Unavailable: cannot take [secret] now") {
		t.Errorf("%v", err)
	}
}

// TestUploadAddress: the file goes to no address but one that is as safe as Slack's own.
func TestUploadAddress(t *testing.T) {
	for _, address := range []string{"", "http://files.example/upload", "ftp://files.example/upload", "%"} {
		r := newRig(t, slack.Config{Long: slack.InFile, Channel: slacktest.ChannelID("#growth")})
		r.config.APIURL = strings.Replace(r.config.APIURL, "http:", "HTTP:", 1) // no plain http to others
		r.start(nil)
		r.slack.ScriptFor("files.getUploadURLExternal", slacktest.Status(200, fmt.Sprintf(`{"ok":true,"file_id":"F1","upload_url":%q}`, address)))
		if err := r.try(long); err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), "it names no address for a file") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
