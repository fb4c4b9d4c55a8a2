package slacktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// An answer is what Slack replies.
type answer struct {
	status int
	header http.Header
	body   string
	lost   Fault // what becomes of the reply, while what was asked for is done
}

func (a answer) write(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	fmt.Fprint(w, a.body)
}

func jsonAnswer(fields map[string]any) answer {
	body, err := json.Marshal(fields)
	if err != nil {
		return plain(http.StatusInternalServerError, err.Error())
	}
	return answer{
		status: http.StatusOK, body: string(body) + "\n",
		header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
	}
}

// accepted is the reply to a request that has been carried out.
func accepted(fields map[string]any) answer {
	fields["ok"] = true
	return jsonAnswer(fields)
}

// refuse is the reply of the Web API to most that goes wrong: 200, ok: false.
// https://docs.slack.dev/apis/web-api#responses
func refuse(code string, messages ...string) answer {
	fields := map[string]any{"ok": false, "error": code}
	if len(messages) > 0 {
		fields["response_metadata"] = map[string]any{"messages": messages}
	}
	return jsonAnswer(fields)
}

func refusing(code string, messages ...string) *answer {
	a := refuse(code, messages...)
	return &a
}

// tooSoon is the reply to who posts too much: 429, with Retry-After in whole
// seconds. https://docs.slack.dev/apis/web-api/rate-limits
func tooSoon(wait time.Duration) answer {
	seconds := int((wait + time.Second - 1) / time.Second)
	a := refuse("ratelimited")
	a.status = http.StatusTooManyRequests
	a.header.Set("Retry-After", fmt.Sprint(seconds))
	return a
}

// plain is the reply of a webhook, and of all that is not the Web API.
func plain(code int, word string) answer {
	return answer{status: code, body: word, header: http.Header{"Content-Type": {"text/html"}}}
}
