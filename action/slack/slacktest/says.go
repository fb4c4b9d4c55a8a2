package slacktest

import "strings"

// Says is what the message says: its text, or else the texts of the sections in its
// attachments, one below the other. What stands small below a section is left out.
func (m Message) Says() string {
	if m.Text != "" {
		return m.Text
	}
	var texts []string
	for _, attachment := range m.Attachments {
		blocks, _ := attachment["blocks"].([]any)
		for _, b := range blocks {
			block, _ := b.(map[string]any)
			text, _ := block["text"].(map[string]any)
			if s, ok := text["text"].(string); ok && block["type"] == "section" {
				texts = append(texts, s)
			}
		}
	}
	return strings.Join(texts, "\n")
}
