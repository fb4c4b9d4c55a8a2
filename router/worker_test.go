package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/spool"
)

func TestTemporaryFailureIsRetriedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		up := start.Add(10 * time.Minute)
		var tries []time.Duration
		d := &destination{deliver: func(context.Context, []action.Message) error {
			if time.Now().Before(up) {
				tries = append(tries, time.Since(start))
				return errors.New("down")
			}
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "X: 2"), d)
		r.start()
		time.Sleep(20 * time.Minute)
		r.want(d, "1", "2")
		// 1 s, doubled up to 5 min, each less up to a half.
		if n := len(tries); n < 8 || n > 13 {
			t.Errorf("%d tries in ten minutes: %v", n, tries)
		}
		for i := 1; i < len(tries); i++ {
			wait, most := tries[i]-tries[i-1], min(time.Second<<(i-1), 5*time.Minute)
			if wait < most/2 || wait > most {
				t.Errorf("wait %d was %v, want %v to %v", i, wait, most/2, most)
			}
		}
		r.stop()
	})
}

// TestBackoffSurvivesRestart: a restart is no reason to bother a dead destination.
func TestBackoffSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(context.Context, []action.Message) error {
			return action.After(errors.New("later"), time.Hour)
		}}
		r := newRig(t, newMemory("X: 1"), d)
		r.start()
		synctest.Wait()
		r.stop()
		r.start()
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if n := d.calls.Load(); n != 1 {
			t.Errorf("%d calls within the hour that the destination asked for, want 1", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := d.calls.Load(); n != 2 {
			t.Errorf("%d calls after it, want 2", n)
		}
		r.stop()
	})
}

func TestPermanentFailureIsBuriedAndTheRestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(_ context.Context, batch []action.Message) error {
			if batch[0].Text == "bad" {
				return action.Permanent(errors.New("refused: token xoxb-1"))
			}
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "X: bad", "X: 2"), d)
		r.routes.Actions[0].Redact = func(s string) string { return strings.ReplaceAll(s, "xoxb-1", "[secret]") }
		r.start()
		r.want(d, "1", "2")
		letters := r.letters()
		if len(letters) != 1 || letters[0].Cause != "refused: token [secret]" || letters[0].Sent != "bad" || letters[0].Attempts != 1 {
			t.Errorf("letters: %+v", letters)
		}
		if strings.Contains(r.log.String(), "xoxb") || !strings.Contains(r.log.String(), `msg="dead letter"`) {
			t.Errorf("log:\n%s", &r.log)
		}
		if r.router.Buried() != 1 {
			t.Errorf("Buried = %d", r.router.Buried())
		}
		r.stop()
	})
}

func TestDeadDestinationDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := &destination{deliver: func(ctx context.Context, _ []action.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		works := new(destination)
		r := newRig(t, newMemory("X: 1", "X: 2", "X: 3"), hangs, works)
		r.start()
		r.want(works, "1", "2", "3")
		r.journal.log("X: 4")
		r.want(works, "1", "2", "3", "4")
		// The time limit makes it a failure like others.
		time.Sleep(action.DefaultTimeout + time.Millisecond)
		synctest.Wait()
		if s := r.spool.Queue("a").Status(); s.Failures.Count != 1 || !strings.Contains(s.Failures.Error, "30s") {
			t.Errorf("the hanging action: %+v", s)
		}
		r.stop()
	})
}

// TestGiveUp: what was queued during an outage of 72 h is buried with its cause,
// what came late in it gets its own 72 h.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		d := &destination{deliver: func(context.Context, []action.Message) error {
			if up.Load() {
				return nil
			}
			return errors.New("down")
		}}
		r := newRig(t, newMemory("X: 1", "X: 2", "X: 3"), d)
		r.start()
		time.Sleep(71 * time.Hour)
		if n := len(r.letters()); n != 0 {
			t.Errorf("%d letters after 71 h, want none", n)
		}
		r.journal.log("X: late")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		var causes []string
		for _, l := range r.letters() {
			causes = append(causes, l.Sent+": "+l.Cause)
		}
		want := []string{"1", "2", "3"}
		for i := range want {
			want[i] += ": given up after 72h0m0s: down"
		}
		slices.Sort(causes)
		if diff := cmp.Diff(want, causes); diff != "" {
			t.Error("letters (-want +got):\n", diff)
		}
		up.Store(true)
		time.Sleep(10 * time.Minute)
		r.want(d, "late")
		r.stop()
	})
}

