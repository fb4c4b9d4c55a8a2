package slacktest

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

const (
	// https://docs.slack.dev/reference/block-kit/blocks: "You can include up to 50
	// blocks in each message"; we count those of its attachments with them. The other
	// limits stand on each block's own page.
	maxBlocks       = 50
	maxBlockID      = 255
	maxTextObject   = 3000 // https://docs.slack.dev/reference/block-kit/composition-objects/text-object
	maxSectionText  = 3000
	maxFields       = 10
	maxFieldText    = 2000
	maxHeaderText   = 150
	maxElements     = 10 // of a context
	maxImageURL     = 3000
	maxAltText      = 2000
	maxImageTitle   = 2000
	maxMarkdownText = 12_000

	// maxBlocksText is how much all blocks of a message may say together, each
	// counted as its text and blockOverhead. Slack documents msg_blocks_too_long but
	// not its limit: one measured that 13,202 characters of text pass in one block,
	// https://github.com/metabase/metabase/pull/79908, another that 9,597 pass in 50
	// blocks and 11,341 fail in 45, https://github.com/slackapi/bolt-js/issues/2867.
	maxBlocksText = 13_200
	blockOverhead = 45
)

// A validator collects what is wrong with blocks, in the words of Slack's
// response_metadata.messages.
type validator struct {
	messages []string
	size     int // of all texts
	count    int // of blocks
	ids      []string
}

func (v *validator) add(at, format string, args ...any) {
	v.messages = append(v.messages, fmt.Sprintf("[ERROR] %s [json-pointer:%s]", fmt.Sprintf(format, args...), at))
}

// blocks validates those that the fake knows; any other is refused as an
// unsupported type, as Slack refuses what it does not know.
func (v *validator) blocks(at string, blocks []map[string]any) {
	if v.count += len(blocks); v.count > maxBlocks {
		v.add(at, "no more than %d items allowed", maxBlocks)
		return
	}
	for i, b := range blocks {
		at := fmt.Sprintf("%s/%d", at, i)
		v.size += blockOverhead
		v.blockID(at, b)
		switch b["type"] {
		case "section":
			v.section(at, b)
		case "header":
			v.keys(at, b, "text")
			v.textObject(at+"/text", b["text"], maxHeaderText, "plain_text")
		case "context":
			v.keys(at, b, "elements")
			v.context(at+"/elements", b["elements"])
		case "divider":
			v.keys(at, b)
		case "image":
			v.keys(at, b, "image_url", "slack_file", "alt_text", "title")
			v.image(at, b)
			if b["title"] != nil {
				v.textObject(at+"/title", b["title"], maxImageTitle, "plain_text")
			}
		case "markdown":
			v.keys(at, b, "text")
			v.text(at+"/text", b["text"], 1, maxMarkdownText)
		case "rich_text":
			v.keys(at, b, "elements")
			v.richText(at+"/elements", b["elements"])
		case nil:
			v.add(at, "missing required field: type")
		default:
			v.add(at+"/type", "unsupported type: %v", b["type"])
		}
	}
}

// keys refuses what a block has besides its type, its id, and these.
func (v *validator) keys(at string, object map[string]any, allowed ...string) {
	allowed = append(allowed, "type", "block_id")
	var other []string
	for key := range object {
		if !slices.Contains(allowed, key) {
			other = append(other, key)
		}
	}
	sort.Strings(other)
	for _, key := range other {
		v.add(at, "invalid additional property: %s", key)
	}
}

func (v *validator) blockID(at string, b map[string]any) {
	value, ok := b["block_id"]
	if !ok {
		return
	}
	id, _ := value.(string)
	switch {
	case id == "":
		v.add(at+"/block_id", "must be a string of 1 character or more")
	case characters(id) > maxBlockID:
		v.add(at+"/block_id", "must be less than %d characters", maxBlockID+1)
	case slices.Contains(v.ids, id):
		v.add(at+"/block_id", "must be unique within the message")
	}
	v.ids = append(v.ids, id)
}

