package slack_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

const byKey = "{{ .Fields.KEY }}"

// TestThreads: what the template makes the same of is one thread; nothing is none.
func TestThreads(t *testing.T) {
	for _, format := range []slack.Format{slack.Text, slack.Blocks} {
		r := newRig(t, slack.Config{Thread: byKey, Format: format})
		for i, key := range []string{"a", "b", "", "a", " ", "b", "a", ""} {
			r.deliver(logged(i, key, fmt.Sprint("line ", i)))
		}
		if format == slack.Text {
			r.has("line 0 ×3", "- line 3", "- line 6", "line 1 ×2", "- line 5", "line 2", "line 4", "line 7")
		} else {
			r.has("line 0", "- line 3", "- line 6", "line 1", "- line 5", "line 2", "line 4", "line 7")
			for i, want := range []string{"*×3*", "*×2*"} {
				if said := fmt.Sprint(r.slack.Messages()[i].Attachments); !strings.Contains(said, want) {
					t.Errorf("%s does not say %s", said, want)
				}
			}
		}
		for _, m := range r.slack.Messages() {
			if m.Metadata["id"] == nil {
				t.Errorf("an update has taken the metadata of %+v", m)
			}
		}
		if n := r.slack.RequestsTo("chat.update"); n != 3 {
			t.Errorf("%d updates for 3 replies", n)
		}
	}
}

// TestUpdate: the first message stays what it was, but for the count.
func TestUpdate(t *testing.T) {
	r := newRig(t, slack.Config{Thread: byKey, Format: slack.Blocks})
	first := logged(1, "a", "<!here> a & b <https://a.example/?q=1|x>\n```code```\n日本")
	r.deliver(first)
	before := r.slack.Messages()[0]
	r.crash()
	r.deliver(two)
	after := r.slack.Messages()[0]
	blocks := after.Attachments[0]["blocks"].([]any)
	after.Attachments[0]["blocks"] = blocks[:len(blocks)-1]
	if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(slacktest.Message{}, "Edited")); diff != "" || after.Edited != 1 {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// TestUpdateRequest looks at what goes over the wire: Slack is not to make links and mentions of names.
func TestUpdateRequest(t *testing.T) {
	fake := slacktest.New()
	var update url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == slacktest.APIPath+"chat.update" {
			update, _ = url.ParseQuery(string(body))
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		fake.ServeHTTP(w, r)
	}))
	defer server.Close()
	a := newAction(t, slack.Config{Token: slacktest.Token, Channel: "#growth", Thread: byKey, Format: slack.Text, APIURL: server.URL + slacktest.APIPath})
	for _, m := range []action.Message{one, two} {
		if err := a.Deliver(t.Context(), []action.Message{m}); err != nil {
			t.Fatal(err)
		}
	}
	want := url.Values{
		"token": {slacktest.Token}, "channel": {slacktest.ChannelID("#growth")}, "ts": {fake.Messages()[0].TS},
		"text": {fake.Messages()[0].Text}, "parse": {"none"},
	}
	if diff := cmp.Diff(want, update); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestThreadOfBatch: a batch is one reply, and the count grows by all of it.
func TestThreadOfBatch(t *testing.T) {
	r := newRig(t, slack.Config{Thread: byKey})
	r.deliver(one, two)
	r.has("one\ntwo")
	r.deliver(three, logged(5, "a", "four"), logged(6, "a", "five"))
	r.has("one\ntwo ×5", "- three\nfour\nfive")
	b := logged(7, "b", "other")
	if n := r.action.Fit([]action.Message{one, two, b}); n != 2 {
		t.Errorf("%d of 3 go together, want 2", n)
	}
	r.deliver(logged(8, "a", "six"), b, logged(9, "a", "seven")) // as without Fit
	r.has("one\ntwo ×7", "- three\nfour\nfive", "- six", "- seven", "other")
}

