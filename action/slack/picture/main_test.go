package main

import (
	"bytes"
	"image/png"
	"os"
	"strings"
	"testing"
)

// TestPictures: the pictures in the tree show the messages in the tree, which a test of
// package slack compares with what is posted.
func TestPictures(t *testing.T) {
	for _, path := range pictures {
		encoded, err := os.ReadFile("../../../" + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := stampOf(encoded)
		if err != nil || got != hash(messages) {
			t.Errorf("%s is of other messages (%v): run scripts/slack-picture", path, err)
		}
		image, err := png.Decode(bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		if b := image.Bounds(); b.Dx() != 2*width || b.Dy() < 500 || len(encoded) > 150<<10 {
			t.Errorf("%s: %v in %d bytes", path, b, len(encoded))
		}
	}
}

func TestMrkdwn(t *testing.T) {
	for text, want := range map[string]string{
		"a &lt;b&gt; &amp;":        "a &lt;b&gt; &amp;",
		"*x*: `y` _z_ a_b_c 2*3*4": "<b>x</b>: <code>y</code> <i>z</i> a_b_c 2<b>3</b>4",
		"<https://a.example>|<https://a.example/?x=1&amp;y|the *shop*>": "<a>https://a.example</a>|<a>the *shop*</a>",
		"<!here>\n<!date^1772460202^{date_short_pretty} {time_secs}|x>": "<em class=mention>@here</em><br>Today 14:03:22",
	} {
		if got := string(mrkdwn(text)); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestPage(t *testing.T) {
	html, err := page(messages, "dark")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<body class="dark">`, "--bar: #e01e5a", "<code>journalctl --cursor=", "<b>16 replies</b>"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if _, err := page([]byte(`[{"attachments": [{"blocks": [{"type": "divider"}]}]}]`), "dark"); err == nil {
		t.Error("a block that the page cannot show was left out")
	}
}

func TestStampOf(t *testing.T) {
	for _, encoded := range []string{"", "\x89PNG", strings.Repeat("x", 100)} {
		if got, err := stampOf([]byte(encoded)); err == nil {
			t.Errorf("%q: %q", encoded, got)
		}
	}
}
