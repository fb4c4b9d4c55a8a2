package control

import (
	"fmt"
	"net/url"
	"time"

	"github.com/journald-router/journald-router/spool"
)

// query writes a filter as parseFilter reads it.
func query(f spool.Filter) url.Values {
	q := url.Values{}
	for _, id := range f.IDs {
		q.Add("id", id)
	}
	set := func(name, value string, given bool) {
		if given {
			q.Set(name, value)
		}
	}
	set("action", f.Action, f.Action != "")
	set("rule", f.Rule, f.Rule != "")
	set("since", f.Since.Format(time.RFC3339Nano), !f.Since.IsZero())
	set("until", f.Until.Format(time.RFC3339Nano), !f.Until.IsZero())
	set("cause", f.Cause, f.Cause != "")
	return q
}

// parseFilter reads the filter of a request: id, which may be repeated, action,
// rule, since and until (RFC 3339), cause. What it does not know, as from a newer
// release's command, is an error: without it more would be chosen than was meant.
func parseFilter(q url.Values) (f spool.Filter, err error) {
	for name, values := range q {
		value := values[0]
		switch name {
		case "id":
			f.IDs = values
		case "action":
			f.Action = value
		case "rule":
			f.Rule = value
		case "since":
			f.Since, err = time.Parse(time.RFC3339Nano, value)
		case "until":
			f.Until, err = time.Parse(time.RFC3339Nano, value)
		case "cause":
			f.Cause = value
		default:
			err = fmt.Errorf("the daemon cannot choose dead letters by %q (it is of another release: restart it)", name)
		}
		if err != nil {
			return spool.Filter{}, fmt.Errorf("choose dead letters: %w", err)
		}
	}
	return f, nil
}
