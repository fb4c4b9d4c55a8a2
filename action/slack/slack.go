// Package slack is the action that posts to a Slack channel: as a bot, through
// chat.postMessage, or through an incoming webhook.
package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

// Config is the action's section of the configuration. It needs either token and
// channel, or webhook_url.
type Config struct {
	// Token is a bot's token, which begins with xoxb-. The bot needs the scope
	// chat:write, and to be a member of the channel.
	Token action.Secret `yaml:"token"`
	// Channel is where the bot posts: a name (#growth) or an id (C024BE91L).
	Channel string `yaml:"channel"`
	// WebhookURL is the address of an incoming webhook, which belongs to one
	// channel. It cannot carry the delivery's id: of a message that came twice,
	// nothing tells that it did.
	WebhookURL action.Secret `yaml:"webhook_url"`
	// APIURL is the address of Slack's Web API, for GovSlack or a proxy. It goes
	// with token only. Default: https://slack.com/api/
	APIURL string `yaml:"api_url"`
	// Format says what a message looks like: see Format. Default: Blocks.
	Format Format `yaml:"format"`
	// Long says where the rest of a text goes that is longer than Slack shows: see Long.
	// It goes with token only. Default: InThread.
	Long Long `yaml:"long"`
	// TLS is for a proxy, or another server of that API: what to trust, and the
	// router's own certificate.
	TLS action.TLS `yaml:"tls"`
	// Timeout is the time limit of one request. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
}

// A Format is what a message looks like.
type Format string

const (
	// Blocks has, for each delivery, the text beside a line in the colour of PRIORITY, and below
	// it the unit, the host, the time, and a command that shows the entry.
	Blocks Format = "blocks"
	// Text is the text alone.
	Text Format = "text"
)

// Long is where a text goes on that is longer than Slack shows in one message.
type Long string

const (
	// InThread has the rest in the thread below the message, in up to 19 more.
	InThread Long = "thread"
	// InFile has the whole text in a file in that thread.
	InFile Long = "file"
)

// Action posts one delivery as one message, or several as one. With a
// token, the message's metadata has the ids of the deliveries.
type Action struct {
	config  Config
	to      string   // for errors
	secrets []string // what an error may not say
	http    *http.Client
	api     *slack.Client // nil with a webhook
}

var (
	_ action.Escaper     = (*Action)(nil)
	_ action.TimeLimiter = (*Action)(nil)
	_ action.Closer      = (*Action)(nil)
	_ action.Fitter      = (*Action)(nil)
	_ action.Batcher     = (*Action)(nil)
	_ action.Parallel    = (*Action)(nil)
	_ action.Prober      = (*Action)(nil)
)

// New makes the action; it connects to nothing. Its errors are
// *action.FieldError, joined.
func New(c Config) (*Action, error) {
	scheme, _, _ := strings.Cut(cmp.Or(c.WebhookURL.Reveal(), c.APIURL, slack.APIURL), "://")
	security, err := c.TLS.ConfigFor(strings.ToLower(scheme))
	if err := errors.Join(c.check(), err); err != nil {
		return nil, err
	}
	a := &Action{config: c, http: action.NewHTTPClient(security)}
	if c.WebhookURL != "" {
		u, _ := url.Parse(c.WebhookURL.Reveal())
		a.to = "webhook at " + u.Host
		a.secrets = []string{u.String(), u.RequestURI(), u.Path}
		return a, nil
	}
	apiURL := slack.APIURL
	if c.APIURL != "" {
		apiURL = strings.TrimSuffix(c.APIURL, "/") + "/"
	}
	a.to = c.Channel
	a.secrets = []string{c.Token.Reveal()}
	a.api = slack.New(c.Token.Reveal(), slack.OptionAPIURL(apiURL), slack.OptionHTTPClient(sender{a.http}))
	return a, nil
}

// TimeLimit implements action.TimeLimiter.
func (a *Action) TimeLimit() time.Duration {
	if a.config.Timeout == 0 {
		return action.DefaultTimeout
	}
	return a.config.Timeout
}

// Close implements action.Closer.
func (a *Action) Close() error {
	a.http.CloseIdleConnections()
	return nil
}

// Batch implements action.Batcher. Metadata has room for 8 KiB
// (https://docs.slack.dev/messaging/message-metadata), which is ids of 100 and more.
func (a *Action) Batch() (usual, most int) { return 1, 100 }

// Parallel implements action.Parallel.
func (*Action) Parallel() {}

// Deliver implements action.Action.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	if err := a.deliver(ctx, batch); err != nil {
		return fmt.Errorf("post to %s: %w", a.to, action.Redact(err, a.secrets...))
	}
	return nil
}

func (a *Action) deliver(ctx context.Context, batch []action.Message) error {
	first, rest, file := a.compose(batch)
	if a.api == nil {
		return a.postWebhook(ctx, first)
	}
	thread, err := a.postMessage(ctx, first, "", payload(batch))
	if err != nil {
		return err
	}
	for i, p := range rest {
		ids := payload(batch)
		ids["part"] = i + 2
		if _, err := a.postMessage(ctx, p, thread, ids); err != nil {
			return err
		}
	}
	if file == nil {
		return nil
	}
	_, err = a.api.UploadFileContext(ctx, slack.UploadFileParameters{
		Filename: file.name, Content: string(file.content), FileSize: len(file.content), Channel: a.config.Channel, ThreadTimestamp: thread,
	})
	return err
}

// postMessage posts as a bot, into the thread of a message if there is one, and returns the
// new message's timestamp: https://docs.slack.dev/reference/methods/chat.postMessage
func (a *Action) postMessage(ctx context.Context, p post, thread string, ids map[string]any) (timestamp string, err error) {
	options := append(p.options(),
		slack.MsgOptionDisableLinkUnfurl(),
		slack.MsgOptionDisableMediaUnfurl(),
		slack.MsgOptionMetadata(slack.SlackMetadata{
			EventType:    "journald_router",
			EventPayload: ids,
		}),
	)
	if thread != "" {
		options = append(options, slack.MsgOptionTS(thread))
	}
	_, timestamp, _, err = a.api.SendMessageContext(ctx, a.config.Channel, options...)
	if reply, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		return "", apiError(reply)
	}
	if err != nil {
		return "", err
	}
	if timestamp == "" {
		// slack-go takes a reply without an error for a success; but {} is none.
		return "", errors.New("the reply is not Slack's: it names no message (does api_url lead to Slack?)")
	}
	return timestamp, nil
}

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
