package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

// sender sends slack-go's requests in the way of all actions: bounded replies,
// no redirects, errors that have their class and no URL. slack-go itself
// returns these errors as they are, and retries nothing unless told to.
type sender struct {
	client *http.Client
	clock  *clock
}

func (s sender) Do(req *http.Request) (*http.Response, error) {
	resp, body, err := s.send(req)
	if resp != nil && resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w (does api_url lead to Slack? its own ends in /api/)", err)
	}
	if err != nil {
		return nil, err
	}
	// slack-go takes a reply without an error for a success; but {} is none.
	var reply struct {
		OK    *bool  `json:"ok"`
		Error string `json:"error"`
	}
	if !json.Valid(body) {
		return nil, fmt.Errorf("%s answered %d, but not with Slack's JSON, or only a part of it (does api_url lead to Slack?)", req.URL.Host, resp.StatusCode)
	}
	if err := json.Unmarshal(body, &reply); err != nil || reply.OK == nil || *reply.OK == (reply.Error != "") {
		return nil, errors.New("the reply is not Slack's: it says neither ok nor what is wrong (does api_url lead to Slack?)")
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// send sends a request. Its errors tell whether Slack may have carried it out; where a status is
// the error, the reply is there too.
func (s sender) send(req *http.Request) (resp *http.Response, body []byte, err error) {
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req = req.WithContext(ctx)
	req.Header.Set("User-Agent", action.UserAgent)
	resp, body, err = action.SendHTTP(s.client, req)
	if err != nil {
		err = fmt.Errorf("%s: %w", req.URL.Host, err)
		if !connected.Load() {
			err = nothingDone(err)
		}
		return nil, nil, err
	}
	s.clock.read(resp.Header)
	if err := action.CheckStatus(resp, detail(body)); err != nil {
		err = fmt.Errorf("%s %w", req.URL.Host, err)
		// A proxy may answer 408, or 5xx, while Slack is at work.
		if resp.StatusCode < 500 && resp.StatusCode != http.StatusRequestTimeout {
			err = nothingDone(err)
		}
		return resp, nil, err
	}
	return resp, body, nil
}

// request limits one request by the timeout.
func (a *Action) request(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.timeout())
}

// detail is the reply's own word for an error, whichever form it has.
func detail(body []byte) string {
	var reply struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &reply) == nil && reply.Error != "" {
		return reply.Error
	}
	return string(body)
}

// postWebhook posts through an incoming webhook, by hand: slack-go throws away
// the reply, and with it the reason of a refusal.
// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
func (a *Action) postWebhook(ctx context.Context, p post) error {
	body, err := json.Marshal(struct {
		Text        string             `json:"text,omitempty"`
		Attachments []slack.Attachment `json:"attachments,omitempty"`
		UnfurlLinks bool               `json:"unfurl_links"`
		UnfurlMedia bool               `json:"unfurl_media"`
	}{Text: p.text, Attachments: p.attachments})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.config.WebhookURL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", action.UserAgent)
	resp, reply, err := action.SendHTTP(a.http, req)
	if err != nil {
		return err
	}
	said := string(bytes.TrimSpace(reply))
	if err := action.CheckStatus(resp, said); err != nil {
		return failure{error: withHint(err, said), code: said}
	}
	if said != "ok" {
		return errors.New("the reply is not Slack's: " + action.OneLine(said, 200) + " (does webhook_url lead to Slack?)")
	}
	return nil
}
