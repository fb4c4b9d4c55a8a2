package slack

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/journald-router/journald-router/action"
)

const (
	// maxText is how many characters Slack takes before it cuts the text itself,
	// unseen: https://docs.slack.dev/changelog/2018-04-truncating-really-long-messages
	maxText = 40_000
	// maxUpdate is how many an update may have, and what is advised for a message:
	// https://docs.slack.dev/reference/methods/chat.update#errors
	maxUpdate = 4000
	// maxLines is how many characters of several messages are put together, and one of a
	// thread has. There is room for what counted adds.
	maxLines = maxUpdate - 100
)

// emptyText stands for no text at all, which Slack refuses (no_text). The line
// was logged and has matched: to show that is better than a dead letter.
const emptyText = "_(empty message)_"

var (
	escaper   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	unescaper = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")
)

// inserted stands before what comes from an entry if it begins with one of !@#. Right behind a <
// of the user's, as in <{{ .Fields.URL }}|open>, that would be a mention, and no link.
// textOf takes it out again; Unicode keeps this character for a program's own use.
const inserted = "\ufdd0"

// Escape implements action.Escaper: these three characters are all that can
// make a link or a mention (<!channel>).
// https://docs.slack.dev/messaging/formatting-message-text#escaping
func (a *Action) Escape(s string) string {
	s = escaper.Replace(strings.ReplaceAll(s, inserted, "\ufffd"))
	if s != "" && strings.ContainsRune("!@#", rune(s[0])) {
		return inserted + s
	}
	return s
}

func unescape(s string) string { return unescaper.Replace(s) }

// textOf is the message's text, which is Slack's mark-up already, as Slack takes it.
func textOf(m action.Message) string {
	s := strings.ToValidUTF8(m.Text, "\ufffd")
	s = strings.ReplaceAll(strings.ReplaceAll(s, "<"+inserted, "&lt;"), inserted, "")
	if strings.TrimSpace(s) == "" {
		return emptyText
	}
	return s
}

// lines are the texts of all the messages, one below the other.
func lines(batch []action.Message) string {
	var all []string
	for _, m := range batch {
		all = append(all, cut(textOf(m), shortLink, maxText/len(batch)-1))
	}
	return strings.Join(all, "\n")
}

// when is a time that each reader sees in his own time zone.
// https://docs.slack.dev/messaging/formatting-message-text#date-formatting
func when(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty} {time_secs}|%s>", t.Unix(), t.UTC().Format(time.RFC3339))
}

// mentions are the parts of a text, one behind the other, that page somebody: the user
// wrote them, as none comes from an entry.
func mentions(text string) string {
	var found []string
	for t := range tokens(text, anyLink) {
		if t.kind == markup && pages(t.text) && !slices.Contains(found, t.text) && len(found) < 50 {
			found = append(found, t.text)
		}
	}
	return strings.Join(found, " ")
}

// pages tells a mention from other mark-up.
// https://docs.slack.dev/messaging/formatting-message-text#mentioning-users
func pages(markup string) bool {
	for _, prefix := range []string{"<@", "<!here", "<!channel", "<!everyone", "<!group", "<!subteam^"} {
		if strings.HasPrefix(markup, prefix) {
			return true
		}
	}
	return false
}

// plain is the beginning of a text without its mark-up, in one line, still escaped.
func plain(text string, limit int) string {
	var b strings.Builder
	size := 0
	for t := range tokens(text, anyLink) {
		s := t.text
		switch t.kind {
		case newline:
			s = " "
		case fence:
			s = ""
		case markup:
			s = strings.Trim(s, "<>")
			if _, label, ok := strings.Cut(s, "|"); ok {
				s = label
			} else if pages(t.text) {
				s = "@" + strings.TrimLeft(s, "@!")
			}
		}
		if size += units(s); size > limit-1 {
			return b.String() + "…"
		}
		b.WriteString(s)
	}
	return b.String()
}
