package slacktest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Message is one that Slack accepted, and would show.
type Message struct {
	// Channel is the channel's name with #, or its id where only that was told.
	Channel string
	// Text is the top-level text. It is empty where blocks say it all; see Says.
	Text string
	// ID is the delivery's id, the payload's "id" in the message's metadata; empty
	// through a webhook, which has none. See IDs.
	ID string
	// Time is when it was accepted.
	Time time.Time

	// TS is the message's timestamp, its identity in the channel.
	TS string
	// ThreadTS is the timestamp of the message that this one replies to; empty for
	// one that stands in the channel.
	ThreadTS string
	// Blocks and Attachments are as they came.
	Blocks, Attachments []map[string]any
	// EventType and Metadata are event_type and event_payload of the metadata.
	EventType string
	Metadata  map[string]any
	// Edited counts the updates.
	Edited int
	// Files are those that the message brings.
	Files []File
	// Deleted tells that somebody has deleted it.
	Deleted bool
}

// A Thread is a message that stands in the channel, and what replies to it.
type Thread struct {
	// Root may be deleted: then replies have kept the thread.
	Root    Message
	Replies []Message
}

// A post is a message as Slack keeps it.
type post struct {
	Message
	channel *channel
	bot     string  // who posted: a bot's id, or
	user    string  // a person's
	replies []*post // deleted ones, too
}

// IDs are the ids of all deliveries of the message: "id" or "ids" of its
// metadata.
func (m Message) IDs() []string {
	if m.ID != "" {
		return []string{m.ID}
	}
	var ids []string
	list, _ := m.Metadata["ids"].([]any)
	for _, id := range list {
		ids = append(ids, fmt.Sprint(id))
	}
	return ids
}

// Says is the text of the message: Text, or else the texts of its section blocks,
// also of those within attachments, one below the other. Contexts are left out.
func (m Message) Says() string {
	if m.Text != "" {
		return m.Text
	}
	var says []string
	sections := func(blocks []map[string]any) {
		for _, b := range blocks {
			if b["type"] != "section" {
				continue
			}
			if text, ok := textOf(b["text"]); ok {
				says = append(says, text)
			}
			for _, field := range items(b["fields"]) {
				if text, ok := textOf(field); ok {
					says = append(says, text)
				}
			}
		}
	}
	sections(m.Blocks)
	for _, a := range m.Attachments {
		sections(objects(a["blocks"]))
	}
	return strings.Join(says, "\n")
}

// textOf is the text of a text object.
func textOf(v any) (text string, ok bool) {
	object, _ := v.(map[string]any)
	text, ok = object["text"].(string)
	return text, ok
}

func items(v any) []any {
	list, _ := v.([]any)
	return list
}

func objects(v any) []map[string]any {
	var all []map[string]any
	for _, item := range items(v) {
		if object, ok := item.(map[string]any); ok {
			all = append(all, object)
		}
	}
	return all
}

// Messages returns what bot and webhook have posted, in the order of acceptance,
// as it is now: updated, or marked as deleted.
func (s *Slack) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Message
	for _, p := range s.posts {
		if p.user == "" {
			all = append(all, p.Message)
		}
	}
	return all
}

// Threads returns the messages that stand in the channels, in the order of
// acceptance, each with its replies. Deleted ones are left out.
func (s *Slack) Threads() []Thread {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Thread
	for _, p := range s.posts {
		if p.ThreadTS != "" || p.user != "" {
			continue
		}
		t := Thread{Root: p.Message}
		for _, reply := range p.shownReplies() {
			t.Replies = append(t.Replies, reply.Message)
		}
		if !p.Deleted || len(t.Replies) > 0 {
			all = append(all, t)
		}
	}
	return all
}

// Delete deletes the message with the timestamp, as a user would, and tells
// whether there was one. A message with replies leaves a tombstone: Slack goes on
// showing its thread, below "This message was deleted."
func (s *Slack) Delete(ts string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.byTS[ts]
	if p == nil || p.Deleted {
		return false
	}
	p.Deleted = true
	s.notify()
	return true
}

// Say makes a person say something in a channel, or in a thread of it. It is in
// the history, but not among the Messages.
func (s *Slack) Say(channel, text, threadTS string) (ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &post{Message: Message{Text: text, ThreadTS: threadTS}, channel: s.channel(channel), user: "U061F7AUR"}
	s.stamp(p)
	s.keep(p)
	return p.TS
}

// Requests returns how many requests have come, whatever became of them.
func (s *Slack) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allRequests()
}

func (s *Slack) allRequests() (n int) {
	for _, requests := range s.requests {
		n += requests
	}
	return n
}

// RequestsTo returns how many requests have come for one method, whatever became
// of them.
func (s *Slack) RequestsTo(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[method]
}

// Wait waits until n messages have been accepted, and returns all there are. Its
// error is that of the context.
func (s *Slack) Wait(ctx context.Context, n int) ([]Message, error) {
	err := s.wait(ctx, func() bool { return s.posted >= n })
	messages := s.Messages()
	if err != nil {
		err = fmt.Errorf("%d of %d messages have come: %w", len(messages), n, err)
	}
	return messages, err
}

// WaitRequests waits until n requests have come, whatever becomes of them.
func (s *Slack) WaitRequests(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return s.allRequests() >= n })
}

func (s *Slack) wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stamp gives a post its timestamp: seconds with six digits, later than all before.
// https://docs.slack.dev/messaging/retrieving-messages
func (s *Slack) stamp(p *post) {
	p.Time, p.Channel = time.Now(), p.channel.shown()
	s.last = max(s.last+1, p.Time.UnixMicro())
	p.TS = fmt.Sprintf("%d.%06d", s.last/1e6, s.last%1e6)
}

func (s *Slack) keep(p *post) {
	s.posts = append(s.posts, p)
	s.byTS[p.TS] = p
	if p.user == "" {
		s.posted++
	}
	if root := s.byTS[p.ThreadTS]; root != nil {
		root.replies = append(root.replies, p)
	}
	s.notify()
}

// accept keeps a post unless OnAccept refuses, and returns the fault that the reply
// will meet.
func (s *Slack) accept(p *post) (lost Fault, err error) {
	s.stamp(p)
	if s.OnAccept != nil {
		if err := s.OnAccept(p.Message); err != nil {
			return OK, err
		}
	}
	s.keep(p)
	return s.afterAccepted(), nil
}

// waitFor is how long the channel takes no further post.
func (s *Slack) waitFor(c *channel) time.Duration {
	if s.PerChannel == 0 {
		return 0
	}
	for _, p := range slices.Backward(s.posts) {
		if p.channel == c && p.user == "" {
			return s.PerChannel - time.Since(p.Time)
		}
	}
	return 0
}

// find is the post that stands under a timestamp.
func (s *Slack) find(c *channel, ts string) *post {
	if p := s.byTS[ts]; p != nil && p.channel == c {
		return p
	}
	return nil
}

// shownReplies are those that are not deleted.
func (p *post) shownReplies() []*post {
	var all []*post
	for _, reply := range p.replies {
		if !reply.Deleted {
			all = append(all, reply)
		}
	}
	return all
}
