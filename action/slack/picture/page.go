package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"time"
)

// width is the picture's, in pixels of CSS.
const width = 760

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"mrkdwn": mrkdwn,
	"clock":  func(t time.Time) string { return t.Format("15:04") },
	"colour": func(s string) template.CSS { return template.CSS(s) }, // of our own making
}).Parse(pageSource))

// A message is as much of one as the picture shows.
type message struct {
	Time        time.Time
	Replies     int
	Text        string
	Attachments []struct {
		Color  string
		Blocks []struct {
			Type     string
			Text     struct{ Text string }
			Elements []struct{ Text string }
		}
	}
}

// page is messages in the look of Slack.
func page(source []byte, theme string) ([]byte, error) {
	var all []message
	if err := json.Unmarshal(source, &all); err != nil {
		return nil, err
	}
	for _, m := range all {
		for _, a := range m.Attachments {
			for _, b := range a.Blocks {
				if b.Type != "section" && b.Type != "context" {
					return nil, fmt.Errorf("the picture has no %s", b.Type)
				}
			}
		}
	}
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, map[string]any{"Theme": theme, "Width": width, "Messages": all})
	return out.Bytes(), err
}
