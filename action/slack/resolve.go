package slack

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

// settling is how long a post of another call may take until it can be looked up.
const settling = time.Second

// resolve finds out what became of posts whose replies did not come: of these messages, and of
// others in the same thread, which may have begun it.
func (d *delivery) resolve(ctx context.Context, batch []action.Message) error {
	now, _ := d.clock.now()
	doubts, own := make(map[place][]string), make(map[place]bool)
	for id, s := range d.doubts(batch) {
		p := s.place()
		doubts[p] = append(doubts[p], id)
		own[p] = own[p] || slices.ContainsFunc(batch, func(m action.Message) bool { return m.ID == id })
	}
	for p := range doubts {
		// Of what is ours, the engine has waited before this try.
		if wait := settling - now.Sub(d.clock.slacks(p.from, p.local)); !own[p] && wait > 0 && !d.isBlind(p) {
			return action.After(errors.New("another message of the thread is on its way"), wait)
		}
	}
	for place, ids := range doubts {
		err := d.lookUp(ctx, place, func(home string, m slack.Message) {
			found, part := idsOf(m)
			if part == 1 && slices.ContainsFunc(found, func(id string) bool { return slices.Contains(ids, id) }) {
				d.landed(place.thread, landing{ids: found, home: home, ts: m.Timestamp, parent: parentOf(m), last: timeOf(m.Timestamp)})
			}
		})
		if errors.Is(err, errBlind) {
			continue // those of the batch are posted again
		}
		if err != nil {
			return err
		}
		for _, id := range ids {
			// Until then, it may be that only its request is slow.
			if s, _ := d.sending(id); s.TS == "" && now.After(d.clock.slacks(s.Over, s.Local)) {
				d.forget(sendingPrefix + id)
			}
		}
	}
	return nil
}

// doubts are the deliveries that Slack may have, by their ids.
func (d *delivery) doubts(batch []action.Message) map[string]sending {
	found := make(map[string]sending)
	for _, m := range batch {
		if s, ok := d.sending(m.ID); ok && s.Doubt && s.TS == "" {
			found[m.ID] = s
		}
	}
	if d.key == "" {
		return found
	}
	for _, key := range d.memory.Keys(sendingPrefix) {
		var s sending
		if d.recall(key, &s) && s.Thread == d.key && s.Doubt && s.TS == "" {
			found[strings.TrimPrefix(key, sendingPrefix)] = s
		}
	}
	return found
}

// timeOf is the time that a timestamp says.
func timeOf(ts string) time.Time {
	seconds, _, _ := strings.Cut(ts, ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}
