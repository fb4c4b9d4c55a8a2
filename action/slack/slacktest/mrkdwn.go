package slacktest

import (
	"regexp"
	"strings"
)

// A Link is one that a reader can follow.
type Link struct {
	// URL is the target: an address, or #C024BE91L for a channel.
	URL string
	// Label is what is shown; empty means the URL itself.
	Label string
}

// Pages returns who would be paged by the message, as the mark-up has them:
// "!channel", "!here", "!everyone", "!subteam^S012", "@U012"; and "@channel" and
// the like where Slack makes a mention of the plain word: in a text object of a
// block that is not verbatim, "certain mentions will be automatically parsed".
// https://docs.slack.dev/messaging/formatting-message-text
// https://docs.slack.dev/reference/block-kit/composition-objects/text-object
func (m Message) Pages() []string {
	return m.markup().pages
}

// Links returns the links of the message, in the order of the text.
func (m Message) Links() []Link {
	return m.markup().links
}

// Broken returns the pieces of mark-up that lead nowhere: a < that nothing
// closes, a link without a target, or a target that is no address.
func (m Message) Broken() []string {
	return m.markup().broken
}

// markup is what a message's texts hold besides words.
type markup struct {
	pages, broken []string
	links         []Link
}

func (m Message) markup() markup {
	var found markup
	found.read(m.Text)
	found.blocks(m.Blocks)
	for _, a := range m.Attachments {
		for _, key := range []string{"pretext", "text"} {
			text, _ := a[key].(string)
			found.read(text)
		}
		found.blocks(objects(a["blocks"]))
	}
	return found
}

var word = regexp.MustCompile(`(?:^|[^\w@])@(channel|here|everyone)\b`)

// blocks looks into every text object and element, wherever it stands.
func (k *markup) blocks(blocks []map[string]any) {
	for _, b := range blocks {
		k.object(b)
	}
}

func (k *markup) object(o map[string]any) {
	switch o["type"] {
	case "mrkdwn":
		text, _ := o["text"].(string)
		k.read(text)
		if o["verbatim"] != true {
			for _, found := range word.FindAllStringSubmatch(text, -1) {
				k.pages = append(k.pages, "@"+found[1])
			}
		}
	case "markdown":
		text, _ := o["text"].(string)
		k.read(text)
	case "user":
		id, _ := o["user_id"].(string)
		k.pages = append(k.pages, "@"+id)
	case "usergroup":
		id, _ := o["usergroup_id"].(string)
		k.pages = append(k.pages, "!subteam^"+id)
	case "broadcast":
		to, _ := o["range"].(string)
		k.pages = append(k.pages, "!"+to)
	case "link":
		url, _ := o["url"].(string)
		label, _ := o["text"].(string)
		k.links = append(k.links, Link{url, label})
	}
	for _, key := range []string{"title", "text", "fields", "elements"} {
		if inner, ok := o[key].(map[string]any); ok {
			k.object(inner)
		}
		k.blocks(objects(o[key]))
	}
}

var (
	address = regexp.MustCompile(`^(https?://[^\s]+|mailto:[^\s]+@[^\s]+|tel:[^\s]+)$`)
	place   = regexp.MustCompile(`^[#@][A-Z0-9]+$`)
	command = regexp.MustCompile(`^!(channel|here|everyone|group|subteam\^[A-Z0-9]+)$`)
	date    = regexp.MustCompile(`^!date\^\d+\^[^|]+$`)
)

// read parses one mrkdwn text: what stands between < and >, of which & < and > in
// words are escaped.
func (k *markup) read(text string) {
	for {
		_, rest, found := strings.Cut(text, "<")
		if !found {
			return
		}
		inside, after, closed := strings.Cut(rest, ">")
		if i := strings.IndexByte(inside, '<'); !closed || i >= 0 {
			// Nothing closes this one; go on behind it.
			piece := "<" + rest
			if i >= 0 {
				piece = "<" + inside[:i]
			}
			k.broken = append(k.broken, piece)
			text = rest
			continue
		}
		text = after
		target, label, _ := strings.Cut(inside, "|")
		switch {
		case command.MatchString(target):
			k.pages = append(k.pages, strings.Replace(target, "!group", "!channel", 1))
		case place.MatchString(target) && target[0] == '@':
			k.pages = append(k.pages, target)
		case place.MatchString(target), address.MatchString(target):
			k.links = append(k.links, Link{unescape(target), unescape(label)})
		case date.MatchString(target):
		default:
			k.broken = append(k.broken, "<"+inside+">")
		}
	}
}

// unescape undoes the three escapes that there are.
func unescape(s string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}

// ReadMrkdwn parses one text as Pages, Links and Broken do.
func ReadMrkdwn(text string) (pages []string, links []Link, broken []string) {
	var k markup
	k.read(text)
	return k.pages, k.links, k.broken
}
