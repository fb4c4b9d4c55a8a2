package slacktest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const (
	divider = `{"type":"divider"}`
	plain   = `{"type":"plain_text","text":"x"}`
)

// section is a section with n characters of text.
func section(n int) string {
	return fmt.Sprintf(`{"type":"section","text":{"type":"mrkdwn","text":%q}}`, strings.Repeat("é", n))
}

// list is a list of n items.
func list(item string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
}

func TestContent(t *testing.T) {
	payload := func(n int) string {
		// With event_type and the rest, n bytes of JSON.
		return fmt.Sprintf(`{"event_payload":{"x":%q},"event_type":"x"}`, strings.Repeat("x", n-len(`{"event_payload":{"x":""},"event_type":"x"}`)))
	}
	tests := []struct {
		name string
		args args
		want string
	}{
		{"text at the limit", args{"text": strings.Repeat("é", 40_000)}, ""},
		{"text over the limit", args{"text": strings.Repeat("é", 40_001)}, "msg_too_long"},
		{"text over the limit, in JavaScript's characters", args{"text": strings.Repeat("😀", 20_001)}, "msg_too_long"},
		{"blocks without text", args{"blocks": list(divider, 1)}, ""},
		{"blocks that are null", args{"text": "x", "blocks": "null"}, ""},
		{"blocks that are not JSON", args{"text": "x", "blocks": "nope"}, "invalid_blocks_format"},
		{"blocks that are no list", args{"text": "x", "blocks": divider}, "invalid_blocks_format"},
		{"no blocks", args{"blocks": "[]"}, "no_text"},
		{"four sections of the longest text", args{"blocks": list(section(3000), 4)}, ""},
		{"five of them", args{"blocks": list(section(3000), 5)}, "msg_blocks_too_long"},
		{"50 sections, as somebody posted", args{"blocks": list(section(9597/50), 50)}, ""},
		{"45 sections, as somebody could not", args{"blocks": list(section(11_341/45), 45)}, "msg_blocks_too_long"},
		{"five of them in attachments", args{"attachments": list(`{"blocks":[`+section(3000)+`]}`, 5)}, "msg_blocks_too_long"},

		{"attachment with blocks", args{"attachments": `[{"color":"#439FE0","fallback":"x","blocks":[` + section(1) + `]}]`}, ""},
		{"attachment of old", args{"attachments": `[{"color":"good","fallback":"x","title":"x","text":"x","fields":[],"ts":1}]`}, ""},
		{"attachment with no blocks", args{"attachments": `[{"text":"x","blocks":null}]`}, ""},
		{"100 attachments", args{"attachments": list(`{"text":"x"}`, 100)}, ""},
		{"101 attachments", args{"attachments": list(`{"text":"x"}`, 101)}, "too_many_attachments"},
		{"attachments that are not JSON", args{"attachments": "nope"}, "invalid_attachments"},
		{"attachments that are no list", args{"attachments": "{}"}, "invalid_attachments"},
		{"attachment with nothing", args{"attachments": "[{}]"}, "invalid_attachments: no_text at /attachments/0"},
		{"attachment with an empty list of blocks", args{"attachments": `[{"blocks":[]}]`}, "invalid_attachments: no_text at /attachments/0"},
		{"attachment with blank text", args{"attachments": `[{"text":" \n"}]`}, "invalid_attachments: no_text at /attachments/0"},
		{"attachment with an unknown field", args{"attachments": `[{"text":"x","indent":false}]`}, "invalid_attachments: invalid_keys at /attachments/0"},
		{"attachment with blocks and text", args{"attachments": `[{"text":"x","blocks":[` + divider + `]}]`}, "invalid_attachments: invalid_keys at /attachments/0"},
		{"colour", args{"attachments": `[{"text":"x","color":"red"}]`}, "invalid_attachments: must be good, warning, danger or a hex color code at /attachments/0/color"},
		{"colour that is none", args{"attachments": `[{"text":"x","color":"#ff"}]`}, "invalid_attachments: must be good, warning, danger or a hex color code at /attachments/0/color"},
		{"fallback", args{"attachments": `[{"fallback":1}]`}, "invalid_attachments: must be a string at /attachments/0/fallback"},
		{"blocks in an attachment that are no list", args{"attachments": `[{"blocks":[1]}]`}, "invalid_attachments: must be an array of objects at /attachments/0/blocks"},
		{"blocks in an attachment that are a word", args{"attachments": `[{"text":"x","blocks":"x"}]`}, "invalid_attachments: must be an array of objects at /attachments/0/blocks"},
		{"block in an attachment", args{"attachments": `[{"text":"x"},{"blocks":[` + section(3001) + `]}]`},
			"invalid_attachments: must be less than 3001 characters at /attachments/1/blocks/0/text/text"},

		{"50 blocks in attachments", args{"attachments": list(`{"blocks":`+list(divider, 25)+`}`, 2)}, ""},
		{"51 blocks in attachments", args{"attachments": list(`{"blocks":`+list(divider, 17)+`}`, 3)},
			"invalid_attachments: no more than 50 items allowed at /attachments/2/blocks"},

		{"metadata", args{"text": "x", "metadata": payload(100)}, ""},
		{"metadata at the limit", args{"text": "x", "metadata": payload(8192)}, ""},
		{"metadata over the limit", args{"text": "x", "metadata": payload(8193)}, "metadata_too_large"},
		{"metadata that is not JSON", args{"text": "x", "metadata": "nope"}, "invalid_metadata_format"},
		{"metadata without a type", args{"text": "x", "metadata": `{"event_payload":{}}`}, "invalid_metadata_format"},
		{"metadata with a type that is no word", args{"text": "x", "metadata": `{"event_type":"a b","event_payload":{}}`}, "invalid_metadata_format"},
		{"metadata without a payload", args{"text": "x", "metadata": `{"event_type":"x"}`}, "invalid_metadata_format"},
		{"metadata with a list", args{"text": "x", "metadata": `{"event_type":"x","event_payload":[]}`}, "invalid_metadata_format"},
		{"empty metadata", args{"text": "x", "metadata": `{}`}, "invalid_metadata_format"},
	}
	s := serve(t)
	for _, tt := range tests {
		tt.args["channel"] = "#growth"
		if r := call(t, s, "chat.postMessage", tt.args); said(r) != tt.want {
			t.Errorf("%s: %q, not %q", tt.name, said(r), tt.want)
		}
	}
}

