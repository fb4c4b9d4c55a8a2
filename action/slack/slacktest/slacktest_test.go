package slacktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

const (
	form     = "application/x-www-form-urlencoded"
	jsonType = "application/json; charset=utf-8"
)

func TestAnswers(t *testing.T) {
	const good = "token=" + slacktest.Token + "&channel=%23growth&text=hello"
	const bearer = "Bearer " + slacktest.Token
	tests := []struct {
		name                       string
		path, contentType          string
		auth, body                 string
		status                     int
		answer                     string // the error's code; "" is accepted
		wantChannel, text, wantsID string
	}{
		{name: "form", contentType: form, body: good, status: 200, text: "hello"},
		{name: "form, token as header", contentType: form, auth: bearer, body: "channel=%23growth&text=hello", status: 200, text: "hello"},
		{name: "JSON", contentType: jsonType, auth: bearer, body: `{"channel":"#growth","text":"hello"}`, status: 200, text: "hello"},
		{name: "metadata in a form", contentType: form, status: 200, text: "hello", wantsID: "42",
			body: good + "&metadata=" + url.QueryEscape(`{"event_type":"x","event_payload":{"id":"42"}}`)},
		{name: "metadata in JSON", contentType: jsonType, auth: bearer, status: 200, text: "hello", wantsID: "42",
			body: `{"channel":"#growth","text":"hello","metadata":{"event_type":"x","event_payload":{"id":"42"}}}`},
		{name: "blocks without text", contentType: form, status: 200,
			body: "token=" + slacktest.Token + "&channel=%23growth&blocks=" + url.QueryEscape(`[{"type":"divider"}]`)},
		{name: "at the limit", contentType: form, body: good + strings.Repeat("%C3%A9", 39_995), status: 200, text: "hello" + strings.Repeat("é", 39_995)},

		{name: "over the limit", contentType: form, body: good + strings.Repeat("%C3%A9", 39_996), status: 200, answer: "msg_too_long"},
		{name: "no token", contentType: form, body: "channel=%23growth&text=hello", status: 200, answer: "not_authed"},
		{name: "JSON, token in the body", contentType: jsonType, body: `{"token":"` + slacktest.Token + `","channel":"#growth","text":"hello"}`, status: 200, answer: "not_authed"},
		{name: "wrong token", contentType: form, body: "token=xoxb-1&channel=%23growth&text=hello", status: 200, answer: "invalid_auth"},
		{name: "unknown channel", contentType: form, body: strings.Replace(good, "growth", "other", 1), status: 200, answer: "channel_not_found"},
		{name: "no channel", contentType: form, body: "token=" + slacktest.Token + "&text=hello", status: 200, answer: "channel_not_found"},
		{name: "no text", contentType: form, body: strings.TrimSuffix(good, "hello"), status: 200, answer: "no_text"},
		{name: "blank text", contentType: form, body: strings.Replace(good, "hello", "+%0A", 1), status: 200, answer: "no_text"},
		{name: "blocks that are not JSON", contentType: form, body: good + "&blocks=nope", status: 200, answer: "invalid_blocks_format"},
		{name: "blocks without a type", contentType: form, body: good + "&blocks=[{}]", status: 200, answer: "invalid_blocks"},
		{name: "bad metadata", contentType: form, body: good + "&metadata={}", status: 200, answer: "invalid_metadata_format"},
		{name: "bad JSON", contentType: jsonType, auth: bearer, body: `{`, status: 200, answer: "invalid_json"},
		{name: "no type", body: good, status: 200, answer: "missing_post_type"},
		{name: "other type", contentType: "text/csv", body: good, status: 200, answer: "invalid_post_type"},
		{name: "unknown method", path: "/api/chat.nope", contentType: form, body: good, status: 200, answer: "unknown_method"},
		{name: "not the API", path: "/index.html", contentType: form, body: good, status: 404, answer: "404 page not found"},

		{name: "webhook", path: slacktest.WebhookPath, contentType: jsonType, body: `{"text":"hello"}`, status: 200, answer: "ok", text: "hello", wantChannel: slacktest.WebhookChannel},
		{name: "webhook, form", path: slacktest.WebhookPath, contentType: form, body: "payload=" + url.QueryEscape(`{"text":"hello"}`), status: 200, answer: "ok", text: "hello", wantChannel: slacktest.WebhookChannel},
		{name: "webhook, bad JSON", path: slacktest.WebhookPath, contentType: jsonType, body: `{"text":`, status: 400, answer: "invalid_payload"},
		{name: "webhook, bad form", path: slacktest.WebhookPath, contentType: form, body: "payload=x", status: 400, answer: "invalid_payload"},
		{name: "webhook, no text", path: slacktest.WebhookPath, contentType: jsonType, body: `{"text":" "}`, status: 400, answer: "no_text"},
		{name: "webhook, wrong token", path: slacktest.WebhookPath + "x", contentType: jsonType, body: `{"text":"hello"}`, status: 403, answer: "invalid_token"},
		{name: "webhook, unknown", path: "/services/T1/B1/x", contentType: jsonType, body: `{"text":"hello"}`, status: 404, answer: "no_service"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := slacktest.NewServer()
			defer s.Close()
			s.Channels = []string{"#growth"}
			path := tt.path
			if path == "" {
				path = "/api/chat.postMessage"
			}
			req, err := http.NewRequest(http.MethodPost, strings.TrimSuffix(s.APIURL(), "/api/")+path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", tt.contentType)
			req.Header.Set("Authorization", tt.auth)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			var answer struct {
				OK        bool
				Error, TS string
			}
			said := strings.TrimSpace(string(body))
			if json.Unmarshal(body, &answer) == nil {
				said = answer.Error
				if answer.OK && answer.TS == "" {
					t.Errorf("accepted without a timestamp: %s", body)
				}
			}
			if resp.StatusCode != tt.status || said != tt.answer {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, body, tt.status, tt.answer)
			}
			var want []slacktest.Message
			if tt.answer == "" || tt.answer == "ok" {
				want = []slacktest.Message{{Channel: "#growth", Text: tt.text, ID: tt.wantsID}}
				if tt.wantChannel != "" {
					want[0].Channel = tt.wantChannel
				}
			}
			if diff := cmp.Diff(want, s.Messages(), cmpopts.IgnoreFields(slacktest.Message{}, "Time"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("accepted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	s := slacktest.NewServer()
	defer s.Close()
	post := func(timeout time.Duration) (status int, retryAfter string, body string) {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.WebhookURL(), strings.NewReader(`{"text":"hello"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", jsonType)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return 0, "", ""
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header.Get("Retry-After"), string(b)
	}
	const patient, hasty = 10 * time.Second, 50 * time.Millisecond
	s.Always(slacktest.Status(503, "down"))
	tests := []struct {
		name     string
		fault    *slacktest.Fault
		timeout  time.Duration
		status   int
		after    string
		body     string
		accepted int // after it
	}{
		{"ok", ptr(slacktest.OK), patient, 200, "", "ok", 1},
		{"rate limited", ptr(slacktest.RateLimited(7 * time.Second)), patient, 429, "7", `{"ok":false,"error":"ratelimited"}`, 1},
		{"error", ptr(slacktest.Error("internal_error")), patient, 200, "", `{"ok":false,"error":"internal_error"}`, 1},
		{"hang", ptr(slacktest.Hang()), hasty, 0, "", "", 1},
		{"drop", ptr(slacktest.Drop()), patient, 0, "", "", 1},
		{"drop the reply", ptr(slacktest.DropReply()), patient, 0, "", "", 2},
		{"after the script, what is always", nil, patient, 503, "", "down", 2},
	}
	for i, tt := range tests {
		if tt.fault != nil {
			s.Script(*tt.fault)
		}
		status, after, body := post(tt.timeout)
		if status != tt.status || after != tt.after || body != tt.body || len(s.Messages()) != tt.accepted || s.Requests() != i+1 {
			t.Errorf("%s: %d %q %q, %d accepted of %d", tt.name, status, after, body, len(s.Messages()), s.Requests())
		}
	}
}

func TestWait(t *testing.T) {
	s := slacktest.NewServer()
	defer s.Close()
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
	s := slacktest.NewServer()
	defer s.Close()
	s.OnAccept = func(slacktest.Message) error { return errors.New("disk full") }
	resp, err := http.Post(s.WebhookURL(), jsonType, strings.NewReader(`{"text":"hello"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 500 || len(s.Messages()) != 0 {
		t.Errorf("%d, %d accepted", resp.StatusCode, len(s.Messages()))
	}
}

func ptr(f slacktest.Fault) *slacktest.Fault { return &f }
