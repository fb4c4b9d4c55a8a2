package slacktest

import "fmt"

// richText is https://docs.slack.dev/reference/block-kit/blocks/rich-text-block:
// "An array of rich text objects - rich_text_section, rich_text_list,
// rich_text_preformatted, and rich_text_quote."
func (v *validator) richText(at string, value any) {
	elements := items(value)
	if len(elements) == 0 {
		v.add(at, "must be an array of 1 item or more")
	}
	for i, element := range elements {
		at := fmt.Sprintf("%s/%d", at, i)
		object, _ := element.(map[string]any)
		inner := items(object["elements"])
		if len(inner) == 0 {
			v.add(at+"/elements", "must be an array of 1 item or more")
		}
		switch object["type"] {
		case "rich_text_list":
			if style := object["style"]; style != "bullet" && style != "ordered" {
				v.add(at+"/style", "must be bullet or ordered")
			}
			v.richText(at+"/elements", object["elements"])
		case "rich_text_section", "rich_text_quote", "rich_text_preformatted":
			for j, e := range inner {
				v.richElement(fmt.Sprintf("%s/elements/%d", at, j), e)
			}
		default:
			v.add(at+"/type", "unsupported type: %v", object["type"])
		}
	}
}

// richKeys are the elements of a section and what each needs:
// https://docs.slack.dev/reference/block-kit/block-elements/rich-text-section-element
var richKeys = map[any]string{
	"broadcast": "range", "channel": "channel_id", "color": "value", "date": "timestamp", "emoji": "name",
	"link": "url", "text": "text", "user": "user_id", "usergroup": "usergroup_id",
}

func (v *validator) richElement(at string, element any) {
	object, _ := element.(map[string]any)
	key, ok := richKeys[object["type"]]
	switch {
	case !ok:
		v.add(at+"/type", "unsupported type: %v", object["type"])
	case object[key] == nil:
		v.add(at, "missing required field: %s", key)
	case key == "text":
		v.text(at+"/text", object["text"], 1, maxTextObject)
	}
}
