package slack_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

// A rig is a Slack, and an action that posts to it.
type rig struct {
	t      *testing.T
	slack  *slacktest.Server
	config slack.Config
	action *slack.Action
	memory *actiontest.Memory
}

func newRig(t *testing.T, c slack.Config) *rig {
	r := &rig{t: t, slack: slacktest.NewServer(), config: c}
	t.Cleanup(r.slack.Close)
	r.slack.Channels = []string{"#growth", "#ops"}
	r.config.Token, r.config.APIURL = slacktest.Token, r.slack.APIURL()
	if c.Channel == "" {
		r.config.Channel = "#growth"
	}
	if c.Format == "" {
		r.config.Format = slack.Text
	}
	r.start(nil)
	return r
}

// start is a new process, with what the last one has left.
func (r *rig) start(memory map[string][]byte) {
	r.t.Helper()
	a, err := slack.New(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { a.Close() })
	r.action, r.memory = a, actiontest.Remember(a, memory)
	r.memory.Hold()
}

// crash is a process that dies now, and the next one.
func (r *rig) crash() { r.start(r.memory.Crash()) }

// try is one call, and what becomes of it is settled.
func (r *rig) try(batch ...action.Message) error {
	err := r.action.Deliver(r.t.Context(), batch)
	r.memory.Settle()
	for _, secret := range secrets {
		if err != nil && strings.Contains(err.Error(), secret) {
			r.t.Errorf("a secret is in %v", err)
		}
	}
	return err
}

// deliver tries until it is there, and returns the errors on the way.
func (r *rig) deliver(batch ...action.Message) (errs []string) {
	r.t.Helper()
	for range 10 {
		err := r.try(batch...)
		if err == nil {
			return errs
		}
		if action.IsPermanent(err) {
			r.t.Fatal(err)
		}
		errs = append(errs, err.Error())
	}
	r.t.Fatalf("not delivered: %q", errs)
	return nil
}

// has checks what Slack shows: a line for each message, replies indented below it.
func (r *rig) has(want ...string) {
	r.t.Helper()
	var got []string
	show := func(indent string, m slacktest.Message) {
		said := m.Says()
		if len(said) > 20 && !strings.Contains(said[:20], "\n") {
			said = said[:20]
		}
		said, counted, _ := strings.Cut(said, "\n*×")
		if n, _, ok := strings.Cut(counted, "*"); ok {
			said += " ×" + n
		}
		for _, f := range m.Files {
			said += f.Name
		}
		got = append(got, indent+said)
	}
	for _, thread := range r.slack.Threads() {
		show("", thread.Root)
		for _, reply := range thread.Replies {
			show("- ", reply)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("Slack has (-want +got):\n%s", diff)
	}
}

// Messages of one thread, and one that is long.
var (
	one, two, three = logged(1, "a", "one"), logged(2, "a", "two"), logged(3, "a", "three")
	long            = logged(4, "a", strings.Repeat("abcd ", 1600))
)

const begun = "abcd abcd abcd abcd " // of long, and of its parts

// troubles are what may happen to a request, with what the error says.
var troubles = map[string]struct {
	fault slacktest.Fault
	says  string
}{
	"the reply is lost":          {slacktest.DropReply(), "EOF"},
	"the request is lost":        {slacktest.Drop(), "EOF"},
	"no answer":                  {slacktest.Hang(), "no answer within the time limit"},
	"429":                        {slacktest.RateLimited(7 * time.Second), "429"},
	"ratelimited":                {slacktest.Error("ratelimited"), "ratelimited"},
	"503":                        {slacktest.Status(503, "busy"), "503"},
	"internal_error":             {slacktest.Error("internal_error"), "internal_error"},
	"fatal_error":                {slacktest.Error("fatal_error"), "fatal_error"},
	"a page that is not Slack's": {slacktest.Status(200, "<html>"), "does api_url lead to Slack?"},
}

// TestStep: whichever request of a delivery fails, and in whichever way, the next try goes on from there, also
// in a new process, and all is there once.
func TestStep(t *testing.T) {
	steps := []struct {
		name    string
		config  slack.Config
		before  []action.Message // that are there
		message action.Message
		method  string
		skip    int // requests to the method that are well
		want    []string
	}{
		{"post", slack.Config{}, nil, one, "chat.postMessage", 0, []string{"one"}},
		{"begin of a thread", slack.Config{Thread: "x"}, nil, one, "chat.postMessage", 0, []string{"one"}},
		{"reply", slack.Config{Thread: "x"}, []action.Message{one}, two, "chat.postMessage", 0, []string{"one ×2", "- two"}},
		{"count", slack.Config{Thread: "x"}, []action.Message{one}, two, "chat.update", 0, []string{"one ×2", "- two"}},
		{"first of long", slack.Config{}, nil, long, "chat.postMessage", 0, []string{begun, "- " + begun, "- " + begun}},
		{"part", slack.Config{}, nil, long, "chat.postMessage", 1, []string{begun, "- " + begun, "- " + begun}},
		{"last part", slack.Config{}, nil, long, "chat.postMessage", 2, []string{begun, "- " + begun, "- " + begun}},
		{"part in a thread", slack.Config{Thread: "x"}, []action.Message{one}, long, "chat.postMessage", 1,
			[]string{"one ×2", "- " + begun, "- " + begun, "- " + begun}},
		{"address for a file", slack.Config{Long: slack.InFile}, nil, long, "files.getUploadURLExternal", 0, []string{begun, "- " + long.ID + ".txt"}},
		{"upload", slack.Config{Long: slack.InFile}, nil, long, slacktest.Upload, 0, []string{begun, "- " + long.ID + ".txt"}},
		{"end of the upload", slack.Config{Long: slack.InFile}, nil, long, "files.completeUploadExternal", 0, []string{begun, "- " + long.ID + ".txt"}},
		{"file in a thread", slack.Config{Long: slack.InFile, Thread: "x"}, []action.Message{one}, long, "files.completeUploadExternal", 0,
			[]string{"one ×2", "- " + begun, "- " + long.ID + ".txt"}},
	}
	for _, step := range steps {
		for name, trouble := range troubles {
			for _, dies := range []bool{false, true} {
				t.Run(fmt.Sprint(step.name, ": ", name, ", dies: ", dies), func(t *testing.T) {
					t.Parallel()
					c, says := step.config, trouble.says
					hangs := name == "no answer"
					if hangs {
						c.Timeout = 200 * time.Millisecond
					}
					r := newRig(t, c)
					for _, m := range step.before {
						r.deliver(m)
					}
					for range step.skip {
						r.slack.ScriptFor(step.method, slacktest.OK)
					}
					r.slack.ScriptFor(step.method, trouble.fault)
					if dies {
						if err := r.action.Deliver(t.Context(), []action.Message{step.message}); err == nil {
							t.Fatal("delivered, in spite of it")
						}
						r.crash()
					} else {
						err := r.try(step.message)
						if step.method == slacktest.Upload && !strings.Contains("EOF 429 503 no answer within the time limit", says) {
							says = "file_not_found" // the address says so only in the end
						}
						if err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), says) {
							t.Fatalf("%v, want one that passes and says %q", err, says)
						}
						if wait, _ := action.Wait(err); (wait == 7*time.Second) != (name == "429") {
							t.Errorf("wait %v after %s", wait, name)
						}
					}
					// A slow machine may take longer than that, too.
					if errs := r.deliver(step.message); len(errs) > 0 && !hangs {
						t.Errorf("the second try: %q", errs)
					}
					r.has(step.want...)
				})
			}
		}
	}
}

