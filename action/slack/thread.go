package slack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

// A thread is what is remembered of one.
type thread struct {
	Used    time.Time `json:"used"`
	Channel string    `json:"channel,omitempty"` // its id
	// TS is the first message's timestamp; empty while that is on its way.
	TS string `json:"ts,omitempty"`
	// Reply is the timestamp of the last message that is in Count.
	Reply string `json:"reply,omitempty"`
	// Count is how many deliveries are in the thread, the first included, and Shown what the
	// first message says that it is.
	Count int       `json:"count,omitempty"`
	Shown int       `json:"shown,omitempty"`
	Last  time.Time `json:"last,omitzero"` // when the last one was logged
	// Root is what the first message says; nil if it was too long to be remembered, or
	// cannot be changed.
	Root *root `json:"root,omitempty"`
}

// A root is a post as it is remembered.
type root struct {
	Text        string             `json:"text,omitempty"`
	Attachments []slack.Attachment `json:"attachments,omitempty"`
}

// threadKey is under what a thread is remembered: a hash, as what the template makes of an
// entry may be long. Each channel has threads of its own.
func threadKey(channel, key string) string {
	h := sha256.Sum256([]byte(channel + "\x00" + key))
	return hex.EncodeToString(h[:16])
}

func (a *Action) thread(key string) (t thread) {
	if key != "" && !a.recall(threadPrefix+key, &t) {
		return thread{}
	}
	return t
}

func (a *Action) setThread(key string, t thread) {
	t.Used, _ = a.clock.now()
	if a.memory.Get(threadPrefix+key) == nil {
		a.mu.Lock()
		a.more = true
		a.mu.Unlock()
	}
	a.remember(threadPrefix+key, t)
}

// rootOf is what is remembered of a post, or nil.
func rootOf(p post) *root {
	r := &root{p.text, p.attachments}
	if b, err := encode(r); err != nil || len(b) > maxRoot {
		return nil
	}
	return r
}

// A landing is a message that is in Slack now.
type landing struct {
	ids    []string
	home   string // the channel's id
	ts     string
	parent string // of the thread that it is in; empty if it stands in the channel
	last   time.Time
	root   *root // what it says, for a thread that it may begin
}

// landed remembers where a message is, and counts it in its thread. The thread comes first: if
// the process dies with one of the two on disk, then it is looked up, and not counted twice
// as its timestamp is not beyond the last one that was.
func (a *Action) landed(key string, l landing) {
	if key != "" {
		a.count(key, l)
	}
	for _, id := range l.ids {
		s, ok := a.sending(id)
		if !ok {
			continue
		}
		s.TS, s.Home, s.Parent = l.ts, l.home, l.parent
		if s.Local { // now Slack's time is known, whatever ours becomes
			s.Begun, s.Local = timeOf(l.ts), false
			s.Over = s.Begun.Add(a.TimeLimit() + late)
		}
		a.remember(sendingPrefix+id, s)
	}
}

func (a *Action) count(key string, l landing) {
	t := a.thread(key)
	switch {
	case l.parent != "" && l.parent != t.TS:
		// In a thread that is not remembered any more.
		return
	case l.parent != "" && l.ts > t.Reply:
		t.Count += len(l.ids)
		t.Reply, t.Last = l.ts, l.last
	case l.parent == "" && l.ts > t.TS:
		// It begins the thread, perhaps in the place of one that was deleted.
		if l.root == nil && t.TS == "" {
			l.root = t.Root
		}
		t = thread{Channel: l.home, TS: l.ts, Reply: l.ts, Count: len(l.ids), Shown: len(l.ids), Last: l.last, Root: l.root}
	default:
		return // it is in there
	}
	a.setThread(key, t)
}

// over are the errors that mean that a thread cannot be replied to any more: another begins.
// That its first message was deleted is none of them: then the reply stands in the channel, and
// tells so by naming no thread (https://github.com/slack-go/slack/issues/1571).
// https://docs.slack.dev/reference/methods/chat.postMessage#errors
var over = map[string]bool{
	"cannot_reply_to_message":                  true,
	"channel_not_found":                        true, // of the id: the name may be another channel's now
	"invalid_thread_ts":                        true,
	"is_archived":                              true, // likewise
	"message_not_found":                        true,
	"restricted_action_non_threadable_channel": true,
	"restricted_action_thread_locked":          true,
	"thread_not_found":                         true,
}

// frozen are the errors that mean that a message will never be changed.
// https://docs.slack.dev/reference/methods/chat.update#errors
var frozen = map[string]bool{
	"block_mismatch":        true,
	"cant_update_message":   true,
	"edit_window_closed":    true,
	"invalid_attachments":   true,
	"invalid_blocks":        true,
	"invalid_blocks_format": true,
	"is_inactive":           true,
	"msg_blocks_too_long":   true,
	"msg_too_long":          true,
}

// show has a thread's first message say how many have come, unless it does. Its error is one that
// passes; what can never succeed is given up.
func (a *Action) show(ctx context.Context, key string) error {
	t := a.thread(key)
	if t.TS == "" || t.Root == nil || t.Count == t.Shown {
		return nil
	}
	ctx, cancel := a.request(ctx)
	defer cancel()
	p := post{t.Root.Text, t.Root.Attachments}.counted(t.Count, t.Last)
	// "If you do not specify a value for this field, the original value set for the message
	// will be overwritten with the default, client."
	options := append(p.options(), slack.MsgOptionParse(false))
	_, _, _, err := a.api.UpdateMessageContext(ctx, t.Channel, t.TS, options...)
	err = asked(err)
	switch {
	case err == nil:
		t.Shown = t.Count
	case !action.IsPermanent(err):
		return err
	case codeOf(err) == "message_not_found":
		// It was deleted; with replies, it left a "This message was deleted", below which
		// nobody looks.
		a.forget(threadPrefix + key)
		return nil
	case frozen[codeOf(err)]:
		t.Root = nil
	default:
		return nil // a right, or the token: the next post will tell
	}
	a.setThread(key, t)
	return nil
}
