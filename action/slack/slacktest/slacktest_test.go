package slacktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

const (
	form     = "application/x-www-form-urlencoded"
	jsonType = "application/json; charset=utf-8"
	bearer   = "Bearer " + slacktest.Token
)

// args are the arguments of a method.
type args map[string]string

// reply is what is of interest in any method's answer.
type reply struct {
	OK               bool
	Error            string
	Needed, Provided string
	TS               string
	Channel          any // an id, or an object
	Message          shown
	Messages         []shown
	HasMore          bool `json:"has_more"`
	Channels         []struct{ ID, Name string }
	Files            []struct{ ID, Title string }
	UploadURL        string `json:"upload_url"`
	FileID           string `json:"file_id"`
	Metadata         struct {
		Messages   []string
		NextCursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

// shown is a message as a method shows it.
type shown struct {
	TS, Text, User, Subtype string
	ThreadTS                string `json:"thread_ts"`
	ReplyCount              int    `json:"reply_count"`
	Attachments             []map[string]any
	Files                   []struct{ ID, Name string }
	Metadata                struct {
		Type    string         `json:"event_type"`
		Payload map[string]any `json:"event_payload"`
	}
}

// call calls a method with a form, as a client with the token.
func call(t *testing.T, s *slacktest.Server, method string, a args) reply {
	t.Helper()
	values := url.Values{}
	for name, value := range a {
		values.Set(name, value)
	}
	status, body := send(t, s.APIURL()+method, form, bearer, values.Encode())
	var r reply
	if err := json.Unmarshal([]byte(body), &r); err != nil || status != http.StatusOK && r.OK {
		t.Fatalf("%s: %d %s: %v", method, status, body, err)
	}
	return r
}

// post posts to #growth and returns the timestamp.
func post(t *testing.T, s *slacktest.Server, text, threadTS string) (ts string) {
	t.Helper()
	r := call(t, s, "chat.postMessage", args{"channel": "#growth", "text": text, "thread_ts": threadTS})
	if !r.OK {
		t.Fatalf("post %q: %s", text, r.Error)
	}
	return r.TS
}

func send(t *testing.T, address, contentType, auth, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", auth)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func serve(t *testing.T) *slacktest.Server {
	s := slacktest.NewServer()
	t.Cleanup(s.Close)
	return s
}

// The forms of a request, and what is refused before a method is asked.
func TestRequests(t *testing.T) {
	const good = "token=" + slacktest.Token + "&channel=%23growth&text=hello"
	const multi = "--x\r\nContent-Disposition: form-data; name=channel\r\n\r\n#growth\r\n--x\r\nContent-Disposition: form-data; name=text\r\n\r\nhello\r\n--x--\r\n"
	tests := []struct {
		name              string
		path, contentType string
		auth, body        string
		status            int
		answer            string // the error's code; "" is accepted
		id                string
	}{
		{name: "form", contentType: form, body: good, status: 200},
		{name: "form, token as header", contentType: form, auth: bearer, body: "channel=%23growth&text=hello", status: 200},
		{name: "multipart form", contentType: "multipart/form-data; boundary=x", auth: bearer, body: multi, status: 200},
		{name: "JSON", contentType: jsonType, auth: bearer, body: `{"channel":"#growth","text":"hello"}`, status: 200},
		{name: "metadata in a form", contentType: form, status: 200, id: "42",
			body: good + "&metadata=" + url.QueryEscape(`{"event_type":"x","event_payload":{"id":"42"}}`)},
		{name: "metadata in JSON", contentType: jsonType, auth: bearer, status: 200, id: "42",
			body: `{"channel":"#growth","text":"hello","metadata":{"event_type":"x","event_payload":{"id":"42"}}}`},
		{name: "an argument that Slack does not know", contentType: form, body: good + "&colour=red", status: 200},

		{name: "no token", contentType: form, body: "channel=%23growth&text=hello", status: 200, answer: "not_authed"},
		{name: "JSON, token in the body", contentType: jsonType, body: `{"token":"` + slacktest.Token + `","channel":"#growth","text":"hello"}`, status: 200, answer: "not_authed"},
		{name: "wrong token", contentType: form, body: "token=xoxb-1&channel=%23growth&text=hello", status: 200, answer: "invalid_auth"},
		{name: "bad JSON", contentType: jsonType, auth: bearer, body: `{`, status: 200, answer: "invalid_json"},
		{name: "bad form", contentType: form, auth: bearer, body: "a=%zz", status: 200, answer: "invalid_form_data"},
		{name: "bad multipart form", contentType: "multipart/form-data; boundary=x", auth: bearer, body: "--y", status: 200, answer: "invalid_form_data"},
		{name: "no type", body: good, status: 200, answer: "missing_post_type"},
		{name: "other type", contentType: "text/csv", body: good, status: 200, answer: "invalid_post_type"},
		{name: "unknown method", path: "/api/chat.nope", contentType: form, body: good, status: 200, answer: "unknown_method"},
		{name: "not the API", path: "/index.html", contentType: form, body: good, status: 404, answer: "404 page not found"},
		{name: "JSON for a method that takes none", path: "/api/conversations.replies", contentType: jsonType, auth: bearer,
			body: `{"channel":"` + slacktest.ChannelID("#growth") + `"}`, status: 200, answer: "channel_not_found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t)
			path := tt.path
			if path == "" {
				path = "/api/chat.postMessage"
			}
			status, body := send(t, strings.TrimSuffix(s.APIURL(), "/api/")+path, tt.contentType, tt.auth, tt.body)
			said := body
			var r reply
			if json.Unmarshal([]byte(body), &r) == nil {
				said = r.Error
			}
			if status != tt.status || said != tt.answer || r.OK != (tt.answer == "") {
				t.Errorf("%d %s, want %d %s", status, body, tt.status, tt.answer)
			}
			var want []slacktest.Message
			if tt.answer == "" {
				want = []slacktest.Message{{Channel: "#growth", Text: "hello", ID: tt.id, TS: r.TS}}
			}
			ignore := cmpopts.IgnoreFields(slacktest.Message{}, "Time", "Metadata", "EventType")
			if diff := cmp.Diff(want, s.Messages(), ignore, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("accepted (-want +got):\n%s", diff)
			}
			if s.Requests() != 1 || s.RequestsTo(strings.TrimPrefix(path, "/api/")) != 1 && tt.status == 200 {
				t.Errorf("%d requests", s.Requests())
			}
		})
	}
}

// Reading methods take their arguments from the address, too.
func TestGet(t *testing.T) {
	s := serve(t)
	ts := post(t, s, "hello", "")
	resp, err := http.Get(s.APIURL() + "conversations.history?token=" + slacktest.Token + "&channel=" + slacktest.ChannelID("#growth"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var r reply
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil || len(r.Messages) != 1 || r.Messages[0].TS != ts {
		t.Errorf("%+v %v", r, err)
	}
}

func TestScopes(t *testing.T) {
	growth := slacktest.ChannelID("#growth")
	tests := []struct {
		method string
		args   args
		needed string
	}{
		{"chat.postMessage", args{"channel": "#growth", "text": "x"}, "chat:write"},
		{"chat.update", args{"channel": growth, "ts": "1", "text": "x"}, "chat:write"},
		{"conversations.history", args{"channel": growth}, "channels:history"},
		{"conversations.replies", args{"channel": growth, "ts": "1"}, "channels:history"},
		{"conversations.list", args{}, "channels:read"},
		{"conversations.list", args{"types": "private_channel"}, "groups:read"},
		{"conversations.info", args{"channel": growth}, "channels:read"},
		{"conversations.info", args{"channel": slacktest.ChannelID("#secret")}, "groups:read"},
		{"conversations.history", args{"channel": slacktest.ChannelID("#secret")}, "groups:history"},
		{"files.getUploadURLExternal", args{"filename": "a", "length": "1"}, "files:write"},
		{"files.completeUploadExternal", args{"files": "[]"}, "files:write"},
	}
	for _, tt := range tests {
		s := serve(t)
		s.Private("#secret", true)
		var others []string
		for _, scope := range strings.Split(slacktest.Scopes, ",") {
			if scope != tt.needed {
				others = append(others, scope)
			}
		}
		s.Scopes = strings.Join(others, ", ")
		r := call(t, s, tt.method, tt.args)
		if r.Error != "missing_scope" || r.Needed != tt.needed || r.Provided != s.Scopes {
			t.Errorf("%s without %s: %+v", tt.method, tt.needed, r)
		}
	}
	s := serve(t)
	s.Scopes = ""
	if r := call(t, s, "conversations.history", args{"channel": growth}); r.Error != "missing_scope" || r.Needed != "channels:history,groups:history" {
		t.Errorf("no scope at all: %+v", r)
	}
	if r := call(t, s, "auth.test", nil); !r.OK {
		t.Errorf("auth.test needs a scope: %+v", r)
	}
}

func TestWait(t *testing.T) {
	s := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go http.Post(s.WebhookURL(), jsonType, strings.NewReader(`{"text":"hello"}`))
	if messages, err := s.Wait(ctx, 1); err != nil || len(messages) != 1 {
		t.Errorf("%v %v", messages, err)
	}
	if err := s.WaitRequests(ctx, 1); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := s.Wait(ctx, 2); !errors.Is(err, context.Canceled) || err.Error() != "1 of 2 messages have come: context canceled" {
		t.Error(err)
	}
}

func TestOnAccept(t *testing.T) {
	s := serve(t)
	s.OnAccept = func(slacktest.Message) error { return errors.New("disk full") }
	if r := call(t, s, "chat.postMessage", args{"channel": "#growth", "text": "x"}); r.Error != "internal_error" {
		t.Errorf("%+v", r)
	}
	status, _ := send(t, s.WebhookURL(), jsonType, "", `{"text":"hello"}`)
	if status != 500 || len(s.Messages()) != 0 {
		t.Errorf("%d, %d accepted", status, len(s.Messages()))
	}
}

// Tests look on while clients post.
func TestConcurrency(t *testing.T) {
	s := serve(t)
	root := post(t, s, "root", "")
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for range 20 {
				post(t, s, "reply", root)
				call(t, s, "chat.update", args{"channel": slacktest.ChannelID("#growth"), "ts": root, "text": strconv.Itoa(i)})
				call(t, s, "conversations.history", args{"channel": slacktest.ChannelID("#growth")})
				s.Messages()
				s.Threads()
			}
		})
	}
	group.Wait()
	thread := s.Threads()[0]
	if len(thread.Replies) != 80 || thread.Root.Edited != 80 || s.Requests() != 241 {
		t.Errorf("%d replies, %d updates, %d requests", len(thread.Replies), thread.Root.Edited, s.Requests())
	}
	for i, m := range s.Messages()[1:] {
		if m.TS <= s.Messages()[i].TS {
			t.Errorf("%s after %s", m.TS, s.Messages()[i].TS)
		}
	}
}