// TestBacklogIsGivenItsTime: deliveries that waited long behind others are not
// given up at the first failure.
func TestBacklogIsGivenItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := false
		d := &destination{deliver: func(_ context.Context, batch []action.Message) error {
			time.Sleep(200 * time.Second)
			if batch[0].Text == "1999" && !failed {
				failed = true
				return errors.New("hiccup")
			}
			return nil
		}}
		var messages []string
		for i := range 2000 { // more than 72 h of work
			messages = append(messages, fmt.Sprintf("X: %d", i))
		}
		r := newRig(t, newMemory(messages...), d)
		r.start()
		time.Sleep(5 * 24 * time.Hour)
		synctest.Wait()
		if got := len(d.texts()); got != 2000 || !failed || len(r.letters()) != 0 {
			t.Errorf("%d delivered, %d dead, failed: %v", got, len(r.letters()), failed)
		}
		r.stop()
	})
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		d := &destination{batch: 3, deliver: func(_ context.Context, batch []action.Message) error {
			sizes = append(sizes, len(batch))
			errs := make([]error, len(batch))
			for i, m := range batch {
				switch m.Text {
				case "poison":
					return action.Permanent(errors.New("the whole batch is refused"))
				case "no":
					errs[i] = action.Permanent(errors.New("not this one"))
				case "later":
					errs[i] = errors.New("not now")
				}
			}
			if errors.Join(errs...) == nil {
				return nil
			}
			return &action.BatchError{Errs: errs}
		}}
		r := newRig(t, newMemory("X: 1", "X: no", "X: 2", "X: 3", "X: poison", "X: 4", "X: 5"), d)
		r.start()
		r.want(d, "1", "2", "3", "4", "5")
		if diff := cmp.Diff([]int{3, 3, 1, 2, 1, 1, 1}, sizes); diff != "" {
			t.Error("batches (-want +got):\n", diff)
		}
		if n := len(r.letters()); n != 2 {
			t.Errorf("%d letters, want 2", n)
		}
		// While it fails, one probes.
		sizes = nil
		r.journal.log("X: later")
		synctest.Wait()
		r.journal.log("X: 6", "X: 7")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(sizes) < 2 || slices.Max(sizes) != 1 {
			t.Errorf("batches while it fails: %v", sizes)
		}
		r.stop()
	})
}

// TestTemplateFailureIsNoSignOfLife of a destination that is dead.
func TestTemplateFailureIsNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(context.Context, []action.Message) error { return errors.New("dead") }}
		r := newRig(t, newMemory("X: bad", "X: good", "X: bad"), d)
		r.routes.Actions[0].Text = mustTemplate(t, `{{ if eq .Text "bad" }}{{ slice .Text 99 }}{{ end }}{{ .Text }}`)
		r.routes.Actions[0].Retry.GiveUpAfter = time.Hour
		r.start()
		for range 10 {
			time.Sleep(10 * time.Minute)
			r.journal.log("X: bad", "X: good")
		}
		synctest.Wait()
		if strings.Contains(r.log.String(), "succeed again") {
			t.Errorf("nothing was ever delivered, but the log says:\n%s", &r.log)
		}
		if n := len(r.letters()); n < 5 {
			t.Errorf("%d dead letters after an outage of 100 min with give_up_after 1 h", n)
		}
		r.stop()
	})
}

// TestManyDeadLetters are not a line each in the log.
func TestManyDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(context.Context, []action.Message) error { return action.Permanent(errors.New("no")) }}
		var messages []string
		for i := range 100 {
			messages = append(messages, fmt.Sprintf("X: %d", i))
		}
		r := newRig(t, newMemory(messages...), d)
		r.start()
		synctest.Wait()
		log := r.log.String()
		if each := strings.Count(log, `msg="dead letter"`); each != 10 || !strings.Contains(log, `msg="more dead letters" action=a count=90`) {
			t.Errorf("%d are logged by themselves:\n%s", each, log)
		}
		r.stop()
	})
}

func TestTemplateIsRenderedAtDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("X: one"), d)
		r.routes.Actions[0].Text = mustTemplate(t, "action {{ .Rule }} {{ .Text }}")
		r.start()
		r.want(d, "action r one")
		r.stop()
		r.routes.Actions[0].RuleText = map[string]*action.Template{"r": mustTemplate(t, `{{ index .Captures "x" | len }} {{ .Message }}`)}
		r.journal.log("X: two")
		r.start()
		r.want(d, "action r one", "0 X: two")
		r.stop()
	})
}