// section is https://docs.slack.dev/reference/block-kit/blocks/section-block
func (v *validator) section(at string, b map[string]any) {
	v.keys(at, b, "text", "fields", "accessory", "expand")
	fields, isList := b["fields"].([]any)
	switch {
	case b["text"] == nil && b["fields"] == nil:
		v.add(at, "missing required field: text")
	case b["fields"] != nil && (!isList || len(fields) == 0):
		v.add(at+"/fields", "must be an array of 1 item or more")
	case len(fields) > maxFields:
		v.add(at+"/fields", "no more than %d items allowed", maxFields)
	}
	if b["text"] != nil {
		v.textObject(at+"/text", b["text"], maxSectionText, "mrkdwn", "plain_text")
	}
	for i, field := range fields {
		v.textObject(fmt.Sprintf("%s/fields/%d", at, i), field, maxFieldText, "mrkdwn", "plain_text")
	}
	if b["accessory"] != nil {
		if element, _ := b["accessory"].(map[string]any); element["type"] == nil {
			v.add(at+"/accessory", "missing required field: type")
		}
	}
	if _, ok := b["expand"].(bool); !ok && b["expand"] != nil {
		v.add(at+"/expand", "must be a boolean")
	}
}

// context is https://docs.slack.dev/reference/block-kit/blocks/context-block: "An
// array of image elements and text objects."
func (v *validator) context(at string, value any) {
	elements := items(value)
	switch {
	case len(elements) == 0:
		v.add(at, "must be an array of 1 item or more")
	case len(elements) > maxElements:
		v.add(at, "no more than %d items allowed", maxElements)
	}
	for i, element := range elements {
		at := fmt.Sprintf("%s/%d", at, i)
		if image, _ := element.(map[string]any); image["type"] == "image" {
			v.keys(at, image, "image_url", "slack_file", "alt_text")
			v.image(at, image)
			continue
		}
		v.textObject(at, element, maxTextObject, "mrkdwn", "plain_text")
	}
}

// image is https://docs.slack.dev/reference/block-kit/blocks/image-block
func (v *validator) image(at string, b map[string]any) {
	if b["image_url"] == nil && b["slack_file"] == nil {
		v.add(at, "missing required field: image_url")
	}
	if b["image_url"] != nil {
		v.text(at+"/image_url", b["image_url"], 1, maxImageURL)
	}
	v.text(at+"/alt_text", b["alt_text"], 1, maxAltText)
}

// textObject is https://docs.slack.dev/reference/block-kit/composition-objects/text-object
func (v *validator) textObject(at string, value any, most int, types ...string) {
	object, ok := value.(map[string]any)
	if !ok {
		v.add(at, "must be a text object")
		return
	}
	kind, _ := object["type"].(string)
	if !slices.Contains(types, kind) {
		v.add(at+"/type", "must be %s", strings.Join(types, " or "))
	}
	for key, value := range object {
		_, isBool := value.(bool)
		switch {
		case key == "type" || key == "text":
		// "only usable when type is plain_text", and mrkdwn
		case isBool && (key == "emoji" && kind == "plain_text" || key == "verbatim" && kind == "mrkdwn"):
		default:
			v.add(at, "invalid additional property: %s", key)
		}
	}
	v.text(at+"/text", object["text"], 1, most)
}

func (v *validator) text(at string, value any, least, most int) {
	text, ok := value.(string)
	n := characters(text)
	v.size += n
	switch {
	case !ok:
		v.add(at, "must be a string")
	case n < least, least > 0 && strings.TrimSpace(text) == "":
		// Of white space, Slack does not say; a client that would send it relies on luck.
		v.add(at, "must be more than %d characters", least-1)
	case n > most:
		v.add(at, "must be less than %d characters", most+1)
	}
}
