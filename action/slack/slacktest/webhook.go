package slacktest

import (
	"encoding/json"
	"net/http"
	"strings"
)

// webhook answers in the way of incoming webhooks: a status and one word.
// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
// https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks
func (s *Slack) webhook(r request) answer {
	if form, ok := r.args["payload"].(string); ok && r.contentType == formType {
		r.args = map[string]any{}
		if json.Unmarshal([]byte(form), &r.args) != nil {
			r.argsErr = "invalid_json"
		}
	}
	c := s.webhookChannel()
	switch {
	case pathWithoutToken(r.path) != pathWithoutToken(WebhookPath):
		return plain(http.StatusNotFound, "no_service")
	case r.path != WebhookPath:
		return plain(http.StatusForbidden, "invalid_token")
	case r.httpMethod != http.MethodPost || r.argsErr != "" || len(r.args) == 0:
		return plain(http.StatusBadRequest, "invalid_payload")
	case c.archived:
		return plain(http.StatusGone, "channel_is_archived")
	}
	// A webhook has no metadata, so that its problems are none.
	delete(r.args, "metadata")
	said, problem := readContent(r, maxText)
	switch {
	case problem != nil:
		return plain(http.StatusBadRequest, problem.code)
	case said.empty():
		return plain(http.StatusBadRequest, "no_text")
	}
	if wait := s.waitFor(c); wait > 0 {
		return tooSoon(wait)
	}
	p := &post{channel: c, bot: webhookBotID}
	p.ThreadTS = s.threadOf(c, r.text("thread_ts"))
	p.say(said)
	lost, err := s.accept(p)
	if err != nil {
		return plain(http.StatusInternalServerError, "rollup_error")
	}
	a := plain(http.StatusOK, "ok")
	a.lost = lost
	return a
}

// webhookChannel is there whatever Channels says: the webhook belongs to it.
func (s *Slack) webhookChannel() *channel {
	if c := s.channel(WebhookChannel); c != nil {
		return c
	}
	return s.addChannel(WebhookChannel)
}

func pathWithoutToken(path string) string {
	return path[:strings.LastIndexByte(path, '/')]
}