// TestParse: what is no JSON is a dead letter at once, without holding up what is, and
// can be delivered once parse is mended. The templates of the action itself see the same.
func TestParse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		d := &destination{deliver: func(_ context.Context, batch []action.Message) error {
			key, err := mustTemplate(t, "{{ .JSON.id }}{{ .Logfmt.id }}").Render(batch[0].Data)
			keys = append(keys, key)
			return err
		}}
		r := newRig(t, newMemory(`X: {"id": 1}`, `X: id=2`, `X: {"id": 3}`), d)
		r.routes.Actions[0].Parse = action.ParseJSON()
		r.start()
		r.want(d, `{"id": 1}`, `{"id": 3}`)
		letters := r.letters()
		if len(letters) != 1 || letters[0].Cause != "parse json: invalid character 'i' looking for beginning of value at byte 1" ||
			letters[0].Attempts != 0 || letters[0].Text() != "id=2" {
			t.Fatalf("letters: %+v", letters)
		}
		r.stop()
		r.routes.Actions[0].RuleParse = map[string]*action.Parser{"r": action.ParseLogfmt()}
		r.start()
		if n, _, err := r.spool.RetryLetters(spool.Filter{}, func(string) bool { return true }); n != 1 || err != nil {
			t.Errorf("RetryLetters = %d, %v", n, err)
		}
		r.want(d, `{"id": 1}`, `{"id": 3}`, "id=2")
		if want := []string{"1", "3", "2"}; !slices.Equal(keys, want) {
			t.Errorf("keys %q, want %q", keys, want)
		}
		r.stop()
	})
}

// TestParsedMessagesOfACall: not as many of them as take much memory when they are parsed,
// and those behind them in their order.
func TestParsedMessagesOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := "[" + strings.Repeat("0,", 1<<18-10) + "0]"
		var lines []string
		for range 10 {
			lines = append(lines, "X: "+large, "X: [1]", "X: {")
		}
		d := &destination{batch: 100}
		var most int
		var texts []string
		d.deliver = func(_ context.Context, batch []action.Message) error {
			sum := 0
			for _, m := range batch {
				texts = append(texts, m.Text[:2])
				sum += len(m.Data.JSON.(action.List))
			}
			most = max(most, sum)
			return nil
		}
		r := newRig(t, newMemory(lines...), d)
		r.routes.Actions[0].Parse = action.ParseJSON()
		r.start()
		synctest.Wait()
		r.stop()
		if want := slices.Repeat([]string{"[0", "[1"}, 10); !slices.Equal(texts, want) {
			t.Errorf("delivered %q, want %q", texts, want)
		}
		if most > 5<<18 || most < 2<<18 {
			t.Errorf("a call had %d values", most)
		}
		if n := r.router.Buried(); n != 10 {
			t.Errorf("%d dead letters, want 10", n)
		}
	})
}

// TestMessageIsNotOnTheHeap, as there is one for each delivery: but for its text, where
// nothing is parsed or rendered.
func TestMessageIsNotOnTheHeap(t *testing.T) {
	w := new(worker)
	d := spool.Delivery{ID: "id", Rule: "r", Record: journal.NewRecord("c", time.Now(), 0, journal.Field{Name: "MESSAGE", Value: []byte("x")})}
	var m action.Message
	if n := testing.AllocsPerRun(100, func() { m, _ = w.message(&d) }); n > 1 || m.Data.Text != "x" {
		t.Errorf("%v allocations for a message of %q", n, m.Data.Text)
	}
}

// TestTemplateThatFailsIsADeadLetter which a mended template can deliver.
func TestTemplateThatFailsIsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("X: one"), d)
		r.routes.Actions[0].Text = mustTemplate(t, `{{ if .Text }}{{ slice .Text 99 }}{{ end }}`)
		r.start()
		synctest.Wait()
		letters := r.letters()
		if len(letters) != 1 || !strings.Contains(letters[0].Cause, "template") {
			t.Fatalf("letters: %+v", letters)
		}
		r.stop()
		r.routes.Actions[0].Text = mustTemplate(t, "mended {{ .Text }}")
		r.start()
		if n, _, err := r.spool.RetryLetters(spool.Filter{}, func(string) bool { return true }); n != 1 || err != nil {
			t.Errorf("RetryLetters = %d, %v", n, err)
		}
		r.want(d, "mended one")
		r.stop()
	})
}

// TestTextIsEscaped: with a template and without.
func TestTextIsEscaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(markup)
		r := newRig(t, newMemory("X: <!channel>"), d)
		r.start()
		r.want(&d.destination, "&lt;!channel>")
		r.stop()
		var err error
		if r.routes.Actions[0].Text, err = action.ParseTemplate("<b>{{ .Text }}", d.Escape); err != nil {
			t.Fatal(err)
		}
		r.journal.log("X: <@U1>")
		r.start()
		r.want(&d.destination, "&lt;!channel>", "<b>&lt;@U1>")
		r.stop()
	})
}
