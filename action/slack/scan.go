package slack

import (
	"fmt"
	"iter"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A token is a piece of a text that stays in one piece: a character, one of the three
// entities, a link, what the user wrote as <...>, or the fence of a code block.
type token struct {
	// text is what Slack is given, source what it was made of.
	text, source string
	kind         kind
}

type kind int

const (
	character kind = iota
	space          // a text may be broken behind it
	newline        // better still
	fence          // ``` that begins a code block or ends it
	markup         // <...>, also a link that was made of a URL
)

// maxToken is how long a link or mark-up may be, in Slack's characters. What is
// longer is shown as plain text: it would leave no room beside it, and browsers
// begin to refuse such addresses at about that length.
const maxToken = 2000

const fenceMark = "```"

// tokens takes a text apart that is Slack's mark-up and valid UTF-8. Its URLs become
// links as link says. A < that begins no mark-up becomes &lt;, so that there is no
// other mark-up than the tokens of that kind.
// https://docs.slack.dev/messaging/formatting-message-text
func tokens(s string, link func(url string) string) iter.Seq[token] {
	return func(yield func(token) bool) {
		block := false // within a code block
		code := 0      // where the code in `...` ends that i may be within
		url := 0       // where a URL ends that is too long for a link
		for i := 0; i < len(s); {
			t := token{kind: character}
			switch c := s[i]; {
			case c == '<':
				t.source, t.text = "<", "&lt;"
				if source, text := leadingMarkup(s[i:]); source != "" {
					t = token{text, source, markup}
				}
			case c == '&':
				t.source = leadingEntity(s[i:])
			case c == '\n':
				t.source, t.kind = "\n", newline
			case c == ' ' || c == '\t':
				t.source, t.kind = s[i:i+1], space
			case strings.HasPrefix(s[i:], fenceMark):
				t.source = fenceMark
				if block || strings.Contains(s[i+len(fenceMark):], fenceMark) {
					t.kind, block = fence, !block
				}
			case c == '`' && !block && i >= code:
				t.source = "`"
				if n := strings.IndexAny(s[i+1:], "`\n"); n > 0 && s[i+1+n] == '`' {
					code = i + 1 + n
				}
			case c == 'h' && !block && i >= max(code, url) && !endsInWord(s[:i]):
				found, n := leadingURL(s[i:])
				if found != "" {
					if t = (token{link(found), found, markup}); units(t.text) <= maxToken {
						break
					}
				}
				t, url = token{kind: character}, i+n
				fallthrough
			default:
				_, n := utf8.DecodeRuneInString(s[i:])
				t.source = s[i : i+n]
			}
			if t.text == "" {
				t.text = t.source
			}
			i += len(t.source)
			if !yield(t) {
				return
			}
		}
	}
}

// leadingMarkup is the <...> that s begins with, or empty: a mention, a date, or a link. The
// text is what Slack is given of it: of a link, a target without spaces ("URLs with spaces will
// break"), as a template may have inserted them, and no words rather than blank ones.
func leadingMarkup(s string) (source, text string) {
	end := 1 + strings.IndexAny(s[1:], "<>")
	if end <= 1 || s[end] != '>' {
		return "", ""
	}
	source, text = s[:end+1], s[:end+1]
	target, words, _ := strings.Cut(s[1:end], "|")
	if !markupTarget.MatchString(target) {
		return "", ""
	}
	if !strings.ContainsRune("@#!", rune(target[0])) {
		text = "<" + withoutSpaces(target)
		if strings.TrimSpace(words) != "" {
			text += "|" + words
		}
		text += ">"
	}
	if units(text) > maxToken {
		return "", ""
	}
	return source, text
}

// withoutSpaces has the spaces of a URL encoded.
func withoutSpaces(url string) string {
	var encoded strings.Builder
	for _, r := range url {
		if !unicode.IsSpace(r) && !unicode.IsControl(r) {
			encoded.WriteRune(r)
			continue
		}
		for _, b := range []byte(string(r)) {
			fmt.Fprintf(&encoded, "%%%02X", b)
		}
	}
	return encoded.String()
}

var markupTarget = regexp.MustCompile(`^([@#!]|https?://|mailto:.+@|tel:|slack://).+$`)

// entities are all that Slack has.
var entities = [...]string{"&amp;", "&lt;", "&gt;"}

// leadingEntity is the entity that s begins with, else its &.
func leadingEntity(s string) string {
	for _, entity := range entities {
		if strings.HasPrefix(s, entity) {
			return entity
		}
	}
	return s[:1]
}

func endsInWord(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// units is how many characters Slack counts at most. It does not say what a character
// is: those of JavaScript, which are UTF-16, are never fewer than Unicode's.
func units(s string) (n int) {
	for _, r := range s {
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}

// characters is how many there are for a reader.
func characters(s string) int {
	n := utf8.RuneCountInString(s)
	for _, entity := range entities {
		n -= (len(entity) - 1) * strings.Count(s, entity)
	}
	return n
}
