package slack

import (
	"errors"
	"fmt"
	"strings"

	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

// temporary are the errors of Slack's own that pass. All others mean that the
// same message will be refused again until somebody changes something.
// https://docs.slack.dev/reference/methods/chat.postMessage#errors
var temporary = map[string]bool{
	"fatal_error":            true, // "could not complete without encountering a catastrophic error"
	"internal_error":         true, // "likely due to a transient issue on our end"
	"message_limit_exceeded": true, // members of the workspace post too much
	"org_login_required":     true, // "undergoing an enterprise migration and will not be available until"
	"rate_limited":           true,
	"ratelimited":            true,
	"request_timeout":        true, // "the POST data was either missing or truncated"
	"rollup_error":           true, // incoming webhooks: "something strange and unusual"
	"service_unavailable":    true,
	"team_added_to_org":      true, // "intermittently unavailable until the transition is complete"
}

const (
	hintToken   = "make a new bot token: api.slack.com/apps, the app, OAuth & Permissions, Install; it begins with xoxb-"
	hintChannel = "check the channel's name, and that the bot is a member of it: /invite @bot in the channel"
	hintWebhook = "make a new incoming webhook: api.slack.com/apps, the app, Incoming Webhooks"
	hintAdmin   = "ask the workspace's administrators to let the app post there"
	hintArchive = "the channel is archived: unarchive it, or choose another"
)

// hints say what to do about an error.
var hints = map[string]string{
	"access_denied":                         hintAdmin,
	"account_inactive":                      hintToken,
	"action_prohibited":                     hintAdmin,
	"channel_is_archived":                   hintArchive,
	"channel_not_found":                     hintChannel,
	"ekm_access_denied":                     hintAdmin,
	"invalid_auth":                          hintToken,
	"invalid_token":                         hintWebhook,
	"is_archived":                           hintArchive,
	"missing_scope":                         "give the app the scope chat:write: api.slack.com/apps, the app, OAuth & Permissions; then install it anew",
	"no_active_hooks":                       hintWebhook,
	"no_permission":                         hintChannel,
	"no_service":                            hintWebhook,
	"no_service_id":                         hintWebhook,
	"no_team":                               hintWebhook,
	"not_allowed_token_type":                hintToken,
	"not_authed":                            hintToken,
	"not_in_channel":                        hintChannel,
	"posting_to_general_channel_denied":     hintAdmin,
	"restricted_action":                     hintAdmin,
	"restricted_action_read_only_channel":   hintAdmin,
	"restricted_action_thread_only_channel": hintAdmin,
	"team_disabled":                         hintAdmin,
	"token_expired":                         hintToken,
	"token_revoked":                         hintToken,
	"user_not_found":                        hintWebhook,
}

// apiError is what a reply of ok: false means for the delivery.
func apiError(reply slack.SlackErrorResponse) error {
	said := reply.Err
	if reply.Needed != "" {
		said += ", needed: " + reply.Needed
	}
	if len(reply.ResponseMetadata.Messages) > 0 {
		said += ": " + strings.Join(reply.ResponseMetadata.Messages, "; ")
	}
	err := errors.New(action.OneLine(said, 200))
	if !temporary[reply.Err] {
		err = action.Permanent(err)
	}
	return withHint(err, reply.Err)
}

func withHint(err error, code string) error {
	if hint := hints[code]; hint != "" {
		return fmt.Errorf("%w (%s)", err, hint)
	}
	return err
}
