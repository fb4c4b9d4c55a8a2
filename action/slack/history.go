package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

const (
	// margin is how far the times of a look-up reach beyond those of the try: the clocks'
	// difference is known to seconds only, and a proxy may have put in a Date of its own.
	margin = 5 * time.Minute
	// late is how long after its time limit Slack may still carry out a request.
	late = time.Minute
	// pageSize is how many messages one request returns: "no more than 200 results at a
	// time", https://docs.slack.dev/apis/web-api/pagination
	pageSize = 200
	// blindFor is how long a right that is missing counts as missing.
	blindFor = time.Hour
)

// errBlind says that the token has not the right to look the history up. Then a message
// whose reply was lost is posted again.
var errBlind = errors.New("the history cannot be read")

// A place is where, and when, a message may have been posted.
type place struct {
	channel string // as the configuration had it
	home    string // its id, if it is known
	thread  string // the thread's key
	parent  string // the message of the thread; empty for the channel itself
	rest    string // the delivery whose further parts are looked for; empty for messages themselves
	from    time.Time
	until   time.Time
	local   bool // by our clock
}

func (s sending) place() place {
	return place{channel: s.Channel, home: s.Home, thread: s.Thread, parent: s.Parent, from: s.Begun, until: s.Over, local: s.Local}
}

// lookUp calls each for the messages that were posted in the place, in any order. Its error is
// errBlind, or one that passes: then the next look-up of that place goes on behind the pages
// that this one has read. Some apps get a page of 15 messages a minute, and 429 for the second:
// https://docs.slack.dev/apis/web-api/rate-limits
//
// Slack may need a moment until a post is in the history. A look-up comes after the engine's
// wait for the next try (0.5 s and more, unless retry.min says less), after the second that
// systemd waits before it starts the program again, or after the 5 s that a stop leaves to
// a request.
func (a *Action) lookUp(ctx context.Context, p place, each func(home string, m slack.Message)) error {
	if a.isBlind(p) {
		return errBlind
	}
	err := a.read(ctx, p, each)
	if p.home == "" && codeOf(err) == "channel_not_found" {
		// The id that is remembered for its name is of a channel that is gone, or of another workspace.
		a.forget(channelPrefix + p.channel)
		err = a.read(ctx, p, each)
	}
	if p.parent != "" && codeOf(err) == "thread_not_found" {
		// The thread was deleted. What is posted into one that is gone lands in the channel.
		p.parent = ""
		err = a.read(ctx, p, each)
	}
	if err == nil {
		return nil
	}
	if action.IsPermanent(err) {
		a.setBlind(p)
		return errBlind
	}
	return fmt.Errorf("look whether it is there already: %w", err)
}

func (a *Action) read(ctx context.Context, p place, each func(home string, m slack.Message)) (err error) {
	whole := p
	if p.home == "" {
		if p.home, err = a.idOf(ctx, p.channel); err != nil {
			return err
		}
	}
	if p.local {
		if _, known := a.clock.now(); !known { // any reply tells the time
			if _, _, err := a.page(ctx, p, "", 1); err != nil {
				return err
			}
		}
		p.from, p.until = a.clock.slacks(p.from, true), a.clock.slacks(p.until, true)
	}
	for cursor := a.lookedUpTo(whole); ; {
		messages, next, err := a.page(ctx, p, cursor, pageSize)
		if codeOf(err) == "invalid_cursor" {
			a.setLookedUpTo(whole, "")
		}
		if err != nil {
			return err
		}
		for _, m := range messages {
			each(p.home, m)
		}
		a.setLookedUpTo(whole, next)
		if next == "" {
			return nil
		}
		cursor = next
	}
}

// lookedUpTo is the cursor behind which a look-up of a place goes on that did not come to
// its end; empty for the beginning.
func (a *Action) lookedUpTo(p place) (cursor string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.looked[p]
}

func (a *Action) setLookedUpTo(p place, cursor string) {
	const most = 1000 // of deliveries that did not come again
	a.mu.Lock()
	defer a.mu.Unlock()
	if cursor == "" {
		delete(a.looked, p)
		return
	}
	if a.looked == nil || len(a.looked) >= most {
		a.looked = make(map[place]string)
	}
	a.looked[p] = cursor
}

// page reads some messages, and says where the next ones begin.
// https://docs.slack.dev/reference/methods/conversations.history
// https://docs.slack.dev/reference/methods/conversations.replies
func (a *Action) page(ctx context.Context, p place, cursor string, limit int) (messages []slack.Message, next string, err error) {
	ctx, cancel := a.request(ctx)
	defer cancel()
	oldest, latest := timestamp(p.from.Add(-margin)), ""
	if now, _ := a.clock.now(); p.until.Add(margin).Before(now) {
		latest = timestamp(p.until.Add(margin))
	}
	if p.parent == "" {
		reply, err := a.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
			ChannelID: p.home, Oldest: oldest, Latest: latest, Cursor: cursor, Limit: limit, IncludeAllMetadata: true,
		})
		if err != nil {
			return nil, "", asked(err)
		}
		return reply.Messages, reply.ResponseMetaData.NextCursor, nil
	}
	messages, _, next, err = a.api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
		ChannelID: p.home, Timestamp: p.parent, Oldest: oldest, Latest: latest, Cursor: cursor, Limit: limit, IncludeAllMetadata: true,
	})
	return messages, next, asked(err)
}

// timestamp is a time as Slack numbers messages by it, which has none before 1970: a clock
// that has lost its battery begins there.
func timestamp(t time.Time) string {
	if t.Unix() < 0 {
		t = time.Unix(0, 0)
	}
	return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000)
}

func (a *Action) isBlind(p place) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Before(a.blind[cmp.Or(p.home, p.channel)])
}

func (a *Action) setBlind(p place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.blind == nil {
		a.blind = make(map[string]time.Time)
	}
	a.blind[cmp.Or(p.home, p.channel)] = time.Now().Add(blindFor)
}
