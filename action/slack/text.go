package slack

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/journald-router/journald-router/action"
)

// maxText is how many characters Slack takes before it cuts the text itself,
// unseen: https://api.slack.com/changelog/2018-04-truncating-really-long-messages
const maxText = 40_000

// maxLines is how many characters of several messages are put together: "up to 4,000
// characters" is what https://docs.slack.dev/reference/methods/chat.postMessage advises.
const maxLines = 4000

// Fit implements action.Fitter.
func (a *Action) Fit(batch []action.Message) int {
	size := 0
	for i, m := range batch {
		if size += utf8.RuneCountInString(text(m)) + 1; i > 0 && size > maxLines {
			return i
		}
	}
	return len(batch)
}

// lines is the text of all the messages, one below the other.
func lines(batch []action.Message) string {
	var all []string
	for _, m := range batch {
		all = append(all, text(m))
	}
	return strings.Join(all, "\n")
}

// emptyText stands for no text at all, which Slack refuses (no_text). The line
// was logged and has matched: to show that is better than a dead letter.
const emptyText = "_(empty message)_"

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Escape implements action.Escaper: these three characters are all that can
// make a link or a mention (<!channel>).
// https://docs.slack.dev/messaging/formatting-message-text#escaping
func (a *Action) Escape(s string) string { return escaper.Replace(s) }

// text is the message's text, which is Slack's mark-up already, as Slack takes it.
func text(m action.Message) string {
	s := strings.ToValidUTF8(m.Text, "\ufffd")
	if strings.TrimSpace(s) == "" {
		return emptyText
	}
	return cut(s, maxText)
}

// cut shortens s to limit characters, of which the last say how many are
// missing.
func cut(s string, limit int) string {
	n := utf8.RuneCountInString(s)
	if n <= limit {
		return s
	}
	const mark = "… [%d more characters cut off]"
	keep := limit - utf8.RuneCountInString(fmt.Sprintf(mark, n))
	runes := []rune(s)
	// Not through the middle of &amp;, &lt; or &gt;.
	for i := keep - 1; i >= max(keep-4, 0) && runes[i] != ';'; i-- {
		if runes[i] == '&' {
			keep = i
			break
		}
	}
	return string(runes[:keep]) + fmt.Sprintf(mark, n-keep)
}