// TestRootDeleted: where the first message was deleted, another begins the thread anew.
func TestRootDeleted(t *testing.T) {
	t.Run("without replies", func(t *testing.T) { // Slack posts to the channel then
		r := newRig(t, slack.Config{Thread: byKey})
		r.deliver(one)
		r.slack.Delete(r.slack.Messages()[0].TS)
		r.deliver(two)
		r.has("two")
		r.deliver(three)
		r.has("two ×2", "- three")
	})
	t.Run("without replies, and the reply is lost", func(t *testing.T) {
		r := newRig(t, slack.Config{Thread: byKey})
		r.deliver(one)
		r.slack.Delete(r.slack.Messages()[0].TS)
		r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
		r.deliver(two)
		r.deliver(three)
		threads := r.slack.Threads()
		if len(threads) != 1 || len(threads[0].Replies) != 1 {
			t.Errorf("%+v", threads)
		}
	})
	t.Run("with replies", func(t *testing.T) {
		r := newRig(t, slack.Config{Thread: byKey})
		r.deliver(one)
		r.deliver(two)
		r.slack.Delete(r.slack.Messages()[0].TS)
		r.deliver(three) // it is in the old one, which nobody can count any more
		r.deliver(logged(5, "a", "four"))
		r.deliver(logged(6, "a", "five"))
		r.has("one ×2", "- two", "- three", "four ×2", "- five")
	})
	for code := range map[string]bool{"thread_not_found": true, "cannot_reply_to_message": true, "restricted_action_thread_locked": true, "is_archived": true, "channel_not_found": true} {
		t.Run(code, func(t *testing.T) {
			r := newRig(t, slack.Config{Thread: byKey})
			r.deliver(one)
			r.slack.ScriptFor("chat.postMessage", slacktest.Error(code))
			r.deliver(two)
			r.deliver(three)
			r.has("one", "two ×2", "- three")
		})
	}
}

// TestThreadGoesOn: a thread is not forgotten because nothing can be posted to its channel for a while.
func TestThreadGoesOn(t *testing.T) {
	for name, test := range map[string]struct{ begin, end func(s *slacktest.Slack) }{
		"archived": {
			func(s *slacktest.Slack) { s.Archive("#growth", true) },
			func(s *slacktest.Slack) { s.Archive("#growth", false) },
		},
		"not a member": {
			func(s *slacktest.Slack) { s.Private("#growth", true); s.Member("#growth", false) },
			func(s *slacktest.Slack) { s.Member("#growth", true) },
		},
	} {
		r := newRig(t, slack.Config{Thread: byKey})
		r.deliver(one)
		test.begin(r.slack.Slack)
		if err := r.try(two); !action.IsPermanent(err) {
			t.Errorf("%s: %v, want a permanent error", name, err)
		}
		test.end(r.slack.Slack)
		r.deliver(two)
		r.has("one ×2", "- two")
	}
}

// TestCountRefused: a count that can never be shown is given up, without an error.
func TestCountRefused(t *testing.T) {
	for code, updates := range map[string]int{
		"edit_window_closed": 1, "cant_update_message": 1, "msg_too_long": 1,
		// These may be mended.
		"missing_scope": 2, "invalid_auth": 2, "channel_not_found": 2,
	} {
		r := newRig(t, slack.Config{Thread: byKey})
		r.deliver(one)
		r.slack.ScriptFor("chat.update", slacktest.Error(code))
		for _, m := range []action.Message{two, three} {
			if errs := r.deliver(m); len(errs) > 0 {
				t.Errorf("%s: %q", code, errs)
			}
		}
		if n := r.slack.RequestsTo("chat.update"); n != updates {
			t.Errorf("%s: %d updates, want %d", code, n, updates)
		}
		want := []string{"one", "- two", "- three"}
		if updates > 1 {
			want[0] = "one ×3"
		}
		r.has(want...)
	}
}

// TestLargeRoot: a first message that is too long to be remembered keeps its thread, and has no count.
func TestLargeRoot(t *testing.T) {
	r := newRig(t, slack.Config{Thread: byKey, Format: slack.Blocks})
	var many []action.Message
	for i := range 4 { // in three bytes each
		many = append(many, logged(i, "a", strings.Repeat("漢", 2500)))
	}
	r.deliver(many...)
	r.deliver(logged(5, "a", "four"))
	if threads := r.slack.Threads(); len(threads) != 1 || len(threads[0].Replies) != 1 || threads[0].Root.Edited != 0 {
		t.Errorf("%d threads, the first: %+v", len(threads), threads[0])
	}
}

