package main

import (
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// mark-up that messages.json has, of https://docs.slack.dev/messaging/formatting-message-text:
// a date, a link with words or without, a mention, code, bold, italics.
var markup = regexp.MustCompile("<!date\\^(\\d+)\\^[^|>]*\\|[^>]*>|<(https?://[^|>]*)(?:\\|([^>]*))?>|<!(here|channel)>|`([^`]+)`|\\*([^*\\s][^*]*)\\*|\\b_([^_]+)_\\b")

// mrkdwn is a text as Slack shows it. The entities that are in it are HTML's, too.
func mrkdwn(text string) template.HTML {
	var b strings.Builder
	at := 0
	for _, m := range markup.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(text[at:m[0]])
		at = m[1]
		group := func(n int) string {
			if m[2*n] < 0 {
				return ""
			}
			return text[m[2*n]:m[2*n+1]]
		}
		switch {
		case group(1) != "":
			seconds, _ := strconv.ParseInt(group(1), 10, 64)
			b.WriteString("Today " + time.Unix(seconds, 0).UTC().Format("15:04:05"))
		case group(3) != "":
			b.WriteString("<a>" + group(3) + "</a>")
		case group(2) != "":
			b.WriteString("<a>" + group(2) + "</a>")
		case group(4) != "":
			b.WriteString("<em class=mention>@" + group(4) + "</em>")
		case group(5) != "":
			b.WriteString("<code>" + group(5) + "</code>")
		case group(6) != "":
			b.WriteString("<b>" + group(6) + "</b>")
		case group(7) != "":
			b.WriteString("<i>" + group(7) + "</i>")
		}
	}
	b.WriteString(text[at:])
	return template.HTML(strings.ReplaceAll(b.String(), "\n", "<br>"))
}
