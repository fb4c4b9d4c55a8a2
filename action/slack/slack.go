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
	"sync"
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
	// Channel is where the bot posts: a name (#growth) or an id (C024BE91L), or a
	// template for one of Channels.
	Channel string `yaml:"channel"`
	// Channels are those that a template may choose, each as the template makes it.
	Channels []string `yaml:"channels"`
	// Thread is a template: messages for which it makes the same go into one thread, whose
	// first message shows how many have come. Where it makes nothing, a message stands
	// in the channel. It goes with token only.
	Thread string `yaml:"thread"`
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

// Action posts one delivery as one message, or several as one. With a token, the message's
// metadata has the ids of the deliveries, and the action's memory how far each has got, so
// that none is there twice as long as the token may read the history.
type Action struct {
	config    Config
	to        string   // for errors
	secrets   []string // what an error may not say
	http      *http.Client
	api       *slack.Client    // nil with a webhook
	channel   *action.Template // nil: always config.Channel
	threads   *action.Template // nil: none
	templates map[string]*action.Template
	memory    action.Memory
	clock     clock
	locks     locks // by key of the thread

	mu     sync.Mutex
	tidied time.Time            // when what is not used any more was last forgotten
	more   bool                 // a thread is remembered that was not then
	ended  []ended              // deliveries that are to be forgotten soon, in this order
	blind  map[string]time.Time // channels, by id or else by name, whose history cannot be read, and until when not to try
	looked map[place]string     // look-ups that did not come to their end, and the cursor of the next page
}

var (
	_ action.Escaper     = (*Action)(nil)
	_ action.TimeLimiter = (*Action)(nil)
	_ action.Closer      = (*Action)(nil)
	_ action.Fitter      = (*Action)(nil)
	_ action.Batcher     = (*Action)(nil)
	_ action.Parallel    = (*Action)(nil)
	_ action.Prober      = (*Action)(nil)
	_ action.Templater   = (*Action)(nil)
	_ action.Rememberer  = (*Action)(nil)
)

// New makes the action; it connects to nothing. Its errors are
// *action.FieldError, joined.
func New(c Config) (*Action, error) {
	scheme, _, _ := strings.Cut(cmp.Or(c.WebhookURL.Reveal(), c.APIURL, slack.APIURL), "://")
	security, err := c.TLS.ConfigFor(strings.ToLower(scheme))
	a := &Action{config: c, http: action.NewHTTPClient(security), templates: make(map[string]*action.Template), clock: clock{local: time.Now}}
	if err := errors.Join(c.check(), a.takeTemplates(), err); err != nil {
		return nil, err
	}
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
	a.api = slack.New(c.Token.Reveal(), slack.OptionAPIURL(apiURL), slack.OptionHTTPClient(sender{a.http, &a.clock}))
	return a, nil
}

func (a *Action) timeout() time.Duration { return cmp.Or(a.config.Timeout, action.DefaultTimeout) }

// TimeLimit implements action.TimeLimiter. A delivery may take several requests: a look-up, the
// post, its parts, the count. Each has its own time limit. What is done when the time for all
// is over, is remembered: the next try goes on from there, and gets at least one step further, as
// the time is enough for more than a look-up and a step.
func (a *Action) TimeLimit() time.Duration {
	if a.api == nil {
		return a.timeout()
	}
	return 4 * a.timeout()
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

// Templates implements action.Templater.
func (a *Action) Templates() map[string]*action.Template { return a.templates }

// Deliver implements action.Action.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	if a.api != nil {
		return a.deliver(ctx, batch)
	}
	first, _, _ := a.compose(batch)
	ctx, cancel := a.request(ctx)
	defer cancel()
	_, err := first.inSomeForm(func(p post) error { return a.postWebhook(ctx, p) })
	return a.postError(a.to, err)
}

// postError says where a post failed, and no secret.
func (a *Action) postError(to string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("post to %s: %w", to, action.Redact(err, a.secrets...))
}