// TestForgotten: threads are forgotten that were not used for 30 days, and the oldest of more than 1000;
// so are deliveries that did not come again.
func TestForgotten(t *testing.T) {
	const day = 24 * time.Hour
	remembered := make(map[string][]byte)
	at := func(key string, ago time.Duration) {
		used := time.Now().Add(-ago).UTC().Format(time.RFC3339Nano)
		remembered[key] = fmt.Appendf(nil, `{"used":%q,"begun":%q,"doubt":true,"channel":"C024BE91L","ts":"1503435956.000247"}`, used, used)
	}
	at("thread/old", 31*day)
	at("thread/young", 29*day)
	at("sending/old", 31*day)
	at("sending/young", 29*day)
	remembered["thread/broken"] = []byte("{")
	r := newRig(t, slack.Config{Thread: byKey})
	r.start(remembered)
	r.deliver(one)
	if keys := r.memory.Keys("thread/"); len(keys) != 2 || !slices.Contains(keys, "thread/young") {
		t.Errorf("threads: %s", keys)
	}
	if keys := r.memory.Keys("sending/"); !slices.Equal(keys, []string{"sending/" + one.ID, "sending/young"}) {
		t.Errorf("deliveries: %s", keys)
	}
	// While Slack has not told the time, nothing is forgotten: the clock may be wrong.
	r.start(remembered)
	slack.SetClock(r.action, func() time.Time { return time.Now().AddDate(9, 0, 0) })
	r.slack.ScriptFor("chat.postMessage", slacktest.Drop())
	if err := r.try(one); err == nil || len(r.memory.Keys("")) < len(remembered) {
		t.Errorf("%v; left: %s", err, r.memory.Keys(""))
	}
	for i := range 1100 {
		at(fmt.Sprint("thread/", i), time.Duration(i)*time.Second)
	}
	r.start(remembered)
	r.deliver(two)
	keys := r.memory.Keys("thread/")
	if len(keys) != 1000 || !slices.Contains(keys, "thread/0") || slices.Contains(keys, "thread/1099") || slices.Contains(keys, "thread/young") {
		t.Errorf("%d threads", len(keys))
	}
}

// TestThreadAtOnce: of several calls for one thread, that wait for each other, one begins it.
func TestThreadAtOnce(t *testing.T) {
	r := newRig(t, slack.Config{Thread: byKey})
	const calls = 8
	errs := make(chan error, calls)
	for i := range calls {
		go func() { errs <- r.action.Deliver(t.Context(), []action.Message{logged(i, "a", "line")}) }()
	}
	for range calls {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if threads := r.slack.Threads(); len(threads) != 1 || len(threads[0].Replies) != calls-1 || !strings.Contains(threads[0].Root.Text, "*×8*") {
		t.Errorf("%d threads, the first with %d replies: %q", len(threads), len(threads[0].Replies), threads[0].Root.Text)
	}
}

// TestBeginningInDoubt: where the first message of a thread may be in Slack, and its delivery does not come
// again, as it was dropped, the next one looks for it before it begins another.
func TestBeginningInDoubt(t *testing.T) {
	for name, test := range map[string]struct {
		lost slacktest.Fault
		want []string
	}{
		"it is there":     {slacktest.DropReply(), []string{"one ×2", "- two"}},
		"it is not there": {slacktest.Drop(), []string{"two"}},
	} {
		r := newRig(t, slack.Config{Thread: byKey})
		r.slack.ScriptFor("chat.postMessage", test.lost)
		if err := r.try(one); err == nil {
			t.Fatal("delivered, in spite of it")
		}
		err := r.try(two)
		if wait, ok := action.Wait(err); !ok || wait <= 0 || wait > time.Second {
			t.Fatalf("%s: %v", name, err) // it may be on its way
		}
		for deadline := time.Now().Add(10 * time.Second); err != nil; err = r.try(two) {
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		r.has(test.want...)
	}
}
