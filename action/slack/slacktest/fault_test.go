package slacktest_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action/slack/slacktest"
)

const patient, hasty = 10 * time.Second, 50 * time.Millisecond

// try posts through the webhook; a status of 0 is no answer.
func try(t *testing.T, s *slacktest.Server, timeout time.Duration) (status int, retryAfter string, body string) {
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
	return resp.StatusCode, resp.Header.Get("Retry-After"), strings.TrimSpace(string(b))
}

func TestFaults(t *testing.T) {
	s := serve(t)
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
		{"rate limited", ptr(slacktest.RateLimited(7 * time.Second)), patient, 429, "7", `{"error":"ratelimited","ok":false}`, 1},
		{"rate limited, not in whole seconds", ptr(slacktest.RateLimited(1500 * time.Millisecond)), patient, 429, "2", `{"error":"ratelimited","ok":false}`, 1},
		{"error", ptr(slacktest.Error("internal_error")), patient, 200, "", `{"error":"internal_error","ok":false}`, 1},
		{"redirect", ptr(slacktest.Redirect(302, "/")), patient, 404, "", "404 page not found", 1},
		{"hang", ptr(slacktest.Hang()), hasty, 0, "", "", 1},
		{"drop", ptr(slacktest.Drop()), patient, 0, "", "", 1},
		{"drop the reply", ptr(slacktest.DropReply()), patient, 0, "", "", 2},
		{"after the script, what is always", nil, patient, 503, "", "down", 2},
	}
	for _, tt := range tests {
		if tt.fault != nil {
			s.Script(*tt.fault)
		}
		if tt.name == "redirect" {
			s.Script(slacktest.OK) // for where it leads
		}
		status, after, body := try(t, s, tt.timeout)
		if status != tt.status || after != tt.after || body != tt.body || len(s.Messages()) != tt.accepted {
			t.Errorf("%s: %d %q %q, %d accepted", tt.name, status, after, body, len(s.Messages()))
		}
	}
	s.Always(slacktest.OK)
	if status, _, _ := try(t, s, patient); status != 200 || s.RequestsTo(slacktest.Webhook) != 10 || s.Requests() != 11 {
		t.Errorf("well again: %d, %d of %d requests", status, s.RequestsTo(slacktest.Webhook), s.Requests())
	}
}

func TestScriptFor(t *testing.T) {
	s := serve(t)
	s.Script(slacktest.Error("fatal_error"))
	s.ScriptFor("chat.update", slacktest.Error("edit_window_closed"), slacktest.OK)
	s.ScriptFor("chat.postMessage", slacktest.OK)
	growth := slacktest.ChannelID("#growth")
	ts := post(t, s, "hello", "")
	for i, want := range []string{"edit_window_closed", "", "fatal_error", ""} {
		if r := call(t, s, "chat.update", args{"channel": growth, "ts": ts, "text": "x"}); r.Error != want {
			t.Errorf("%d: %q, not %q", i, r.Error, want)
		}
	}
	s.ScriptFor("auth.test", slacktest.Error("token_revoked"))
	if r := call(t, s, "auth.test", nil); r.Error != "token_revoked" {
		t.Errorf("%+v", r)
	}
}

func TestEveryNth(t *testing.T) {
	s := serve(t)
	s.EveryNth(3, slacktest.DropReply())
	var got []int
	refused := url.Values{"token": {slacktest.Token}, "channel": {"#growth"}}.Encode()
	for range 6 {
		status, _, _ := try(t, s, patient)
		got = append(got, status)
		send(t, s.APIURL()+"chat.postMessage", form, "", refused) // counts for nothing
	}
	if want := []int{200, 200, 0, 200, 200, 0}; !slices.Equal(got, want) || len(s.Messages()) != 6 {
		t.Errorf("%v, %d accepted", got, len(s.Messages()))
	}
	s.EveryNth(1, slacktest.Status(504, "gateway timeout"))
	if status, _, body := try(t, s, patient); status != 504 || body != "gateway timeout" || len(s.Messages()) != 7 {
		t.Errorf("%d %s, %d accepted", status, body, len(s.Messages()))
	}
	s.EveryNth(1, slacktest.Hang())
	if status, _, _ := try(t, s, hasty); status != 0 || len(s.Messages()) != 8 {
		t.Errorf("%d, %d accepted", status, len(s.Messages()))
	}
	s.EveryNth(0, slacktest.OK)
	if status, _, _ := try(t, s, patient); status != 200 {
		t.Error(status)
	}
}

func TestPerChannel(t *testing.T) {
	s := serve(t)
	s.PerChannel = time.Hour - time.Second/2
	post(t, s, "first", "")
	status, _ := send(t, s.APIURL()+"chat.postMessage", form, bearer, "channel=%23growth&text=second")
	if r := call(t, s, "chat.postMessage", args{"channel": "#other", "text": "first"}); status != 429 || !r.OK {
		t.Errorf("%d; other channel: %+v", status, r)
	}
	if r := call(t, s, "chat.update", args{"channel": slacktest.ChannelID("#growth"), "ts": s.Messages()[0].TS, "text": "x"}); !r.OK {
		t.Errorf("an update is no post: %+v", r)
	}
	if status, _, _ := try(t, s, patient); status != 200 {
		t.Error(status)
	}
	if status, after, _ := try(t, s, patient); status != 429 || after != "3600" {
		t.Errorf("%d, Retry-After %s", status, after)
	}
	s = serve(t)
	s.PerChannel = time.Nanosecond
	post(t, s, "first", "")
	post(t, s, "second", "")
}

func ptr(f slacktest.Fault) *slacktest.Fault { return &f }
