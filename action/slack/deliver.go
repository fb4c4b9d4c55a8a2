package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

// deliver posts the messages as a bot: as one post, or several where they are for several
// channels or threads.
func (a *Action) deliver(ctx context.Context, batch []action.Message) error {
	defer a.tidy()
	var errs []error
	for len(errs) < len(batch) {
		rest := batch[len(errs):]
		some := a.together(ctx, rest[:a.Fit(rest)])
		errs = append(errs, some...)
		if i := slices.IndexFunc(some, func(err error) bool { return err != nil }); i >= 0 { // what follows keeps its place behind it
			errs = append(errs, slices.Repeat(some[i:i+1], len(batch)-len(errs))...)
		}
	}
	failed := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	if len(failed) == len(errs) {
		return errs[len(errs)-1]
	}
	for i, err := range errs {
		if len(failed) > 1 && action.IsPermanent(err) {
			// One of them is at fault: they will be tried one by one.
			errs[i] = errors.New(err.Error())
		}
	}
	return action.Each(errs)
}

// A delivery is one call's messages for one thread, or for one channel.
type delivery struct {
	*Action
	channel string
	key     string          // of the thread; empty for none
	begun   map[string]bool // the deliveries that this call has begun to send: what Slack has of them is known
}

// together delivers messages for one channel and one thread, and returns an error for each, or nil.
func (a *Action) together(ctx context.Context, batch []action.Message) (errs []error) {
	d := &delivery{Action: a, begun: make(map[string]bool)}
	failed, err := d.run(ctx, batch)
	for _, m := range batch {
		if err != nil && slices.ContainsFunc(failed, func(f action.Message) bool { return f.ID == m.ID }) {
			errs = append(errs, a.postError(cmp.Or(d.channel, "Slack"), err))
			continue
		}
		a.done(m.ID)
		errs = append(errs, nil)
	}
	return errs
}

// run returns those of the messages that have not been delivered because of the error.
func (d *delivery) run(ctx context.Context, batch []action.Message) (failed []action.Message, err error) {
	if d.channel, d.key, err = d.target(batch[0]); err != nil {
		return batch, err
	}
	if d.key != "" { // no thread may begin twice
		unlock, err := d.locks.lock(ctx, d.key)
		if err != nil {
			return batch, err
		}
		defer unlock()
	}
	if err := d.resolve(ctx, batch); err != nil {
		return batch, err
	}
	var there, missing []action.Message
	for _, m := range batch {
		if s, _ := d.sending(m.ID); s.Done {
			continue // only what became of it was not noted any more
		} else if s.TS != "" {
			there = append(there, m)
		} else {
			missing = append(missing, m)
		}
	}
	if err := d.complete(ctx, there); err != nil {
		return batch, err
	}
	if len(missing) == 0 {
		return nil, nil
	}
	if err := d.post(ctx, missing); err != nil {
		return missing, err
	}
	return missing, d.complete(ctx, missing)
}

// complete has all be in Slack that belongs to messages that are: the rest of a long text, and
// the count that the first message of the thread shows.
func (d *delivery) complete(ctx context.Context, batch []action.Message) error {
	if len(batch) == 0 {
		return nil
	}
	for _, m := range batch {
		if err := d.rest(ctx, m); err != nil {
			return fmt.Errorf("the message is there; go on in its thread: %w", err)
		}
	}
	if err := d.show(ctx, d.key); err != nil {
		return fmt.Errorf("the message is there; count it in the first one of its thread: %w", err)
	}
	return nil
}

// begin notes, durably, that something of the deliveries is about to be posted. All that becomes
// known of them in this call need not be made durable at once: after a crash it is in doubt,
// and looked up.
func (d *delivery) begin(ctx context.Context, s sending, ids ...string) error {
	if d.clock.stepped() {
		d.askTime(ctx)
	}
	var known bool
	s.Begun, known = d.clock.now()
	s.Over, s.Local, s.Doubt = s.Begun.Add(d.TimeLimit()+late), !known, true
	for _, id := range ids {
		d.begun[id] = true
		d.remember(sendingPrefix+id, s)
	}
	if err := d.memory.Save(); err != nil {
		return fmt.Errorf("note that it is about to be posted: %w", err)
	}
	return nil
}

// askTime asks Slack for anything: every reply tells the time. If none comes, the post that
// is to follow will tell why.
func (a *Action) askTime(ctx context.Context) {
	ctx, cancel := a.request(ctx)
	defer cancel()
	a.api.AuthTestContext(ctx)
}

