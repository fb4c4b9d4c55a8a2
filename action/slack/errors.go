package slack

import (
	"cmp"
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
	"external_channel_migrating": true, // chat.update: "cannot be updated at this time"
	"fatal_error":                true, // "could not complete without encountering a catastrophic error"
	"file_not_found":             true, // of what was just uploaded: it is uploaded anew
	"file_update_failed":         true, // files.completeUploadExternal
	"internal_error":             true, // "likely due to a transient issue on our end"
	"invalid_cursor":             true, // "or is no longer valid": a look-up begins anew
	"message_limit_exceeded":     true, // members of the workspace post too much
	"org_login_required":         true, // "undergoing an enterprise migration and will not be available until"
	"rate_limited":               true,
	"ratelimited":                true,
	"request_timeout":            true, // "the POST data was either missing or truncated"
	"rollup_error":               true, // incoming webhooks: "something strange and unusual"
	"service_unavailable":        true,
	"team_added_to_org":          true, // "intermittently unavailable until the transition is complete"
	"update_failed":              true, // chat.update: "internal update failure"
}

// halfway are the errors after which Slack may have done what it was asked for: "It's possible
// some aspect of the operation succeeded before the error was raised."
var halfway = map[string]bool{
	"fatal_error":         true,
	"file_update_failed":  true,
	"internal_error":      true,
	"service_unavailable": true,
}

// A failure is an error of which more is known.
type failure struct {
	error
	code    string // Slack's word for it; empty if it is none of Slack's
	nothing bool   // Slack has surely done nothing of what it was asked for
}

func (f failure) Unwrap() error { return f.error }

// nothingDone marks an error after which Slack has surely not done what it was asked for.
func nothingDone(err error) error { return failure{err, codeOf(err), true} }

// mayBeDone tells whether Slack may have done what it was asked for, nevertheless.
func mayBeDone(err error) bool {
	f, ok := errors.AsType[failure](err)
	return !ok || !f.nothing
}

// codeOf is Slack's word for an error, or empty.
func codeOf(err error) string {
	f, _ := errors.AsType[failure](err)
	return f.code
}

// asked is an error of slack-go's as one of ours.
func asked(err error) error {
	if reply, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		return apiError(reply)
	}
	return err
}

const (
	hintToken   = "make a new bot token: api.slack.com/apps, the app, OAuth & Permissions, Install; it begins with xoxb-"
	hintChannel = "check the channel's name, and that the bot is a member of it: /invite @bot in the channel"
	hintWebhook = "make a new incoming webhook: api.slack.com/apps, the app, Incoming Webhooks"
	hintAdmin   = "ask the workspace's administrators to let the app post there"
	hintArchive = "the channel is archived: unarchive it, or choose another"
	hintFiles   = "with long: thread, no files are needed"
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
	"file_upload_size_restricted":           hintFiles,
	"file_uploads_disabled":                 hintFiles,
	"no_active_hooks":                       hintWebhook,
	"no_permission":                         hintChannel,
	"no_service":                            hintWebhook,
	"no_service_id":                         hintWebhook,
	"no_team":                               hintWebhook,
	"not_allowed_token_type":                hintToken,
	"not_authed":                            hintToken,
	"not_in_channel":                        hintChannel,
	"posting_to_channel_denied":             hintAdmin,
	"posting_to_general_channel_denied":     hintAdmin,
	"restricted_action":                     hintAdmin,
	"restricted_action_read_only_channel":   hintAdmin,
	"restricted_action_thread_only_channel": hintAdmin,
	"storage_limit_reached":                 hintFiles,
	"team_access_not_granted":               hintAdmin,
	"team_disabled":                         hintAdmin,
	"team_not_found":                        "a token of a whole organization wants the channel's id: C024BE91L",
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
	err = withHint(err, reply.Err)
	if reply.Err == "missing_scope" {
		err = fmt.Errorf("%w (%s)", err, hintScope(cmp.Or(reply.Needed, "that this needs")))
	}
	return failure{err, reply.Err, !halfway[reply.Err]}
}

func hintScope(scope string) string {
	return fmt.Sprintf("give the app the scope %s: api.slack.com/apps, the app, OAuth & Permissions; then install it anew", action.OneLine(scope, 100))
}

func withHint(err error, code string) error {
	if hint := hints[code]; hint != "" {
		return fmt.Errorf("%w (%s)", err, hint)
	}
	return err
}
