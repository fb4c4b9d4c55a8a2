package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/journald-router/journald-router/control"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/spool"
	"github.com/rogpeppe/go-internal/testscript"
	bolt "go.etcd.io/bbolt"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"journald-router": main})
}

// world is what a script has beside its files.
type world struct {
	journal *journaltest.Journald
	server  *httptest.Server
	status  atomic.Int64
	bodies  chan string
}

// TestScripts are the specification of the command line. Each script has a
// private journald of its own, which the drop-in config.d/journal.yaml names, a
// state directory, $STATE_DIRECTORY, and at $URL an HTTP server.
//
//	log MESSAGE [FIELD=VALUE...]   logs an entry
//	journal VERB                   rotate, or restart journald
//	exits CODE PROGRAM...          the program must exit with the code
//	until REGEX PROGRAM...         runs the program until its standard output matches
//	answer STATUS                  what the server answers from now on; 200 at first
//	received TEXT...               waits for that many requests, whose bodies hold the texts
//	redelivered FILE TEXT...       the same, and their ids must be those that the letters with these
//	                               texts have in the file, which is of dead list --output json
//	ready                          waits until the daemon answers
//	contains FILE TEXT             waits until the file holds the text
//	says TEXT                      the same for the file log: the daemon's standard error
//	signal NAME                    sends HUP, TERM or KILL to the program in the background
//	layout VERSION                 makes the spool one of that layout
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"log":         cmdLog,
			"journal":     cmdJournal,
			"exits":       cmdExits,
			"until":       cmdUntil,
			"answer":      cmdAnswer,
			"received":    cmdReceived,
			"redelivered": cmdRedelivered,
			"ready":       cmdReady,
			"contains":    cmdContains,
			"says":        cmdSays,
			"signal":      cmdSignal,
			"layout":      cmdLayout,
		},
	})
}

// patience is how long a script waits for what must happen.
const patience = 30 * time.Second

func setup(env *testscript.Env) error {
	w := &world{bodies: make(chan string, 1000)}
	w.status.Store(http.StatusOK)
	var err error
	if w.journal, err = journaltest.Run(journaltest.Options{}); err != nil {
		return err
	}
	env.Defer(func() { w.journal.Close() })
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		status := int(w.status.Load())
		if status == http.StatusOK {
			w.bodies <- string(body)
		}
		http.Error(rw, "the server says so", status)
	}))
	env.Defer(w.server.Close)
	env.Values[world{}] = w
	env.Setenv("URL", w.server.URL)
	env.Setenv("STATE_DIRECTORY", filepath.Join(env.WorkDir, "state"))
	dropin := filepath.Join(env.WorkDir, "config.d", "journal.yaml")
	if err := os.MkdirAll(filepath.Dir(dropin), 0o777); err != nil {
		return err
	}
	return os.WriteFile(dropin, fmt.Appendf(nil, "journal: {namespace: %s, start: beginning}\n", w.journal.Namespace()), 0o666)
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(world{}).(*world) }

func cmdLog(ts *testscript.TestScript, neg bool, args []string) {
	fields := []journal.Field{{Name: "MESSAGE", Value: []byte(args[0])}}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		fields = append(fields, journal.Field{Name: name, Value: []byte(value)})
	}
	ts.Check(worldOf(ts).journal.Send(fields...))
	ts.Check(worldOf(ts).journal.Sync())
}

func cmdJournal(ts *testscript.TestScript, neg bool, args []string) {
	switch args[0] {
	case "rotate":
		ts.Check(worldOf(ts).journal.Rotate())
	case "restart":
		ts.Check(worldOf(ts).journal.Restart())
	default:
		ts.Fatalf("journal %s: want rotate or restart", args[0])
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exited with %d, want %d", args[1], got, want)
	}
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	want := regexp.MustCompile(args[0])
	waitFor(ts, want.String(), func() bool {
		ts.Check(ts.Exec(args[1], args[2:]...))
		return want.MatchString(ts.ReadFile("stdout"))
	})
}

func cmdAnswer(ts *testscript.TestScript, neg bool, args []string) {
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	worldOf(ts).status.Store(int64(status))
}

func cmdReceived(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.After(patience)
	var got []string
	for _, want := range args {
		select {
		case body := <-worldOf(ts).bodies:
			got = append(got, body)
			if !strings.Contains(body, want) {
				ts.Fatalf("the server got, as number %d, %q, want %q in it", len(got), body, want)
			}
		case <-deadline:
			ts.Fatalf("the server got %q, and then nothing; want %q", got, want)
		}
	}
}

func cmdRedelivered(ts *testscript.TestScript, neg bool, args []string) {
	var letters []spool.LetterView
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &letters))
	for _, text := range args[1:] {
		i := slices.IndexFunc(letters, func(l spool.LetterView) bool { return l.Text == text })
		if i < 0 {
			ts.Fatalf("no letter has the text %q", text)
		}
		cmdReceived(ts, neg, []string{fmt.Sprintf(`"id":%q,"rule":%q,"text":%q`, letters[i].ID, letters[i].Rule, text)})
	}
}

func cmdReady(ts *testscript.TestScript, neg bool, args []string) {
	cmdSays(ts, neg, []string{"reading the journal"})
	waitFor(ts, "the control socket", func() bool {
		_, err := control.Dial(context.Background(), ts.Getenv("STATE_DIRECTORY"))
		return err == nil
	})
}

func cmdContains(ts *testscript.TestScript, neg bool, args []string) {
	waitFor(ts, strconv.Quote(args[1]), func() bool {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Contains(string(data), args[1])
	})
}

func cmdSays(ts *testscript.TestScript, neg bool, args []string) {
	cmdContains(ts, neg, []string{"log", args[0]})
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	cmds := ts.BackgroundCmds()
	if len(cmds) != 1 {
		ts.Fatalf("%d programs are in the background, want 1", len(cmds))
	}
	ts.Check(cmds[0].Process.Signal(signals[args[0]]))
}

func cmdLayout(ts *testscript.TestScript, neg bool, args []string) {
	db, err := bolt.Open(filepath.Join(ts.Getenv("STATE_DIRECTORY"), spool.File), 0o600, nil)
	ts.Check(err)
	err = db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("version"), []byte(args[0])) })
	ts.Check(errors.Join(err, db.Close()))
}

func waitFor(ts *testscript.TestScript, what string, done func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}
