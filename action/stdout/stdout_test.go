package stdout_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/stdout"
)

func TestContract(t *testing.T) {
	actiontest.Run(t, actiontest.Harness{
		Destination: func(t *testing.T, mood actiontest.Mood) actiontest.Destination {
			w := &output{mood: mood, reached: make(chan struct{}, 10), end: make(chan struct{})}
			t.Cleanup(func() { close(w.end) })
			return actiontest.Destination{
				Action:   stdout.NewWriter(w),
				Accepted: w.lines,
				Reached:  w.reached,
				Heal:     func() { w.mood = actiontest.Well },
			}
		},
		Cannot: map[actiontest.Mood]string{
			actiontest.Refusing: "an output takes every line or none",
			actiontest.Busy:     "an output knows no time at which to come back",
			actiontest.Echoing:  "an output does not answer",
		},
		Repeat: "is printed twice",
	})
}

// output is a writer in a mood.
type output struct {
	mood    actiontest.Mood
	reached chan struct{}
	end     chan struct{}

	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *output) Write(b []byte) (int, error) {
	switch w.mood {
	case actiontest.Failing:
		return 0, syscall.EPIPE
	case actiontest.Hanging:
		w.reached <- struct{}{}
		<-w.end
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(b)
}

func (w *output) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Split(strings.TrimSuffix(w.buf.String(), "\n"), "\n")
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	err := stdout.NewWriter(&b).Deliver(t.Context(), []action.Message{
		{Text: "plain"},
		{Text: "two\nlines\x1b[2J", Custom: true},
		{},
	})
	if want := "plain\n" + `two\nlines\x1b[2J` + "\n\n"; err != nil || b.String() != want {
		t.Errorf("%q, %v; want %q", b.String(), err, want)
	}
}

// TestPipeWithoutReader is a real pipe whose reader has gone, by way of a process
// of its own: on the real standard output, the Go runtime dies of SIGPIPE unless
// the signal is taken care of, and that is the program's business.
func TestPipeWithoutReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	err = stdout.NewWriter(w).Deliver(t.Context(), []action.Message{{Text: "line"}})
	if !errors.Is(err, syscall.EPIPE) || action.IsPermanent(err) {
		t.Errorf("%v, want a temporary EPIPE", err)
	}
}

// TestNew runs this test program as another process, to see that New's action
// prints on the real standard output.
func TestNew(t *testing.T) {
	if os.Getenv("STDOUT_TEST_CHILD") != "" {
		a, err := stdout.New(stdout.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Deliver(t.Context(), []action.Message{{Text: "a line for you"}}); err != nil {
			t.Fatal(err)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNew$")
	cmd.Env = append(os.Environ(), "STDOUT_TEST_CHILD=1")
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), "a line for you\n") {
		t.Errorf("%q, %v", out, err)
	}
}
