package slack

import (
	"strings"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
	"github.com/slack-go/slack"
)

const (
	// maxSection is how many characters the text of a section may have:
	// https://docs.slack.dev/reference/block-kit/blocks/section-block
	maxSection = 3000
	// maxAttachments is how many go into one post; Slack takes 100, and advises no more than
	// 20: https://docs.slack.dev/tools/python-slack-sdk/reference/models/messages/message.html
	maxAttachments = 20
	// maxWeight is how many characters all the texts of a post may have, together with some for
	// each block: from about 13,000 on Slack refuses it (msg_blocks_too_long), as
	// https://github.com/slackapi/bolt-js/issues/2509 has found out.
	maxWeight   = 12_000
	blockWeight = 150
	// maxFallback is enough for a notification, which shows the beginning only.
	maxFallback = 300
	// maxOrigin is how many bytes of a unit or a host are shown.
	maxOrigin = 100
)

// colours are those of the line beside a message, by PRIORITY (syslog(3)): they can be told
// apart on Slack's white as on its black. A message without a priority has Slack's grey.
var colours = map[string]string{
	"0": "#9b1b30", "1": "#9b1b30", "2": "#9b1b30", // emerg, alert, crit
	"3": "#e01e5a", // err
	"4": "#ecb22e", // warning
	"5": "#36c5f0", // notice
	"6": "#2eb67d", // info
	"7": "#9a9a9a", // debug
}

// attachment is what shows one message, or a part of it: its text, of which the caller has seen
// to the length, notes of ours below it, and below these where and when it was logged.
// https://docs.slack.dev/messaging/formatting-message-text#attachments
func attachment(m action.Message, text string, notes ...string) slack.Attachment {
	at := slack.Attachment{
		Color:    colours[first(m.Record, journal.FieldPriority)],
		Fallback: plain(text, maxFallback),
		Blocks:   slack.Blocks{BlockSet: []slack.Block{slack.NewSectionBlock(mrkdwn(text), nil, nil)}},
	}
	for _, note := range notes {
		at.Blocks.BlockSet = append(at.Blocks.BlockSet, contextBlock(note))
	}
	return at
}

// withOrigin adds where and when the message was logged.
func withOrigin(at slack.Attachment, m action.Message) slack.Attachment {
	if elements := origin(m.Record); len(elements) > 0 {
		at.Blocks.BlockSet = append(at.Blocks.BlockSet, contextBlock(elements...))
	}
	return at
}

// origin says where and when an entry was logged, and how to find it.
func origin(r journal.Record) (elements []string) {
	for _, fields := range [][]string{
		// Within user@1000.service, the unit of the user's own manager says more.
		{"_SYSTEMD_USER_UNIT", journal.FieldUnit, "SYSLOG_IDENTIFIER", "_COMM"},
		{journal.FieldHostname},
	} {
		for _, field := range fields {
			if value := action.OneLine(first(r, field), maxOrigin); value != "" {
				elements = append(elements, escaper.Replace(value))
				break
			}
		}
	}
	if !r.Time().IsZero() {
		elements = append(elements, when(r.Time()))
	}
	if command := finds(r); command != "" {
		elements = append(elements, "`"+command+"`")
	}
	return elements
}

// mrkdwn is a text in which Slack follows the mark-up and makes nothing of the rest: else a
// logged #general would become a link, and "certain mentions will be automatically parsed".
// https://docs.slack.dev/reference/block-kit/composition-objects/text-object
func mrkdwn(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, text, false, true)
}

// contextBlock is small and grey. It may have up to 10 elements:
// https://docs.slack.dev/reference/block-kit/blocks/context-block
func contextBlock(elements ...string) *slack.ContextBlock {
	var all []slack.MixedElement
	for _, text := range elements {
		all = append(all, mrkdwn(text))
	}
	return slack.NewContextBlock("", all...)
}

// weight is how much of maxWeight an attachment takes.
func weight(at slack.Attachment) (n int) {
	for _, block := range at.Blocks.BlockSet {
		n += blockWeight
		for _, text := range textsOf(block) {
			n += units(text)
		}
	}
	return n
}

// first is a field's first value, as text.
func first(r journal.Record, field string) string {
	value, _ := r.Get(field)
	return strings.ToValidUTF8(string(value), "\ufffd")
}
