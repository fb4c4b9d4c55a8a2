package slacktest

import (
	"slices"
	"strconv"
	"strings"
)

// history is https://docs.slack.dev/reference/methods/conversations.history: what
// stands in the channel, newest first. Replies are in their threads only.
func (s *Slack) history(r request) answer {
	c, refusal := s.readable(r)
	if refusal != nil {
		return *refusal
	}
	var all []*post
	for _, p := range slices.Backward(s.posts) {
		if p.channel == c && p.ThreadTS == "" && (!p.Deleted || len(p.shownReplies()) > 0) {
			all = append(all, p)
		}
	}
	// "Maximum of 999."
	return s.page(r, all, 100, 999)
}

// replies is https://docs.slack.dev/reference/methods/conversations.replies: the
// message, then what replies to it, oldest first. Of a reply it shows that alone.
func (s *Slack) replies(r request) answer {
	c, refusal := s.readable(r)
	if refusal != nil {
		return *refusal
	}
	root := s.find(c, r.text("ts"))
	if root == nil {
		return refuse("thread_not_found")
	}
	all := append([]*post{root}, root.shownReplies()...)
	if root.Deleted && len(all) == 1 {
		return refuse("thread_not_found")
	}
	return s.page(r, all, 1000, 1000)
}

// readable is the channel that the token may read.
func (s *Slack) readable(r request) (c *channel, refusal *answer) {
	c = s.channelByID(r.text("channel"))
	switch {
	case c == nil:
		return nil, refusing("channel_not_found")
	case !s.may(c.scope("history")):
		return nil, s.missingScope(c.scope("history"))
	case c.out:
		return nil, refusing("not_in_channel")
	}
	return c, nil
}

// page answers with one page of the posts, which are in the order in which they
// are shown.
func (s *Slack) page(r request, all []*post, usual, most int) answer {
	limit, ok := r.number("limit", usual)
	if !ok || limit < 1 || limit > most {
		return refuse("invalid_arguments", "[ERROR] must be between 1 and "+strconv.Itoa(most)+" [json-pointer:/limit]")
	}
	oldest, okOldest := bound(r, "oldest")
	latest, okLatest := bound(r, "latest")
	switch {
	case !okOldest:
		return refuse("invalid_ts_oldest")
	case !okLatest:
		return refuse("invalid_ts_latest")
	}
	inclusive := r.yes("inclusive")
	all = slices.DeleteFunc(all, func(p *post) bool {
		at := micros(p.TS)
		return oldest >= 0 && (at < oldest || at == oldest && !inclusive) ||
			latest >= 0 && (at > latest || at == latest && !inclusive)
	})
	if cursor := r.text("cursor"); cursor != "" {
		at, _ := cursorOf("next_ts", cursor)
		start := slices.IndexFunc(all, func(p *post) bool { return strings.Replace(p.TS, ".", "", 1) == at })
		if start < 0 {
			return refuse("invalid_cursor")
		}
		all = all[start:]
	}
	fields := map[string]any{"has_more": len(all) > limit}
	if len(all) > limit {
		next := strings.Replace(all[limit].TS, ".", "", 1)
		fields["response_metadata"] = map[string]any{"next_cursor": makeCursor("next_ts", next)}
		all = all[:limit]
	}
	messages := []any{}
	for _, p := range all {
		messages = append(messages, p.object(r.yes("include_all_metadata")))
	}
	fields["messages"] = messages
	return accepted(fields)
}

// bound reads oldest or latest: seconds, with or without a fraction. -1 is none.
func bound(r request, name string) (at int64, ok bool) {
	var text string
	switch v := r.args[name].(type) {
	case nil:
		return -1, true
	case float64:
		text = strconv.FormatFloat(v, 'f', 6, 64)
	case string:
		text = v
	}
	if text == "" || strings.Trim(text, "0123456789.") != "" || strings.Count(text, ".") > 1 {
		return -1, text == ""
	}
	return micros(text), true
}

func micros(ts string) int64 {
	seconds, fraction, _ := strings.Cut(ts, ".")
	whole, _ := strconv.ParseInt(seconds, 10, 64)
	part, _ := strconv.ParseInt((fraction + "000000")[:6], 10, 64)
	return whole*1e6 + part
}
