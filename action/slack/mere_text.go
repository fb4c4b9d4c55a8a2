package slack

import (
	"strings"

	"github.com/slack-go/slack"
)

// misshapen are the errors that mean that Slack does not take a post because of its form: the
// same as mere text, it may.
// https://docs.slack.dev/reference/methods/chat.postMessage#errors
// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
var misshapen = map[string]bool{
	"attachment_payload_limit_exceeded": true,
	"invalid_attachments":               true,
	"invalid_blocks":                    true,
	"invalid_blocks_format":             true,
	"msg_blocks_too_long":               true,
	"too_many_attachments":              true,
}

// inSomeForm posts, and if Slack does not take the form, posts the same as mere text: no
// message is lost because of what it looks like. It returns what was posted last.
func (p post) inSomeForm(do func(post) error) (said post, err error) {
	err = do(p)
	if code := codeOf(err); misshapen[code] && len(p.attachments) > 0 {
		p = p.asText(code)
		err = do(p)
	}
	return p, err
}

// asText is all that a post says as mere text, which also says why it is.
func (p post) asText(why string) post {
	var lines []string
	for _, at := range p.attachments {
		for _, block := range at.Blocks.BlockSet {
			lines = append(lines, strings.Join(textsOf(block), "  "))
		}
	}
	return post{text: strings.Join(lines, "\n") + "\n_Slack has not taken it in blocks: " + escaper.Replace(why) + "_"}
}

// textsOf are the texts of one of our blocks.
func textsOf(block slack.Block) (texts []string) {
	switch b := block.(type) {
	case *slack.SectionBlock:
		texts = append(texts, b.Text.Text)
	case *slack.ContextBlock:
		for _, element := range b.ContextElements.Elements {
			texts = append(texts, element.(*slack.TextBlockObject).Text)
		}
	}
	return texts
}
