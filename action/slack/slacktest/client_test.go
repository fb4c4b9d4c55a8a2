package slacktest_test

import (
	"errors"
	"testing"

	"github.com/journald-router/journald-router/action/slack/slacktest"
	"github.com/slack-go/slack"
)

// A client that was written for Slack itself understands the fake.
func TestClient(t *testing.T) {
	s := serve(t)
	s.Channels = []string{"#growth", "#other"}
	api := slack.New(slacktest.Token, slack.OptionAPIURL(s.APIURL()))
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	text := slack.NewTextBlockObject(slack.MarkdownType, "order 4711 failed", false, true)
	attachment := slack.Attachment{Color: "danger", Fallback: "order 4711 failed", Blocks: slack.Blocks{BlockSet: []slack.Block{
		slack.NewSectionBlock(text, nil, nil),
		slack.NewContextBlock("", slack.NewTextBlockObject(slack.MarkdownType, "shop.service", false, true)),
	}}}
	metadata := slack.SlackMetadata{EventType: "journald_router", EventPayload: map[string]any{"id": "42"}}
	channel, ts, err := api.PostMessageContext(ctx, "#growth", slack.MsgOptionAttachments(attachment), slack.MsgOptionMetadata(metadata))
	must(err)
	_, _, err = api.PostMessageContext(ctx, channel, slack.MsgOptionText("reply", false), slack.MsgOptionTS(ts))
	must(err)
	_, _, _, err = api.UpdateMessageContext(ctx, channel, ts, slack.MsgOptionText("2 times", false), slack.MsgOptionAttachments(attachment))
	must(err)
	_, err = api.UploadFileContext(ctx, slack.UploadFileParameters{
		Filename: "rest.txt", FileSize: 4, Content: "rest", Channel: channel, ThreadTimestamp: ts, InitialComment: "the rest",
	})
	must(err)

	history, err := api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: channel, IncludeAllMetadata: true})
	must(err)
	if len(history.Messages) != 1 || history.Messages[0].Metadata.EventPayload["id"] != "42" || history.Messages[0].ReplyCount != 2 {
		t.Errorf("%+v", history.Messages)
	}
	replies, _, _, err := api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{ChannelID: channel, Timestamp: ts})
	must(err)
	if len(replies) != 3 || replies[1].Text != "reply" || len(replies[2].Files) != 1 || replies[2].Files[0].Size != 4 {
		t.Errorf("%+v", replies)
	}
	channels, next, err := api.GetConversationsContext(ctx, &slack.GetConversationsParameters{Limit: 1})
	must(err)
	if len(channels) != 1 || channels[0].ID != channel || channels[0].Name != "growth" || next == "" {
		t.Errorf("%+v %q", channels, next)
	}
	who, err := api.AuthTestContext(ctx)
	must(err)
	if who.Header.Get("X-OAuth-Scopes") != slacktest.Scopes {
		t.Errorf("%+v", who)
	}

	_, _, err = api.PostMessageContext(ctx, channel, slack.MsgOptionBlocks(slack.NewSectionBlock(nil, nil, nil)))
	refused, ok := errors.AsType[slack.SlackErrorResponse](err)
	if !ok || refused.Err != "invalid_blocks" || len(refused.ResponseMetadata.Messages) != 1 {
		t.Errorf("%+v", err)
	}
	thread := s.Threads()[0]
	if thread.Root.Says() != "2 times" || thread.Root.Edited != 1 || len(thread.Replies) != 2 || thread.Root.ID != "42" {
		t.Errorf("%+v", thread)
	}
}
