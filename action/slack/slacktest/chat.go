package slacktest

import (
	"maps"
	"regexp"
)

// postMessage is https://docs.slack.dev/reference/methods/chat.postMessage
func (s *Slack) postMessage(r request) answer {
	c := s.visible(r.text("channel"))
	switch {
	case c == nil:
		return refuse("channel_not_found")
	case c.archived:
		return refuse("is_archived")
	case c.out && !s.may("chat:write.public"):
		return refuse("not_in_channel")
	}
	said, problem := readContent(r, maxText)
	if problem != nil {
		return problem.answer()
	}
	if said.empty() {
		return refuse("no_text")
	}
	threadTS := r.text("thread_ts")
	if threadTS != "" && !timestamp.MatchString(threadTS) {
		return *badThreadTS(threadTS)
	}
	if wait := s.waitFor(c); wait > 0 {
		return tooSoon(wait)
	}
	p := &post{channel: c, bot: botID}
	p.ThreadTS = s.threadOf(c, threadTS)
	p.say(said)
	lost, err := s.accept(p)
	if err != nil {
		return refuse("internal_error")
	}
	a := accepted(map[string]any{"channel": c.id, "ts": p.TS, "message": p.object(true)})
	a.lost = lost
	return a
}

var timestamp = regexp.MustCompile(`^\d{10}\.\d{6}$`)

// badThreadTS is seen in https://github.com/jenkinsci/slack-plugin/issues/584.
func badThreadTS(ts string) *answer {
	return refusing("invalid_thread_ts", "[ERROR] "+ts+" is not a valid thread_ts")
}

// threadOf is the thread that a message joins which is to reply to a timestamp.
// If that is a reply's, it joins the reply's thread. If there is no such message,
// or no longer, Slack does not refuse: the message stands in the channel, and its
// reply tells so by naming no thread_ts. https://github.com/slack-go/slack/issues/1571
// One that was deleted and has replies left a tombstone, whose thread goes on.
func (s *Slack) threadOf(c *channel, ts string) string {
	p := s.find(c, ts)
	if p != nil && p.ThreadTS != "" && !p.Deleted {
		p = s.find(c, p.ThreadTS)
	}
	if p == nil || p.ThreadTS != "" || p.Deleted && len(p.shownReplies()) == 0 {
		return ""
	}
	return p.TS
}

// updateMessage is https://docs.slack.dev/reference/methods/chat.update. What it
// does not name (blocks, attachments, metadata) stays as it was.
func (s *Slack) updateMessage(r request) answer {
	c := s.channelByID(r.text("channel"))
	if c == nil {
		return refuse("channel_not_found")
	}
	p := s.find(c, r.text("ts"))
	switch {
	case p == nil || p.Deleted:
		return refuse("message_not_found")
	case c.archived:
		return refuse("is_inactive")
	case p.bot != botID:
		return refuse("cant_update_message")
	}
	said, problem := readContent(r, maxUpdate)
	if problem != nil {
		return problem.answer()
	}
	if said.empty() {
		return refuse("no_text")
	}
	p.say(said)
	p.Edited++
	s.notify()
	return accepted(map[string]any{"channel": c.id, "ts": p.TS, "text": p.Text, "message": p.object(true)})
}

// say is what a post says from now on.
func (p *post) say(c content) {
	p.Text = c.text
	if c.hasBlocks {
		p.Blocks = c.blocks
	}
	if c.hasAttachments {
		p.Attachments = c.attachments
	}
	if c.hasMetadata {
		p.EventType, p.Metadata = c.metadata.Type, c.metadata.Payload
		p.ID, _ = p.Metadata["id"].(string)
	}
}

// object is the message as methods show it:
// https://docs.slack.dev/reference/events/message. Of the metadata one sees the
// type only, unless one asks for all: https://docs.slack.dev/messaging/message-metadata
func (p *post) object(allMetadata bool) map[string]any {
	m := map[string]any{"type": "message", "ts": p.TS, "text": p.Text, "team": teamID}
	if p.user != "" {
		m["user"] = p.user
	} else {
		m["subtype"], m["bot_id"] = "bot_message", p.bot
	}
	if len(p.Blocks) > 0 {
		m["blocks"] = p.Blocks
	}
	if len(p.Attachments) > 0 {
		m["attachments"] = numbered(p.Attachments)
	}
	if p.EventType != "" {
		metadata := map[string]any{"event_type": p.EventType}
		if allMetadata {
			metadata["event_payload"] = p.Metadata
		}
		m["metadata"] = metadata
	}
	if p.Edited > 0 {
		m["edited"] = map[string]any{"user": p.bot, "ts": p.TS}
	}
	if len(p.Files) > 0 {
		var files []any
		for _, f := range p.Files {
			files = append(files, f.object())
		}
		m["files"] = files
	}
	if p.ThreadTS != "" {
		m["thread_ts"] = p.ThreadTS
		return m
	}
	replies := p.shownReplies()
	if p.Deleted {
		// As seen in https://github.com/hackclub/toriel/pull/238.
		m = map[string]any{
			"type": "message", "subtype": "tombstone", "ts": p.TS, "user": "USLACKBOT", "hidden": true,
			"text": "This message was deleted.",
		}
	}
	if len(replies) > 0 {
		m["thread_ts"], m["reply_count"], m["latest_reply"] = p.TS, len(replies), replies[len(replies)-1].TS
	}
	return m
}

// numbered are attachments as Slack gives them back: with the id and the
// fallback that it adds.
func numbered(attachments []map[string]any) []map[string]any {
	var all []map[string]any
	for i, a := range attachments {
		a = maps.Clone(a)
		a["id"] = i + 1
		if a["fallback"] == nil {
			a["fallback"] = "[no preview available]"
		}
		all = append(all, a)
	}
	return all
}
