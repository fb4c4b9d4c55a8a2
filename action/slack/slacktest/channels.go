package slacktest

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"io"
	"regexp"
	"slices"
	"strings"
)

// A channel of the workspace.
type channel struct {
	id                     string
	name                   string // with #; empty where only the id was ever told
	private, archived, out bool   // out: the bot is no member
}

var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{8,}$`)

// ChannelID is the id of a channel that is known by its name (#growth).
func ChannelID(name string) string {
	h := fnv.New32a()
	io.WriteString(h, "#"+strings.TrimPrefix(name, "#"))
	return fmt.Sprintf("C%08X", h.Sum32())
}

// Archive archives a channel, or brings it back.
func (s *Slack) Archive(channel string, archived bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.channel(channel); c != nil {
		c.archived = archived
	}
}

// Member puts the bot into a channel, or out of it.
func (s *Slack) Member(channel string, member bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.channel(channel); c != nil {
		c.out = !member
	}
}

// Private makes a channel private, or public, as all are at first.
func (s *Slack) Private(channel string, private bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.channel(channel); c != nil {
		c.private = private
	}
}

// channel finds a channel by name or id; nil if there is none.
func (s *Slack) channel(nameOrID string) *channel {
	if s.channels == nil {
		for _, c := range s.Channels {
			s.addChannel(c)
		}
	}
	byID := channelID.MatchString(nameOrID)
	name := "#" + strings.TrimPrefix(nameOrID, "#")
	i := slices.IndexFunc(s.channels, func(c *channel) bool {
		return byID && c.id == nameOrID || !byID && c.name == name
	})
	switch {
	case nameOrID == "" || nameOrID == "#":
		return nil
	case i >= 0:
		return s.channels[i]
	case s.Channels == nil:
		return s.addChannel(nameOrID)
	}
	return nil
}

func (s *Slack) addChannel(nameOrID string) *channel {
	c := &channel{id: nameOrID}
	if !channelID.MatchString(nameOrID) {
		c.name = "#" + strings.TrimPrefix(nameOrID, "#")
		c.id = ChannelID(c.name)
	}
	s.channels = append(s.channels, c)
	return c
}

// channelByID finds a channel as all methods but chat.postMessage do: by its id
// only. A private one does not exist for who is not in it.
func (s *Slack) channelByID(id string) *channel {
	if !channelID.MatchString(id) {
		return nil
	}
	return s.visible(id)
}

func (s *Slack) visible(nameOrID string) *channel {
	if c := s.channel(nameOrID); c != nil && !(c.private && c.out) {
		return c
	}
	return nil
}

// shown is what a message's Channel says: the name where it is known.
func (c *channel) shown() string {
	if c.name == "" {
		return c.id
	}
	return c.name
}

// scope is the scope of a family ("history", "read") that this kind of channel
// needs: https://docs.slack.dev/reference/scopes/groups.history
func (c *channel) scope(family string) string {
	if c.private {
		return "groups:" + family
	}
	return "channels:" + family
}

// object is https://docs.slack.dev/reference/objects/conversation-object
func (c *channel) object() map[string]any {
	name := strings.TrimPrefix(c.name, "#")
	return map[string]any{
		"id": c.id, "name": name, "name_normalized": name, "created": 1449252889, "creator": "U012A3CDE",
		"is_channel": !c.private, "is_group": false, "is_im": false, "is_mpim": false, "is_private": c.private,
		"is_archived": c.archived, "is_member": !c.out, "is_general": false, "context_team_id": teamID,
	}
}

// channelInfo is https://docs.slack.dev/reference/methods/conversations.info
func (s *Slack) channelInfo(r request) answer {
	c := s.channelByID(r.text("channel"))
	if c == nil {
		return refuse("channel_not_found")
	}
	if scope := c.scope("read"); !s.may(scope) {
		return *s.missingScope(scope)
	}
	return accepted(map[string]any{"channel": c.object()})
}

// listChannels is https://docs.slack.dev/reference/methods/conversations.list:
// "Must be an integer under 1000."
func (s *Slack) listChannels(r request) answer {
	limit, ok := r.number("limit", 100)
	if !ok || limit < 1 || limit > 999 {
		return refuse("invalid_limit")
	}
	types := strings.Split(strings.ReplaceAll(r.text("types"), " ", ""), ",")
	if r.text("types") == "" {
		types = []string{"public_channel"}
	}
	for _, t := range types {
		switch {
		case !slices.Contains([]string{"public_channel", "private_channel", "mpim", "im"}, t):
			return refuse("invalid_types")
		case t == "public_channel" && !s.may("channels:read"):
			return *s.missingScope("channels:read")
		case t == "private_channel" && !s.may("groups:read"):
			return *s.missingScope("groups:read")
		}
	}
	s.channel("") // makes those of Channels
	var all []*channel
	for _, c := range s.channels {
		kind := "public_channel"
		if c.private {
			kind = "private_channel"
		}
		if slices.Contains(types, kind) && !(c.private && c.out) && !(c.archived && r.yes("exclude_archived")) {
			all = append(all, c)
		}
	}
	start := 0
	if cursor := r.text("cursor"); cursor != "" {
		id, _ := cursorOf("team", cursor)
		start = slices.IndexFunc(all, func(c *channel) bool { return c.id == id })
		if start < 0 {
			return refuse("invalid_cursor")
		}
	}
	objects, next := []any{}, ""
	for i, c := range all[start:] {
		if i == limit {
			next = makeCursor("team", c.id)
			break
		}
		objects = append(objects, c.object())
	}
	return accepted(map[string]any{"channels": objects, "response_metadata": map[string]any{"next_cursor": next}})
}

// Cursors look like Slack's, which are "team:C061FA5PB" or
// "next_ts:1512085861000543" in base64.
// https://docs.slack.dev/apis/web-api/pagination
func makeCursor(kind, at string) string {
	return base64.StdEncoding.EncodeToString([]byte(kind + ":" + at))
}

func cursorOf(kind, cursor string) (at string, ok bool) {
	b, err := base64.StdEncoding.DecodeString(cursor)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), kind+":")
}