// TestLookUp: what becomes of the look-up decides over the post that follows it.
func TestLookUp(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		fault  slacktest.Fault
		posts  int
		says   string // in the error of the second try; empty if there is none
		wait   time.Duration
	}{
		"well":               {"conversations.history", slacktest.OK, 1, "", 0},
		"429":                {"conversations.history", slacktest.RateLimited(3 * time.Second), 1, "look whether it is there already: ", 3 * time.Second},
		"503":                {"conversations.history", slacktest.Status(503, ""), 1, "503", 0},
		"lost":               {"conversations.history", slacktest.Drop(), 1, "EOF", 0},
		"no JSON":            {"conversations.history", slacktest.Status(200, "<html>"), 1, "lead to Slack?", 0},
		"no answer in it":    {"conversations.history", slacktest.Status(200, "{}"), 1, "the reply is not Slack's", 0},
		"cursor too old":     {"conversations.history", slacktest.Error("invalid_cursor"), 1, "invalid_cursor", 0},
		"no scope":           {"conversations.history", slacktest.Error("missing_scope"), 2, "", 0},
		"not in channel":     {"conversations.history", slacktest.Error("not_in_channel"), 2, "", 0},
		"other kind":         {"conversations.history", slacktest.Error("method_not_supported_for_channel_type"), 2, "", 0},
		"no such address":    {"conversations.history", slacktest.Status(404, ""), 2, "", 0},
		"list: 429":          {"conversations.list", slacktest.RateLimited(3 * time.Second), 1, "429", 3 * time.Second},
		"list: not a method": {"conversations.list", slacktest.Error("unknown_method"), 2, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, slack.Config{})
			r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
			if err := r.try(one); err == nil {
				t.Fatal("delivered, in spite of it")
			}
			r.slack.ScriptFor(test.method, test.fault)
			err := r.try(one)
			wait, _ := action.Wait(err)
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) || wait != test.wait {
				t.Errorf("%v, wait %v; want %q, %v", err, wait, test.says, test.wait)
			}
			r.deliver(one)
			if n := len(r.slack.Messages()); n != test.posts {
				t.Errorf("%d messages, want %d", n, test.posts)
			}
		})
	}
}

