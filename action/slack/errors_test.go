package slack_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

// documented are the errors that the pages of the methods name, as of 2026.
// https://docs.slack.dev/reference/methods/chat.postMessage and so on
var documented = map[string]string{
	// What all methods have in common.
	"": `access_denied accesslimited account_inactive deprecated_endpoint ekm_access_denied enterprise_is_restricted fatal_error internal_error invalid_arg_name
		invalid_arguments invalid_array_arg invalid_auth invalid_charset invalid_form_data invalid_post_type method_deprecated missing_post_type
		missing_scope no_permission not_allowed_token_type not_authed org_login_required ratelimited request_timeout service_unavailable
		team_access_not_granted team_added_to_org token_expired token_revoked two_factor_setup_required`,
	"chat.postMessage": `as_user_not_supported attachment_payload_limit_exceeded cannot_reply_to_message channel_not_found duplicate_channel_not_found
		duplicate_message_not_found invalid_blocks invalid_blocks_format invalid_metadata_format invalid_metadata_schema is_archived markdown_text_conflict
		message_limit_exceeded messages_tab_disabled metadata_must_be_sent_from_app metadata_too_large missing_file_data msg_blocks_too_long no_text
		not_in_channel rate_limited restricted_action restricted_action_non_threadable_channel restricted_action_read_only_channel
		restricted_action_thread_locked restricted_action_thread_only_channel slack_connect_canvas_sharing_blocked
		slack_connect_file_link_sharing_blocked slack_connect_lists_sharing_blocked team_not_found too_many_attachments too_many_contact_cards`,
	"chat.update": `as_user_not_supported block_mismatch cant_broadcast_message cant_update_message channel_not_found edit_window_closed
		external_channel_migrating invalid_attachments invalid_blocks invalid_blocks_format invalid_metadata_format invalid_metadata_schema is_inactive
		markdown_text_conflict message_not_found metadata_must_be_sent_from_app metadata_too_large msg_too_long no_dual_broadcast_content_update no_text
		slack_connect_file_link_sharing_blocked streaming_state_conflict team_not_found too_many_attachments update_failed`,
	"conversations.history": `channel_is_limited_access channel_not_found invalid_cursor invalid_metadata_filter_keys invalid_ts_latest invalid_ts_oldest
		not_in_channel restricted_action`,
	"conversations.replies": `channel_not_found invalid_cursor invalid_metadata_filter_keys invalid_ts_latest invalid_ts_oldest list_record_comment_fetch_failed
		method_not_supported_for_channel_type missing_scope thread_not_found`,
	"conversations.list": "invalid_cursor invalid_limit invalid_types method_not_supported_for_channel_type missing_argument team_access_not_granted",
	"files.getUploadURLExternal": `alt_txt_too_large file_upload_size_restricted file_uploads_disabled missing_argument snippet_too_large
		storage_limit_reached unknown_snippet_type unknown_subtype`,
	"files.completeUploadExternal": `access_denied channel_not_found channels_limit_exceeded file_not_found file_update_failed invalid_blocks invalid_channel
		not_in_channel posting_to_channel_denied`,
}

// passing are those of them that pass by themselves.
const passing = `external_channel_migrating fatal_error file_not_found file_update_failed internal_error invalid_cursor message_limit_exceeded org_login_required
	rate_limited ratelimited request_timeout service_unavailable team_added_to_org update_failed`

func errorsOf(method string) []string {
	return append(strings.Fields(documented[""]), strings.Fields(documented[method])...)
}

// TestErrorsOfPost: an error of the post passes, or makes a dead letter.
func TestErrorsOfPost(t *testing.T) {
	passes := strings.Fields(passing)
	for _, code := range errorsOf("chat.postMessage") {
		r := newRig(t, slack.Config{})
		r.slack.ScriptFor("chat.postMessage", slacktest.Error(code))
		err := r.try(one)
		wants := !slices.Contains(passes, code)
		if err == nil || action.IsPermanent(err) != wants || !strings.HasPrefix(err.Error(), "post to #growth: "+code) {
			t.Errorf("%s: %v, permanent: %v", code, err, !wants)
		}
		// Refused for good, it leaves nothing in doubt.
		if left := r.memory.Keys("sending/"); wants && len(left) > 0 {
			t.Errorf("%s: %s is still remembered", code, left)
		}
		r.deliver(one)
		r.has("one")
	}
}

// TestErrorsOfTheRest: no error of what follows the post, or of the look-up, makes a dead letter, or has
// anything posted twice that is known to be there.
func TestErrorsOfTheRest(t *testing.T) {
	for _, test := range []struct {
		method  string
		config  slack.Config
		message action.Message
	}{
		{"chat.update", slack.Config{Thread: "x"}, two},
		{"files.getUploadURLExternal", slack.Config{Long: slack.InFile}, long},
		{"files.completeUploadExternal", slack.Config{Long: slack.InFile}, long},
	} {
		for _, code := range errorsOf(test.method) {
			r := newRig(t, test.config)
			r.deliver(one)
			r.slack.ScriptFor(test.method, slacktest.Error(code))
			r.deliver(test.message)
			once, parts := posts(r.slack.Messages())
			if once[test.message.ID] != 1 || len(test.message.Text) > 4000 && len(parts[test.message.ID]) == 0 {
				t.Errorf("%s: %s: the message is there %d times, with the parts %v", test.method, code, once[test.message.ID], parts[test.message.ID])
			}
		}
	}
	for _, method := range []string{"conversations.history", "conversations.replies", "conversations.list"} {
		for _, code := range errorsOf(method) {
			r := newRig(t, slack.Config{Thread: "x"})
			if method == "conversations.replies" {
				r.deliver(one)
			}
			r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
			if err := r.try(two); err == nil {
				t.Fatal("delivered, in spite of it")
			}
			r.slack.ScriptFor(method, slacktest.Error(code))
			r.deliver(two)
			once, _ := posts(r.slack.Messages())
			if n := once[two.ID]; n != 1 && slices.Contains(strings.Fields(passing), code) || n < 1 || n > 2 {
				t.Errorf("%s: %s: the message is there %d times", method, code, n)
			}
		}
	}
}
