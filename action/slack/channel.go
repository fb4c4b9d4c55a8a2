package slack

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

// channelID is what the id of a channel looks like: https://docs.slack.dev/reference/objects/conversation-object
var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{8,}$`)

// target is the channel that a message goes to, and the key of its thread there; empty for none.
// Its errors are permanent.
func (a *Action) target(m action.Message) (channel, key string, err error) {
	channel = a.config.Channel
	if a.channel != nil {
		if channel, err = a.channel.Render(m.Data); err != nil {
			return "", "", action.Permanent(fmt.Errorf("channel: %w", err))
		}
		if channel = strings.TrimSpace(channel); !slices.Contains(a.config.Channels, channel) {
			return "", "", action.Permanent(fmt.Errorf("the channel %s is none of channels (add it there, or mend the template)",
				strconv.Quote(action.OneLine(channel, 80))))
		}
	}
	if a.threads == nil {
		return channel, "", nil
	}
	text, err := a.threads.Render(m.Data)
	if err != nil {
		return channel, "", action.Permanent(fmt.Errorf("thread: %w", err))
	}
	if text = strings.TrimSpace(text); text == "" {
		return channel, "", nil
	}
	return channel, threadKey(channel, text), nil
}

// Fit implements action.Fitter: one call has one channel, and one thread.
func (a *Action) Fit(batch []action.Message) int {
	n := a.fit(batch)
	if a.channel == nil && a.threads == nil {
		return n
	}
	channel, key, err := a.target(batch[0])
	for i := 1; i < n; i++ {
		if c, k, e := a.target(batch[i]); err != nil || e != nil || c != channel || k != key {
			return i
		}
	}
	return n
}

// learn remembers a channel's id, which most methods ask for, from the reply to a post.
func (a *Action) learn(name, id string) {
	key := channelPrefix + name
	if channelID.MatchString(name) || string(a.memory.Get(key)) == id {
		return
	}
	a.memory.Put(key, []byte(id))
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.blind, name) // it may have been that the id was not known
}

// idOf returns the id of a channel. One that nothing was posted to yet is looked for among all.
// https://docs.slack.dev/reference/methods/conversations.list
func (a *Action) idOf(ctx context.Context, name string) (id string, err error) {
	if channelID.MatchString(name) {
		return name, nil
	}
	if id := a.memory.Get(channelPrefix + name); id != nil {
		return string(id), nil
	}
	// Each kind of channel has a scope of its own.
	for _, types := range [][]string{{"public_channel", "private_channel"}, {"public_channel"}, {"private_channel"}} {
		id, err = a.find(ctx, name, types)
		if codeOf(err) != "missing_scope" {
			break
		}
	}
	if err == nil && id == "" {
		err = action.Permanent(fmt.Errorf("the channel %s is not in the list", name))
	}
	return id, err
}

func (a *Action) find(ctx context.Context, name string, types []string) (id string, err error) {
	for cursor := ""; ; {
		channels, next, err := a.channels(ctx, types, cursor)
		if err != nil {
			return "", err
		}
		for _, c := range channels {
			if c.Name == strings.TrimPrefix(name, "#") {
				a.learn(name, c.ID)
				return c.ID, nil
			}
		}
		if next == "" {
			return "", nil
		}
		cursor = next
	}
}

func (a *Action) channels(ctx context.Context, types []string, cursor string) (channels []slack.Channel, next string, err error) {
	ctx, cancel := a.request(ctx)
	defer cancel()
	channels, next, err = a.api.GetConversationsContext(ctx, &slack.GetConversationsParameters{
		Types: types, Cursor: cursor, Limit: 999, ExcludeArchived: true, // "an integer under 1000"
	})
	return channels, next, asked(err)
}
