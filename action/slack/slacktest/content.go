package slacktest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
)

const (
	// maxText is how many characters a message may have. Slack itself cuts the text
	// there, with a warning: https://docs.slack.dev/changelog/2018-04-truncating-really-long-messages
	maxText = 40_000
	// maxUpdate is the same for an update, where Slack refuses: "The text field
	// cannot exceed 4,000 characters." https://docs.slack.dev/reference/methods/chat.update#errors
	maxUpdate = 4000
	// maxAttachments: "A maximum of 100 attachments are allowed on a message."
	// https://docs.slack.dev/reference/methods/chat.postMessage#errors
	maxAttachments = 100
	// maxMetadata is in bytes of JSON: https://docs.slack.dev/messaging/message-metadata
	maxMetadata = 8 << 10
)

// content is what a message says, as it came.
type content struct {
	text                                   string
	blocks, attachments                    []map[string]any
	metadata                               metadata
	hasBlocks, hasAttachments, hasMetadata bool
}

type metadata struct {
	Type    string         `json:"event_type"`
	Payload map[string]any `json:"event_payload"`
}

// empty tells that there is nothing to show.
func (c content) empty() bool {
	return strings.TrimSpace(c.text) == "" && len(c.blocks) == 0 && len(c.attachments) == 0
}

// characters counts as JavaScript does. Slack does not say what a character is; in
// no other way of counting Unicode's are there more.
func characters(s string) (n int) {
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// A problem is Slack's word for what is wrong with a message, and more words.
type problem struct {
	code     string
	messages []string
}

func (p *problem) answer() answer { return refuse(p.code, p.messages...) }

// readContent reads what a request wants to say, and validates it as Slack does.
func readContent(r request, maxText int) (content, *problem) {
	c := content{text: r.text("text")}
	if characters(c.text) > maxText {
		return c, &problem{code: "msg_too_long"}
	}
	var err error
	if c.hasBlocks, err = r.object("blocks", &c.blocks); err != nil {
		return c, &problem{code: "invalid_blocks_format"}
	}
	var v validator
	if v.blocks("/blocks", c.blocks); len(v.messages) > 0 {
		return c, &problem{"invalid_blocks", v.messages}
	}
	if c.hasAttachments, err = r.object("attachments", &c.attachments); err != nil {
		return c, &problem{code: "invalid_attachments"}
	}
	if len(c.attachments) > maxAttachments {
		return c, &problem{code: "too_many_attachments"}
	}
	for i, a := range c.attachments {
		v.attachment(fmt.Sprintf("/attachments/%d", i), a)
	}
	switch {
	case len(v.messages) > 0:
		return c, &problem{"invalid_attachments", v.messages}
	case v.size > maxBlocksText:
		return c, &problem{code: "msg_blocks_too_long"}
	}
	return c, c.readMetadata(r)
}

var eventType = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// readMetadata follows https://docs.slack.dev/messaging/message-metadata. An empty
// object removes what chat.update finds.
func (c *content) readMetadata(r request) *problem {
	var raw map[string]any
	there, err := r.object("metadata", &raw)
	switch {
	case err != nil:
		return &problem{code: "invalid_metadata_format"}
	case !there:
		return nil
	}
	c.hasMetadata = true
	if len(raw) == 0 && r.method == "chat.update" {
		return nil
	}
	b, err := json.Marshal(raw)
	if err == nil {
		err = json.Unmarshal(b, &c.metadata)
	}
	switch {
	case err != nil || !eventType.MatchString(c.metadata.Type) || c.metadata.Payload == nil:
		return &problem{code: "invalid_metadata_format"}
	case size(r.args["metadata"], b) > maxMetadata:
		return &problem{code: "metadata_too_large"}
	}
	return nil
}

// size is that of JSON as it came in a form, or else as we write it.
func size(arg any, written []byte) int {
	if came, ok := arg.(string); ok {
		return len(came)
	}
	return len(written)
}

var color = regexp.MustCompile(`^(good|warning|danger|#?[0-9A-Fa-f]{6})$`)

// The fields of an attachment:
// https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
var attachmentKeys = map[string]bool{
	"blocks": true, "color": true, "fallback": true,
	"author_icon": true, "author_link": true, "author_name": true, "callback_id": true, "fields": true, "footer": true,
	"footer_icon": true, "image_url": true, "mrkdwn_in": true, "pretext": true, "text": true, "thumb_url": true,
	"title": true, "title_link": true, "ts": true, "actions": true, "attachment_type": true,
}

// attachment validates one secondary attachment. With blocks, it has nothing but
// colour and fallback besides: see https://github.com/slack-go/slack/issues/826
func (v *validator) attachment(at string, a map[string]any) {
	blocks, isList := a["blocks"].([]any)
	for key, value := range a {
		switch {
		case !attachmentKeys[key], len(blocks) > 0 && key != "blocks" && key != "color" && key != "fallback" && value != nil:
			v.add(at, "invalid_keys")
		}
	}
	if value, ok := a["color"]; ok {
		if text, _ := value.(string); !color.MatchString(text) {
			v.add(at+"/color", "must be good, warning, danger or a hex color code")
		}
	}
	for _, key := range []string{"fallback", "text", "pretext", "title"} {
		if value := a[key]; value != nil {
			if _, ok := value.(string); !ok {
				v.add(at+"/"+key, "must be a string")
			}
		}
	}
	text, _ := a["text"].(string)
	switch list := objects(a["blocks"]); {
	case a["blocks"] != nil && !isList, len(list) != len(blocks):
		v.add(at+"/blocks", "must be an array of objects")
	case len(list) > 0:
		v.blocks(at+"/blocks", list)
	case strings.TrimSpace(text) == "" && a["fallback"] == nil && a["pretext"] == nil && a["title"] == nil && a["fields"] == nil && a["image_url"] == nil:
		v.add(at, "no_text")
	}
}
