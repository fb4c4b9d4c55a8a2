package slacktest

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxText is how many characters a message may have. Slack itself cuts the text
// there without a word; a test wants to know.
const maxText = 40_000

// A request is what a client sent, in either of the forms that Slack takes.
type request struct {
	contentType string
	body        []byte
	token       string
	args        map[string]any // strings, and whatever else JSON holds
	argsErr     string         // Slack's word for why they could not be read
}

func read(r *http.Request) (request, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return request{}, err
	}
	req := request{body: body, args: map[string]any{}}
	req.contentType, _, _ = mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch req.contentType {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			req.argsErr = "invalid_form_data"
		}
		for name, values := range form {
			req.args[name] = values[0]
		}
		req.token = form.Get("token")
	case "application/json":
		if err := json.Unmarshal(body, &req.args); err != nil {
			req.argsErr = "invalid_json"
		}
	case "":
		req.argsErr = "missing_post_type"
	default:
		req.argsErr = "invalid_post_type"
	}
	// With JSON, the token comes in the header only.
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		req.token = bearer
	}
	return req, nil
}

func (r request) text(name string) string {
	s, _ := r.args[name].(string)
	return s
}

// object returns an argument that is JSON: as a string in a form, else as it is.
func (r request) object(name string, into any) (there bool, err error) {
	arg, ok := r.args[name]
	if !ok {
		return false, nil
	}
	b, isText := arg.(string)
	if !isText {
		raw, err := json.Marshal(arg)
		if err != nil {
			return true, err
		}
		b = string(raw)
	}
	return true, json.Unmarshal([]byte(b), into)
}

func (r request) attachments() (all []map[string]any) {
	r.object("attachments", &all)
	return all
}

// auth answers and returns false where the token is not good.
func (s *Slack) auth(w http.ResponseWriter, r request) bool {
	switch r.token {
	case s.Token:
		return true
	case "":
		refuse(w, "not_authed")
	default:
		refuse(w, "invalid_auth")
	}
	return false
}

func (s *Slack) authTest(w http.ResponseWriter, r request) {
	if s.auth(w, r) {
		w.Header().Set("X-OAuth-Scopes", s.Scopes)
		reply(w, map[string]any{"ok": true, "team": "Fake", "user": "router", "team_id": "T00000000", "user_id": "U00000000", "bot_id": "B00000000"})
	}
}

func (s *Slack) postMessage(w http.ResponseWriter, r request) {
	if r.argsErr != "" {
		refuse(w, r.argsErr)
		return
	}
	if !s.auth(w, r) {
		return
	}
	channel, text := r.text("channel"), r.text("text")
	if channel == "" || s.Channels != nil && !slices.Contains(s.Channels, channel) {
		refuse(w, "channel_not_found")
		return
	}
	var metadata struct {
		Type    string         `json:"event_type"`
		Payload map[string]any `json:"event_payload"`
	}
	if there, err := r.object("metadata", &metadata); there && (err != nil || metadata.Type == "" || metadata.Payload == nil) {
		refuse(w, "invalid_metadata_format")
		return
	}
	if problem := checkContent(r, text); problem != "" {
		refuse(w, problem)
		return
	}
	id, _ := metadata.Payload["id"].(string)
	timestamp, err := s.accept(Message{Channel: channel, Text: text, ID: id, ThreadTS: r.text("thread_ts"), Attachments: r.attachments()})
	if err != nil {
		refuse(w, "internal_error")
		return
	}
	reply(w, map[string]any{
		"ok": true, "channel": channelID(channel), "ts": timestamp,
		"message": map[string]any{"type": "message", "subtype": "bot_message", "text": text, "ts": timestamp, "bot_id": "B00000000"},
	})
}

// checkContent returns Slack's word for what is wrong with text and blocks.
func checkContent(r request, text string) (problem string) {
	var blocks []struct {
		Type string `json:"type"`
	}
	hasBlocks, err := r.object("blocks", &blocks)
	if err != nil {
		return "invalid_blocks_format"
	}
	for _, b := range blocks {
		if b.Type == "" {
			return "invalid_blocks"
		}
	}
	switch {
	case !hasBlocks && len(r.attachments()) == 0 && strings.TrimSpace(text) == "":
		return "no_text"
	case utf8.RuneCountInString(text) > maxText:
		return "msg_too_long"
	}
	return ""
}

// webhook answers in the way of incoming webhooks: a status and one word.
func (s *Slack) webhook(w http.ResponseWriter, httpReq *http.Request, r request) {
	team, wantTeam := pathWithoutToken(httpReq.URL.Path), pathWithoutToken(WebhookPath)
	if form, ok := r.args["payload"].(string); ok && r.contentType == "application/x-www-form-urlencoded" {
		r.args = map[string]any{}
		if json.Unmarshal([]byte(form), &r.args) != nil {
			r.argsErr = "invalid_json"
		}
	}
	switch {
	case team != wantTeam:
		plain(w, http.StatusNotFound, "no_service")
	case httpReq.URL.Path != WebhookPath:
		plain(w, http.StatusForbidden, "invalid_token")
	case httpReq.Method != http.MethodPost || r.argsErr != "" || len(r.args) == 0:
		plain(w, http.StatusBadRequest, "invalid_payload")
	default:
		text := r.text("text")
		if problem := checkContent(r, text); problem != "" {
			plain(w, http.StatusBadRequest, problem)
			return
		}
		if _, err := s.accept(Message{Channel: WebhookChannel, Text: text, Attachments: r.attachments()}); err != nil {
			plain(w, http.StatusInternalServerError, "rollup_error")
			return
		}
		plain(w, http.StatusOK, "ok")
	}
}

func pathWithoutToken(path string) string {
	return path[:strings.LastIndexByte(path, '/')]
}

// channelID is an id for a channel that is known by name.
func channelID(channel string) string {
	if !strings.HasPrefix(channel, "#") {
		return channel
	}
	h := fnv.New32a()
	io.WriteString(h, channel)
	return fmt.Sprintf("C%08X", h.Sum32())
}

func refuse(w http.ResponseWriter, code string) {
	reply(w, map[string]any{"ok": false, "error": code})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(v)
}

func plain(w http.ResponseWriter, code int, word string) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(code)
	io.WriteString(w, word)
}
