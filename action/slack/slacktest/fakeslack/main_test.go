package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/journald-router/journald-router/action/slack/slacktest"
)

func TestAppendTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	blocks := []map[string]any{{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": "of a section"}}}
	for _, m := range []slacktest.Message{{Channel: "#a", Text: "two\nlines <b>", ID: "1"}, {Channel: "#b"}, {Channel: "#c", Blocks: blocks}} {
		if err := appendTo(log, m); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"channel":"#a","text":"two\nlines \u003cb\u003e","id":"1"}` + "\n" + `{"channel":"#b","text":"","id":""}` + "\n" +
		`{"channel":"#c","text":"of a section","id":""}` + "\n"
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
