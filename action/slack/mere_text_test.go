package slack_test

import (
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

// TestMereText: what Slack does not take in blocks, it gets as text, with all that the blocks say.
func TestMereText(t *testing.T) {
	blocks := slack.Config{Format: slack.Blocks, Thread: byKey}
	for _, code := range []string{
		"attachment_payload_limit_exceeded", "invalid_attachments", "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "too_many_attachments",
	} {
		r := newRig(t, blocks)
		r.slack.ScriptFor("chat.postMessage", slacktest.Error(code))
		r.deliver(one, two)
		m := r.slack.Messages()[0]
		if len(m.Attachments) > 0 || !strings.HasPrefix(m.Text, "one\n<!date^1700000000^") || !strings.Contains(m.Text, "\ntwo\n<!date^1700000000^") ||
			!strings.HasSuffix(m.Text, "\n_Slack has not taken it in blocks: "+code+"_") {
			t.Errorf("%+v", m)
		}
		r.deliver(three) // it is counted in its own form
		if m := r.slack.Messages()[0]; !strings.Contains(m.Text, "*×3*") || len(m.Attachments) > 0 {
			t.Errorf("%+v", m)
		}
	}
	t.Run("a part", func(t *testing.T) {
		r := newRig(t, slack.Config{Format: slack.Blocks})
		r.slack.ScriptFor("chat.postMessage", slacktest.OK, slacktest.Error("invalid_blocks"))
		r.deliver(long)
		once, parts := posts(r.slack.Messages())
		if once[long.ID] != 1 || len(parts[long.ID]) != 2 || !strings.HasPrefix(r.slack.Messages()[1].Text, begun) {
			t.Errorf("%v, parts %v", once, parts)
		}
	})
	t.Run("the second reply is lost", func(t *testing.T) {
		r := newRig(t, blocks)
		r.slack.ScriptFor("chat.postMessage", slacktest.Error("invalid_blocks"), slacktest.DropReply())
		if errs := r.deliver(one); len(errs) != 1 || len(r.slack.Messages()) != 1 {
			t.Errorf("%q, %d messages", errs, len(r.slack.Messages()))
		}
	})
	t.Run("neither as text", func(t *testing.T) {
		r := newRig(t, blocks)
		r.slack.ScriptFor("chat.postMessage", slacktest.Error("invalid_blocks"), slacktest.Error("restricted_action"))
		if err := r.try(one); !action.IsPermanent(err) || !strings.Contains(err.Error(), "restricted_action") {
			t.Error(err)
		}
	})
	t.Run("webhook", func(t *testing.T) {
		s := slacktest.NewServer()
		defer s.Close()
		a, err := slack.New(slack.Config{WebhookURL: action.Secret(s.WebhookURL())})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		s.ScriptFor(slacktest.Webhook, slacktest.Status(400, "invalid_blocks"))
		if err := a.Deliver(t.Context(), []action.Message{one}); err != nil {
			t.Fatal(err)
		}
		if m := s.Messages()[0]; !strings.HasPrefix(m.Text, "one\n") || !strings.Contains(m.Text, "_Slack has not taken it in blocks: invalid_blocks_") {
			t.Errorf("%+v", m)
		}
	})
}
