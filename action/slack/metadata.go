package slack

import (
	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

// eventType marks the metadata of our messages.
// https://docs.slack.dev/messaging/message-metadata
const eventType = "journald_router"

// payload is what the metadata tells of the deliveries.
func payload(batch []action.Message) map[string]any {
	if len(batch) == 1 {
		return map[string]any{"id": batch[0].ID}
	}
	var ids []string
	for _, m := range batch {
		ids = append(ids, m.ID)
	}
	return map[string]any{"ids": ids}
}

// idsOf are the ids of the deliveries that a message is, or is part of; none if it is not
// ours. The first part is 1.
func idsOf(m slack.Message) (ids []string, part int) {
	if m.Metadata.EventType != eventType {
		return nil, 0
	}
	payload := m.Metadata.EventPayload
	part = 1
	if n, ok := payload["part"].(float64); ok {
		part = int(n)
	}
	if id, ok := payload["id"].(string); ok {
		return []string{id}, part
	}
	list, _ := payload["ids"].([]any)
	for _, one := range list {
		if id, ok := one.(string); ok {
			ids = append(ids, id)
		}
	}
	return ids, part
}