// said is the error and its first message.
func said(r reply) string {
	if len(r.Metadata.Messages) == 0 {
		return r.Error
	}
	m := strings.TrimPrefix(r.Metadata.Messages[0], "[ERROR] ")
	return r.Error + ": " + strings.NewReplacer(" [json-pointer:", " at ", "]", "").Replace(m)
}

func TestBlocks(t *testing.T) {
	field := func(n int) string { return fmt.Sprintf(`{"type":"mrkdwn","text":%q}`, strings.Repeat("x", n)) }
	header := func(kind string, n int) string {
		return fmt.Sprintf(`{"type":"header","text":{"type":%q,"text":%q}}`, kind, strings.Repeat("x", n))
	}
	context := func(elements string) string { return `{"type":"context","elements":` + elements + `}` }
	image := func(more string) string { return `{"type":"image","image_url":"https://x.example/i.png"` + more + `}` }
	rich := func(elements string) string { return `{"type":"rich_text","elements":` + elements + `}` }
	richSection := func(element string) string {
		return rich(`[{"type":"rich_text_section","elements":[` + element + `]}]`)
	}
	id := func(n int) string {
		return fmt.Sprintf(`{"type":"divider","block_id":%q}`, strings.Repeat("x", n))
	}
	tests := []struct {
		name, blocks string
		want         string // behind invalid_blocks
	}{
		{"50 blocks", list(divider, 50), ""},
		{"51 blocks", list(divider, 51), "no more than 50 items allowed at /blocks"},
		{"no type", `[{}]`, "missing required field: type at /blocks/0"},
		{"unknown type", `[{"type":"spinner"}]`, "unsupported type: spinner at /blocks/0/type"},
		{"the second", `[` + divider + `,{"type":"spinner"}]`, "unsupported type: spinner at /blocks/1/type"},
		{"unknown field", `[{"type":"divider","text":"x"}]`, "invalid additional property: text at /blocks/0"},
		{"block_id", "[" + id(255) + "]", ""},
		{"block_id too long", "[" + id(256) + "]", "must be less than 256 characters at /blocks/0/block_id"},
		{"block_id empty", "[" + id(0) + "]", "must be a string of 1 character or more at /blocks/0/block_id"},
		{"block_id twice", list(id(1), 2), "must be unique within the message at /blocks/1/block_id"},

		{"section", "[" + section(3000) + "]", ""},
		{"section too long", "[" + section(3001) + "]", "must be less than 3001 characters at /blocks/0/text/text"},
		{"section too short", "[" + section(0) + "]", "must be more than 0 characters at /blocks/0/text/text"},
		{"section of white space", `[{"type":"section","text":{"type":"mrkdwn","text":" \n\u00a0"}}]`, "must be more than 0 characters at /blocks/0/text/text"},
		{"section without text", `[{"type":"section"}]`, "missing required field: text at /blocks/0"},
		{"section with a string", `[{"type":"section","text":"x"}]`, "must be a text object at /blocks/0/text"},
		{"section with a number", `[{"type":"section","text":{"type":"mrkdwn","text":1}}]`, "must be a string at /blocks/0/text/text"},
		{"section of another type", `[{"type":"section","text":{"type":"html","text":"x"}}]`, "must be mrkdwn or plain_text at /blocks/0/text/type"},
		{"fields", `[{"type":"section","fields":` + list(field(1000), 10) + `}]`, ""},
		{"field at the limit", `[{"type":"section","fields":[` + field(2000) + `]}]`, ""},
		{"field too long", `[{"type":"section","fields":[` + field(1) + "," + field(2001) + `]}]`, "must be less than 2001 characters at /blocks/0/fields/1/text"},
		{"11 fields", `[{"type":"section","fields":` + list(field(1), 11) + `}]`, "no more than 10 items allowed at /blocks/0/fields"},
		{"no fields", `[{"type":"section","fields":[]}]`, "must be an array of 1 item or more at /blocks/0/fields"},
		{"expand", `[{"type":"section","text":` + plain + `,"expand":true}]`, ""},
		{"expand that is none", `[{"type":"section","text":` + plain + `,"expand":1}]`, "must be a boolean at /blocks/0/expand"},
		{"accessory", `[{"type":"section","text":` + plain + `,"accessory":{"type":"button"}}]`, ""},
		{"accessory without a type", `[{"type":"section","text":` + plain + `,"accessory":{}}]`, "missing required field: type at /blocks/0/accessory"},
		{"verbatim", `[{"type":"section","text":{"type":"mrkdwn","text":"x","verbatim":true}}]`, ""},
		{"verbatim without mark-up", `[{"type":"section","text":{"type":"plain_text","text":"x","verbatim":true}}]`, "invalid additional property: verbatim at /blocks/0/text"},
		{"emoji", `[{"type":"section","text":{"type":"plain_text","text":"x","emoji":true}}]`, ""},
		{"emoji with mark-up", `[{"type":"section","text":{"type":"mrkdwn","text":"x","emoji":true}}]`, "invalid additional property: emoji at /blocks/0/text"},

		{"header", "[" + header("plain_text", 150) + "]", ""},
		{"header too long", "[" + header("plain_text", 151) + "]", "must be less than 151 characters at /blocks/0/text/text"},
		{"header with mark-up", "[" + header("mrkdwn", 1) + "]", "must be plain_text at /blocks/0/text/type"},
		{"header without text", `[{"type":"header"}]`, "must be a text object at /blocks/0/text"},

		{"context", "[" + context(list(plain, 10)) + "]", ""},
		{"context with an image", "[" + context("["+image(`,"alt_text":"x"`)+"]") + "]", ""},
		{"context with an image without words", "[" + context("["+image("")+"]") + "]", "must be a string at /blocks/0/elements/0/alt_text"},
		{"context at the limit", "[" + context("["+field(3000)+"]") + "]", ""},
		{"context too long", "[" + context("["+field(3001)+"]") + "]", "must be less than 3001 characters at /blocks/0/elements/0/text"},
		{"context of 11", "[" + context(list(plain, 11)) + "]", "no more than 10 items allowed at /blocks/0/elements"},
		{"context of nothing", "[" + context("[]") + "]", "must be an array of 1 item or more at /blocks/0/elements"},

		{"image", "[" + image(`,"alt_text":"x","title":`+plain) + "]", ""},
		{"image without words", "[" + image("") + "]", "must be a string at /blocks/0/alt_text"},
		{"image with long words", "[" + image(`,"alt_text":"`+strings.Repeat("x", 2001)+`"`) + "]", "must be less than 2001 characters at /blocks/0/alt_text"},
		{"image from nowhere", `[{"type":"image","alt_text":"x"}]`, "missing required field: image_url at /blocks/0"},

		{"markdown", `[{"type":"markdown","text":"` + strings.Repeat("x", 12_000) + `"}]`, ""},
		{"markdown too long", `[{"type":"markdown","text":"` + strings.Repeat("x", 12_001) + `"}]`, "must be less than 12001 characters at /blocks/0/text"},

		{"rich text", "[" + richSection(`{"type":"text","text":"x"},{"type":"link","url":"https://x.example"},{"type":"user","user_id":"U1"}`) + "]", ""},
		{"rich list", "[" + rich(`[{"type":"rich_text_list","style":"bullet","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"x"}]}]}]`) + "]", ""},
		{"rich list without style", "[" + rich(`[{"type":"rich_text_list","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"x"}]}]}]`) + "]", "must be bullet or ordered at /blocks/0/elements/0/style"},
		{"rich text of nothing", "[" + rich("[]") + "]", "must be an array of 1 item or more at /blocks/0/elements"},
		{"rich section of nothing", "[" + richSection("") + "]", "must be an array of 1 item or more at /blocks/0/elements/0/elements"},
		{"rich text of another type", "[" + rich(`[{"type":"section","elements":[1]}]`) + "]", "unsupported type: section at /blocks/0/elements/0/type"},
		{"rich element of another type", "[" + richSection(`{"type":"section"}`) + "]", "unsupported type: section at /blocks/0/elements/0/elements/0/type"},
		{"rich link to nowhere", "[" + richSection(`{"type":"link"}`) + "]", "missing required field: url at /blocks/0/elements/0/elements/0"},
		{"rich text without text", "[" + richSection(`{"type":"text","text":""}`) + "]", "must be more than 0 characters at /blocks/0/elements/0/elements/0/text"},
	}
	s := serve(t)
	for _, tt := range tests {
		if !json.Valid([]byte(tt.blocks)) {
			t.Fatalf("%s: no JSON: %s", tt.name, tt.blocks)
		}
		want := ""
		if tt.want != "" {
			want = "invalid_blocks: " + tt.want
		}
		if r := call(t, s, "chat.postMessage", args{"channel": "#growth", "blocks": tt.blocks}); said(r) != want {
			t.Errorf("%s: %q, not %q", tt.name, said(r), want)
		}
	}
}