// post posts the messages as one.
func (d *delivery) post(ctx context.Context, batch []action.Message) error {
	var ids []string
	before := make(map[string][]byte)
	for _, m := range batch {
		ids = append(ids, m.ID)
		before[sendingPrefix+m.ID] = d.memory.Get(sendingPrefix + m.ID)
	}
	first, _, _ := d.compose(batch)
	t := d.thread(d.key)
	if d.key != "" && t.TS == "" {
		before[threadPrefix+d.key] = nil
		d.setThread(d.key, thread{Root: rootOf(first)})
	}
	err := d.begin(ctx, sending{Channel: d.channel, Thread: d.key, Parent: t.TS, Home: t.Channel}, ids...)
	nothing := err != nil
	var l landing
	if err == nil {
		l, err = d.postInSomeForm(ctx, cmp.Or(t.Channel, d.channel), first, t.TS, payload(batch))
		nothing = err != nil && !mayBeDone(err)
	}
	if nothing {
		for key, value := range before {
			d.memory.Put(key, value)
		}
	}
	if err != nil && nothing && t.TS != "" && over[codeOf(err)] {
		was := d.memory.Get(threadPrefix + d.key)
		d.forget(threadPrefix + d.key)
		if err = d.post(ctx, batch); err != nil && !mayBeDone(err) { // it is not the thread
			d.memory.Put(threadPrefix+d.key, was)
		}
		return err
	}
	if err != nil {
		return err
	}
	d.learn(d.channel, l.home)
	l.ids, l.last = ids, batch[len(batch)-1].Record.Time()
	d.landed(d.key, l)
	return nil
}

// postInSomeForm posts into the thread of a message, if there is one, and tells where that has landed.
func (a *Action) postInSomeForm(ctx context.Context, channel string, p post, parent string, payload map[string]any) (l landing, err error) {
	p, err = p.inSomeForm(func(p post) error {
		l, err = a.postMessage(ctx, channel, p, parent, payload)
		return err
	})
	l.root = rootOf(p)
	return l, err
}

// postMessage posts in the form that the post has.
// https://docs.slack.dev/reference/methods/chat.postMessage
func (a *Action) postMessage(ctx context.Context, channel string, p post, parent string, payload map[string]any) (landing, error) {
	ctx, cancel := a.request(ctx)
	defer cancel()
	options := append(p.options(),
		slack.MsgOptionDisableLinkUnfurl(),
		slack.MsgOptionDisableMediaUnfurl(),
		slack.MsgOptionMetadata(slack.SlackMetadata{EventType: eventType, EventPayload: payload}),
	)
	if parent != "" {
		options = append(options, slack.MsgOptionTS(parent))
	}
	home, ts, m, err := a.api.PostMessageWithResponseContext(ctx, channel, options...)
	if err != nil {
		return landing{}, asked(err)
	}
	if ts == "" || home == "" {
		return landing{}, errors.New("the reply is not Slack's: it names no message (does api_url lead to Slack?)")
	}
	if m.Timestamp == "" { // the reply does not show the message
		return landing{home: home, ts: ts, parent: parent}, nil
	}
	return landing{home: home, ts: ts, parent: parentOf(m)}, nil
}

// rest has the rest of a long text be in the thread: in parts, or in a file.
func (d *delivery) rest(ctx context.Context, m action.Message) error {
	_, parts, file := d.compose([]action.Message{m})
	if len(parts) == 0 && file == nil {
		return nil
	}
	s, _ := d.sending(m.ID)
	thread := cmp.Or(s.Parent, s.TS)
	if s.Doubt && !d.begun[m.ID] {
		p := s.place()
		p.parent, p.rest = thread, m.ID
		err := d.lookUp(ctx, p, func(_ string, in slack.Message) {
			if ids, part := idsOf(in); part > 1 && slices.Contains(ids, m.ID) {
				s.Rest = max(s.Rest, part-1)
			}
			if file != nil && hasFile(in, file) {
				s.Rest = max(s.Rest, 1)
			}
		})
		if err != nil && !errors.Is(err, errBlind) {
			d.remember(sendingPrefix+m.ID, s) // the next look-up goes on behind what was found
			return err
		}
	}
	if file != nil && s.Refused == "" {
		if s.Rest > 0 {
			return nil
		}
		err := d.step(ctx, &s, m.ID, func() error { return d.share(ctx, file, s.Home, thread) })
		if !action.IsPermanent(err) {
			return err
		}
		s.Refused = action.OneLine(action.Redact(err, d.secrets...).Error(), 300)
	}
	if s.Refused != "" {
		inThread := &Action{config: d.config}
		inThread.config.Long = InThread
		_, parts, _ = inThread.compose([]action.Message{m})
		parts = append([]post{{text: "_Slack has not taken it as a file: " + escaper.Replace(s.Refused) + "_"}}, parts...)
	}
	for s.Rest < len(parts) {
		ids := payload([]action.Message{m})
		ids["part"] = s.Rest + 2
		err := d.step(ctx, &s, m.ID, func() error {
			_, err := d.postInSomeForm(ctx, s.Home, parts[s.Rest], thread, ids)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// step does one more thing for a delivery, and remembers how that went.
func (d *delivery) step(ctx context.Context, s *sending, id string, do func() error) error {
	if !d.begun[id] {
		if err := d.begin(ctx, *s, id); err != nil {
			return err
		}
		*s, _ = d.sending(id)
	}
	err := do()
	switch {
	case err == nil:
		s.Rest++
	case !mayBeDone(err) && !action.IsPermanent(err): // this call ends here
		s.Doubt = false
	}
	d.remember(sendingPrefix+id, *s)
	return err
}

// parentOf is the timestamp of the message in whose thread another is; empty if that stands in the
// channel.
func parentOf(m slack.Message) string {
	if m.ThreadTimestamp == m.Timestamp {
		return ""
	}
	return m.ThreadTimestamp
}
