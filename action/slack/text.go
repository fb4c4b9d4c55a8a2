package slack

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

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

// emptyText stands for a text in which nothing is seen: Slack refuses no text at all, and one of
// white space (no_text). The line was logged and has matched: to show that is better than a dead letter.
const emptyText = "_(empty message)_"

var (
	escaper   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	unescaper = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")
	// insertedEscaper is for what comes from an entry.
	insertedEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", inserted+"|")
)

// inserted stands before each | that comes from an entry, and before all of it if it begins with
// one of !@#. Right behind a < of the user's, as in <{{ .Fields.URL }}|open>, that would be a
// mention, and no link; and a | in the URL would end it. textOf takes it out again;
// Unicode keeps this character for a program's own use.
const inserted = "\ufdd0"

// Escape implements action.Escaper: these three characters are all that can
// make a link or a mention (<!channel>).
// https://docs.slack.dev/messaging/formatting-message-text#escaping
func (a *Action) Escape(s string) string {
	// What is left out or replaced must be before a mention is looked for, else it could hide one.
	s = insertedEscaper.Replace(readable(s))
	if s != "" && strings.ContainsRune("!@#", rune(s[0])) {
		return inserted + s
	}
	return s
}

func unescape(s string) string { return unescaper.Replace(s) }

// terminal is what colours a terminal, or makes a link in it, as journalctl leaves it out, too:
// CSI, the choice of a character set (of "tput sgr0"), and OSC 8.
// https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
var terminal = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-B]|\]8;[^\x07\x1b\n]*(?:\x07|\x1b\\))`)

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// readable is valid UTF-8 without what is meant for terminals. Other control characters have a
// picture, as ␀, or are U+FFFD: Slack does not say what becomes of them, and a text of nothing
// else would be an empty one. U+202D and U+202E are too, which would have a link's host be read
// backwards.
func readable(s string) string {
	s = lineEnds.Replace(terminal.ReplaceAllLiteralString(strings.ToValidUTF8(s, "\ufffd"), ""))
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' && r != '\n' && r != '\t':
			return '\u2400' + r
		case r == 0x7f:
			return '\u2421'
		case string(r) == inserted, r >= 0x80 && r < 0xa0, r == '\u202d', r == '\u202e':
			return '\ufffd'
		}
		return r
	}, s)
}

// target is the beginning of a link of the user's up to its words.
var target = regexp.MustCompile("<[a-z]+:(?:[^<>|" + inserted + "]|" + inserted + `\|?)*`)

// textOf is the message's text, which is Slack's mark-up already, as Slack takes it.
func textOf(m action.Message) string {
	s := strings.ToValidUTF8(m.Text, "\ufffd")
	if strings.Contains(s, inserted) {
		s = strings.ReplaceAll(s, "<"+inserted, "&lt;")
		s = target.ReplaceAllStringFunc(s, func(link string) string { return strings.ReplaceAll(link, inserted+"|", "%7C") })
		s = strings.ReplaceAll(s, inserted, "")
	}
	if strings.IndexFunc(s, isVisible) < 0 {
		return emptyText
	}
	return s
}

// isVisible tells what is seen from white space and from U+200B and the like.
func isVisible(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }

// indented is a text of several lines that is hard to read in a font whose letters differ in
// width: a stack trace, or JSON.
var indented = regexp.MustCompile(`\n[ \t]+\S`)

// sectionText is textOf for a section. It makes a code block of what is indented, unless the
// user has written a form of his own, or the text would end the block.
func sectionText(m action.Message) string {
	s := textOf(m)
	if m.Custom || !indented.MatchString(s) || strings.Contains(s, "``") {
		return s
	}
	if strings.HasPrefix(s, "`") { // it would make the block's mark longer
		s = " " + s
	}
	if strings.HasSuffix(s, "`") {
		s += " "
	}
	return fenceMark + s + fenceMark
}

// lines are the texts of all the messages, one below the other. Of several, Fit has seen to it
// that they have room.
func lines(batch []action.Message) string {
	var all []string
	for _, m := range batch {
		all = append(all, cut(textOf(m), shortLink, maxText))
	}
	return strings.Join(all, "\n")
}

// when is a time that each reader sees in his own time zone.
// https://docs.slack.dev/messaging/formatting-message-text#date-formatting
func when(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty} {time_secs}|%s>", t.Unix(), t.UTC().Format(time.RFC3339))
}

// mentions are the parts of a text, one behind the other, that page somebody: the user
// wrote them, as none comes from an entry. They are without words of their own, and no more than
// 50, so that they have room in any message.
func mentions(text string) string {
	var found []string
	for t := range tokens(text, anyLink) {
		if t.kind != markup {
			continue
		}
		m := mention.FindStringSubmatch(t.text)
		if m == nil {
			continue
		}
		if one := "<" + m[1] + ">"; !slices.Contains(found, one) {
			if found = append(found, one); len(found) == 50 {
				break
			}
		}
	}
	return strings.Join(found, " ")
}

// mention is mark-up that pages somebody.
// https://docs.slack.dev/messaging/formatting-message-text#mentioning-users
var mention = regexp.MustCompile(`^<(@[A-Z0-9]{1,30}|!(?:here|channel|everyone|group)|!subteam\^[A-Z0-9]{1,30})(?:\|[^<>]*)?>$`)

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
			} else if mention.MatchString(t.text) {
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
