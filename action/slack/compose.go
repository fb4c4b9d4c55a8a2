package slack

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

// maxParts is how many posts one message becomes at most, the first one included: Slack takes
// about one a second.
const maxParts = 20

// A post is what one message of Slack's says.
type post struct {
	text        string
	attachments []slack.Attachment
}

// options are the post's content, for slack-go.
func (p post) options() (options []slack.MsgOption) {
	if p.text != "" {
		options = append(options, slack.MsgOptionText(p.text, false))
	}
	if len(p.attachments) > 0 {
		options = append(options, slack.MsgOptionAttachments(p.attachments...))
	}
	return options
}

// An upload is a file for the thread below a post.
type upload struct {
	name    string
	content []byte // UTF-8; never empty
}

// fit is how many of the messages, from the first on, go into one post.
func (a *Action) fit(batch []action.Message) int {
	size := 0
	for i, m := range batch {
		if a.blocks() {
			at := withOrigin(attachment(m, cut(sectionText(m), anyLink, maxSection)), m)
			size += weight(at)
			if i > 0 && (i == maxAttachments || size > maxWeight) {
				return i
			}
			if isLong(m) {
				return max(i, 1) // it goes alone, as what is too long for a post has a thread of its own
			}
			continue
		}
		if size += units(cut(textOf(m), shortLink, maxText)) + 1; i > 0 && size > maxLines {
			return i
		}
	}
	return len(batch)
}

// isLong says that a message's text does not fit into a section.
func isLong(m action.Message) bool {
	_, left := split(sectionText(m), anyLink, maxSection, 1)
	return left > 0
}

func (a *Action) blocks() bool { return a.config.Format != Text }

// compose makes the post for the messages of one call. Of a single one whose text is longer
// than Slack shows in a post, the rest are posts for the thread below it, or there is a file with
// all of it. A webhook has neither thread nor file: what does not fit is cut off, and so it is
// where there are several messages.
func (a *Action) compose(batch []action.Message) (first post, rest []post, file *upload) {
	single := len(batch) == 1 && a.config.WebhookURL == ""
	if !a.blocks() {
		if single {
			return a.composeText(batch[0])
		}
		return post{text: lines(batch)}, nil, nil
	}
	if single && isLong(batch[0]) {
		return a.composeLong(batch[0])
	}
	var mentioned []string
	for _, m := range batch {
		text := cut(sectionText(m), anyLink, maxSection)
		first.attachments = append(first.attachments, withOrigin(attachment(m, text), m))
		mentioned = append(mentioned, text)
	}
	first.text = mentions(strings.Join(mentioned, "\n"))
	return first, nil, nil
}

// composeLong has the text go on in a thread or a file.
func (a *Action) composeLong(m action.Message) (first post, rest []post, file *upload) {
	text := sectionText(m)
	parts, left := split(text, anyLink, maxSection, maxParts)
	note := fmt.Sprintf("… %s more in the thread", count(characters(text)-parts[0].characters))
	if a.config.Long == InFile {
		file = fileOf(m)
		note = fmt.Sprintf("… %s more in %s, in the thread", count(characters(text)-parts[0].characters), file.name)
		parts, left = parts[:1], 0
	}
	for i, p := range parts {
		one := post{text: mentions(p.text)}
		switch {
		case i == 0:
			one.attachments = []slack.Attachment{withOrigin(attachment(m, p.text, note), m)}
		case i == len(parts)-1 && left > 0:
			one.attachments = []slack.Attachment{attachment(m, p.text, leftOut(m, left))}
		default:
			one.attachments = []slack.Attachment{attachment(m, p.text)}
		}
		rest = append(rest, one)
	}
	return rest[0], rest[1:], file
}

// composeText is that for plain text.
func (a *Action) composeText(m action.Message) (first post, rest []post, file *upload) {
	text := textOf(m)
	if parts, left := split(text, shortLink, maxLines, 1); left == 0 {
		return post{text: parts[0].text}, nil, nil
	}
	const room = 500 // for the marks
	parts, left := split(text, shortLink, maxLines-room, maxParts)
	more := count(characters(text) - parts[0].characters)
	if a.config.Long == InFile {
		file = fileOf(m)
		return post{text: fmt.Sprintf("%s\n_… %s more in %s, in the thread_", parts[0].text, more, file.name)}, nil, file
	}
	first.text = fmt.Sprintf("%s\n_… %s more in the thread_", parts[0].text, more)
	for i, p := range parts[1:] {
		one := post{text: p.text}
		if i == len(parts)-2 && left > 0 {
			one.text += "\n" + leftOut(m, left)
		}
		rest = append(rest, one)
	}
	return first, rest, nil
}

// leftOut is the mark at the end of a thread that does not have the whole text.
func leftOut(m action.Message, left int) string {
	mark := fmt.Sprintf("… [%s more left out]", count(left))
	if command := finds(m.Record); command != "" {
		mark += " The whole entry: `" + command + "`"
	}
	return mark
}

// fileOf is the whole text as a file. It is uploaded as it is, not as a snippet, which may
// have 1 MB only: Slack takes files of up to 1 GB, and no field of an entry is that long.
// https://docs.slack.dev/reference/methods/files.getUploadURLExternal
func fileOf(m action.Message) *upload {
	return &upload{name: m.ID + ".txt", content: []byte(unescape(textOf(m)))}
}

// count has the thousands set apart.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if n == 1 {
		return s + " character"
	}
	return s + " characters"
}

// counted is the first post of a thread as it shows that n messages have come, the last one at
// that time.
func (p post) counted(n int, last time.Time) post {
	note := fmt.Sprintf("*×%d*, the last: %s", n, when(last))
	if len(p.attachments) == 0 {
		return post{text: p.text + "\n" + note}
	}
	p.attachments = slices.Clone(p.attachments)
	at := &p.attachments[len(p.attachments)-1]
	at.Blocks.BlockSet = append(slices.Clone(at.Blocks.BlockSet), contextBlock(note))
	return p
}