// TestBlind: a right that is missing is not asked for with every message, but again after a restart.
func TestBlind(t *testing.T) {
	r := newRig(t, slack.Config{Channel: slacktest.ChannelID("#growth")})
	r.slack.Scopes = "chat:write"
	lose := func(m action.Message) {
		r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
		r.deliver(m)
	}
	lose(one)
	lose(two)
	if n := r.slack.RequestsTo("conversations.history"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	r.has("one", "one", "two", "two")
	r.crash()
	r.slack.Scopes = "chat:write,channels:history"
	lose(three)
	r.has("one", "one", "two", "two", "three")
}

// TestRegrouped: the messages of a post whose reply was lost come again in other company.
func TestRegrouped(t *testing.T) {
	four, five := logged(5, "a", "four"), logged(6, "a", "five")
	for name, again := range map[string][][]action.Message{
		"one by one":          {{one}, {two}, {three}, {four}, {five}},
		"fewer, then more":    {{one}, {two, three, four}, {five}},
		"more":                {{one, two, three, four, five}},
		"without the first":   {{two, three}, {one}, {four, five}},
		"the last one is new": {{one}, {two}, {three, four, five}},
	} {
		for _, lost := range []slacktest.Fault{slacktest.DropReply(), slacktest.Drop()} {
			r := newRig(t, slack.Config{Thread: "{{ .Fields.KEY }}"})
			r.slack.ScriptFor("chat.postMessage", lost)
			if err := r.try(one, two, three); err == nil {
				t.Fatal("delivered, in spite of it")
			}
			for _, batch := range again {
				r.deliver(batch...)
			}
			once, _ := posts(r.slack.Messages())
			for _, m := range []action.Message{one, two, three, four, five} {
				if once[m.ID] != 1 {
					t.Errorf("%s: message %s is there %d times", name, m.Text, once[m.ID])
				}
			}
			if threads := r.slack.Threads(); len(threads) != 1 || !strings.Contains(threads[0].Root.Text, "×5") && len(r.slack.Messages()) > 1 {
				t.Errorf("%s: %d threads, the first: %+v", name, len(threads), threads)
			}
		}
	}
}

// TestPartlyPermanent: of a batch, one is there already; the others are refused together, and have to be
// tried one by one.
func TestPartlyPermanent(t *testing.T) {
	r := newRig(t, slack.Config{})
	r.slack.ScriptFor("chat.postMessage", slacktest.DropReply(), slacktest.Error("invalid_blocks"))
	if err := r.try(one); err == nil {
		t.Fatal("delivered, in spite of it")
	}
	err := r.try(one, two, three)
	each, ok := errors.AsType[*action.BatchError](err)
	if !ok || each.Errs[0] != nil || each.Errs[1] == nil || each.Errs[2] == nil || action.IsPermanent(each.Errs[1]) || action.IsPermanent(each.Errs[2]) {
		t.Fatalf("%v", err)
	}
	r.slack.ScriptFor("chat.postMessage", slacktest.Error("invalid_blocks"))
	if err := r.try(two); !action.IsPermanent(err) {
		t.Errorf("%v, want a permanent error", err)
	}
	r.deliver(three)
	r.has("one", "three")
}

// TestSaveFails: what cannot be noted is not posted.
func TestSaveFails(t *testing.T) {
	r := newRig(t, slack.Config{Thread: "x"})
	r.memory.Fail(errors.New("disk full"))
	if err := r.try(one); err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), "note that it is about to be posted: disk full") {
		t.Errorf("%v", err)
	}
	if n := r.slack.Requests(); n != 0 {
		t.Errorf("%d requests", n)
	}
	r.memory.Fail(nil)
	r.deliver(one)
	if n := r.slack.RequestsTo("conversations.history"); n != 0 {
		t.Errorf("it was looked up, though it was not posted")
	}
	r.has("one")
}

// TestSaves: one sync before a post, however many requests it takes.
func TestSaves(t *testing.T) {
	r := newRig(t, slack.Config{Thread: "x"})
	for i, m := range []action.Message{one, two, long} {
		r.deliver(m)
		if got := r.memory.Saves(); got != i+1 {
			t.Errorf("%d saves for %d deliveries", got, i+1)
		}
	}
}

// TestStopped: a delivery that is broken off is looked up by the next process.
func TestStopped(t *testing.T) {
	r := newRig(t, slack.Config{})
	r.slack.ScriptFor("chat.postMessage", slacktest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if r.slack.WaitRequests(t.Context(), 1) == nil {
			cancel()
		}
	}()
	if err := r.action.Deliver(ctx, []action.Message{one}); err == nil {
		t.Error("delivered, in spite of it")
	}
	r.crash()
	r.deliver(one)
	if n := r.slack.RequestsTo("conversations.history"); n != 1 {
		t.Errorf("looked up %d times", n)
	}
	r.has("one")
}
