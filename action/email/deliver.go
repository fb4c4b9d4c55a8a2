package email

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/journald-router/journald-router/action"
)

// letter is a message with what the settings make of it.
type letter struct {
	action.Message
	index         int // in the batch
	to            addresses
	rest          []string // who does not have it yet
	subject, html string   // html is empty if the template makes nothing but space
}

// errUndecided is a message whose mail was not tried.
var errUndecided = errors.New("undecided")

// Deliver implements action.Action.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	errs := make([]error, len(batch))
	var down error
	for _, group := range a.groups(batch, errs) {
		if down = a.deliver(ctx, group, errs); down != nil {
			break
		}
	}
	undecided := 0
	for i, err := range errs {
		if err == errUndecided {
			err = down
			undecided++
		}
		errs[i] = a.explain(err)
	}
	if undecided == len(batch) && !action.IsPermanent(down) {
		return errs[0]
	}
	// Each has its own answer, also where that is the same: parts of the batch would not
	// fare better, as the content of a mail is not what was refused.
	return action.Each(errs)
}

// groups are the mails that the batch becomes. Messages that cannot be one have their
// error in errs then, the others errUndecided.
func (a *Action) groups(batch []action.Message, errs []error) [][]letter {
	var groups [][]letter
	places := make(map[string]int) // in groups, by recipients
	for i, m := range batch {
		l, err := a.letter(m)
		if err != nil {
			errs[i] = action.Permanent(err)
			continue
		}
		if len(l.rest) == 0 {
			partly.forget(m.ID)
			continue // everybody has it
		}
		l.index = i
		errs[i] = errUndecided
		key := l.to.key() + strings.Join(l.rest, ",")
		place, ok := places[key]
		if !ok {
			place = len(groups)
			places[key] = place
			groups = append(groups, nil)
		}
		groups[place] = append(groups[place], l)
	}
	return groups
}

func (a *Action) letter(m action.Message) (letter, error) {
	l := letter{Message: m}
	var err error
	if l.to, err = a.recipientsOf(m); err != nil {
		return l, err
	}
	l.rest = partly.without(m.ID, l.to.paths())
	if l.subject, err = a.subject.Render(m.Data); err != nil {
		return l, fmt.Errorf("subject: %w", err)
	}
	if a.html != nil {
		if l.html, err = a.html.Render(m.Data); err != nil {
			return l, fmt.Errorf("html: %w", err)
		}
		if strings.TrimSpace(l.html) == "" {
			l.html = ""
		}
	}
	return l, nil
}

// deliver sends a group as one mail. An error is about the server; what became of each
// letter is in errs.
func (a *Action) deliver(ctx context.Context, group []letter, errs []error) (down error) {
	e, err := a.envelope(group)
	if err != nil {
		return err
	}
	r := a.send(ctx, e)
	switch {
	case r.down:
		return r.err
	case r.content && len(group) > 1:
		// It is too large, or has an entry that is at fault and should cost no other.
		half := len(group) / 2
		if down := a.deliver(ctx, group[:half], errs); down != nil {
			return down
		}
		return a.deliver(ctx, group[half:], errs)
	}
	for _, l := range group {
		errs[l.index] = r.err
		if r.err == nil {
			partly.forget(l.ID)
		} else {
			partly.add(l.ID, r.taken)
		}
	}
	return nil
}
