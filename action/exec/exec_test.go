package exec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/exec"
	"github.com/journald-router/journald-router/journal"
)

const envSecret = "s3cr3t-of-the-environment"

func TestContract(t *testing.T) {
	actiontest.Run(t, actiontest.Harness{
		Destination: func(t *testing.T, mood actiontest.Mood) actiontest.Destination {
			accepted, healed := filepath.Join(t.TempDir(), "accepted"), filepath.Join(t.TempDir(), "healed")
			reached := make(chan struct{})
			reach := sync.OnceFunc(func() { close(reached) })
			a := newAction(t, exec.Config{
				Command: []string{"/bin/sh", "-c", map[actiontest.Mood]string{
					actiontest.Well:     `cat >>"$1"`,
					actiontest.Failing:  `[ -e "$2" ]`,
					actiontest.Refusing: `exit 65`,
					actiontest.Hanging:  `exec sleep 1000`,
					actiontest.Echoing:  `cat >&2; env >&2; exit 1`,
				}[mood], "sh", accepted, healed},
				Env: map[string]action.Secret{"TOKEN": envSecret},
			})
			a.SetSpawned(func(int) func() {
				reach()
				return func() {}
			})
			return actiontest.Destination{
				Action: a,
				Accepted: func() []string {
					b, err := os.ReadFile(accepted)
					if err != nil {
						t.Fatal(err)
					}
					return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
				},
				Reached: reached,
				Heal: func() {
					if err := os.WriteFile(healed, nil, 0o600); err != nil {
						t.Fatal(err)
					}
				},
			}
		},
		Cannot: map[actiontest.Mood]string{
			actiontest.Busy: "an exit status has no room for a time",
		},
		Secrets: []string{envSecret},
		Repeat:  "is a second run with the same ROUTER_ID: the command can tell",
	})
}

func newAction(t *testing.T, c exec.Config) *exec.Action {
	t.Helper()
	a, err := exec.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func shell(t *testing.T, script string, args ...string) *exec.Action {
	t.Helper()
	return newAction(t, exec.Config{Command: append([]string{"/bin/sh", "-c", script, "sh"}, args...)})
}

func TestResult(t *testing.T) {
	notExecutable := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(notExecutable, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	tests := []struct {
		name      string
		command   []string
		want      string // "" is accepted
		permanent bool
	}{
		{"accepted", sh("exit 0"), "", false},
		{"accepted, with words on standard error", sh("echo careful >&2"), "", false},
		{"status 1", sh("exit 1"), "run sh: exit status 1", false},
		{"status 64", sh("exit 64"), "run sh: exit status 64", false},
		{"EX_DATAERR", sh("exit 65"), "run sh: exit status 65", true},
		{"EX_TEMPFAIL", sh("exit 75"), "run sh: exit status 75", false},
		{"status 255", sh("exit 255"), "run sh: exit status 255", false},
		{"signal", sh("kill -SEGV $$"), "run sh: signal: segmentation fault", false},
		{"reason on standard error", sh("echo no such team >&2; echo really >&2; exit 65"), "run sh: exit status 65: no such team really", true},
		{"standard output is not the reason", sh("echo hello; exit 3"), "run sh: exit status 3", false},
		{"not found", []string{"no-such-program"}, `run no-such-program: exec: "no-such-program": executable file not found in $PATH (is it installed, where the daemon can see it, and what its first line names too?)`, false},
		{"path not found", []string{"/no/such/program"}, "run /no/such/program: fork/exec /no/such/program: no such file or directory (is it installed, where the daemon can see it, and what its first line names too?)", false},
		{"not executable", []string{notExecutable}, "run " + notExecutable + ": fork/exec " + notExecutable + ": permission denied (make it executable by the router's user: chmod a+rx)", false},
		{"arguments are not a shell's", []string{"sh", "-c", `[ "$1" = '$(id); *' ]`, "sh", "$(id); *"}, "", false},
		{"standard input is not read", sh("exec 0<&-; exit 0"), "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			large := journal.NewRecord("", time.Time{}, 0, journal.Field{Name: "LARGE", Value: bytes.Repeat([]byte("x"), 1<<20)})
			err := newAction(t, exec.Config{Command: tt.command}).Deliver(t.Context(), []action.Message{{Record: large}})
			if err == nil && tt.want == "" {
				return
			}
			if err == nil || err.Error() != tt.want || action.IsPermanent(err) != tt.permanent {
				t.Errorf("%v (permanent: %v)\nwant %s", err, action.IsPermanent(err), tt.want)
			}
		})
	}
}

func TestStderrIsCut(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"long", `i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i+1)); done >&2; exit 1`, "line 1998 line 1999"},
		{"a secret at the cut", `head -c 100 /dev/zero | tr '\0' a >&2; printf %s "$TOKEN" >&2; head -c 480 /dev/zero | tr '\0' b >&2; exit 1`, "bbb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAction(t, exec.Config{Command: []string{"sh", "-c", tt.script}, Env: map[string]action.Secret{"TOKEN": envSecret}})
			err := a.Deliver(t.Context(), []action.Message{{}})
			shown, ok := strings.CutPrefix(fmt.Sprint(err), "run sh: exit status 1: …")
			if !ok || len(shown) > 500 || !strings.HasSuffix(shown, tt.want) || strings.Contains(shown, "environment") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestInput(t *testing.T) {
	out := filepath.Join(t.TempDir(), "stdin")
	record := journal.NewRecord("s=1", time.UnixMicro(2), 3*time.Microsecond, journal.Field{Name: "MESSAGE", Value: []byte("two\nlines")})
	if err := shell(t, `cat >"$1"`, out).Deliver(t.Context(), []action.Message{{Text: "not this", Record: record}}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if want := string(record.AppendJSON(nil)) + "\n"; err != nil || string(got) != want {
		t.Errorf("standard input was %q, %v; want %q", got, err, want)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("LANG", "C.UTF-8")
	t.Setenv("TZ", "UTC")
	t.Setenv("DAEMON_SECRET", "of no concern")
	base := map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME"), "LANG": "C.UTF-8", "TZ": "UTC",
		"ROUTER_ID": "0123", "ROUTER_RULE": "checkout", "ROUTER_TEXT": "two\nlines; $(id)",
	}
	long := strings.Repeat("x", 64<<10)
	field := func(name, value string) journal.Field { return journal.Field{Name: name, Value: []byte(value)} }
	tests := []struct {
		name   string
		fields []journal.Field
		env    map[string]action.Secret
		want   map[string]string
	}{
		{"no fields", nil, nil, nil},
		{"fields", []journal.Field{field("MESSAGE", "a=b\n"), field("_PID", "1"), field("EMPTY", "")}, nil,
			map[string]string{"JOURNAL_MESSAGE": "a=b\n", "JOURNAL__PID": "1", "JOURNAL_EMPTY": ""}},
		{"first of a repeated field", []journal.Field{field("A", "1"), field("A", "2")}, nil, map[string]string{"JOURNAL_A": "1"}},
		{"names that no shell could read", []journal.Field{field("a", "1"), field("A-B", "1"), field("A B", "1"), field("", "1"), field("É", "1"), field("A1_", "1")}, nil,
			map[string]string{"JOURNAL_A1_": "1"}},
		{"NUL", []journal.Field{field("A", "1\x002"), field("B", "\xff")}, nil, map[string]string{"JOURNAL_B": "\xff"}},
		{"too long", []journal.Field{field("A", long+"x"), field("B", long)}, nil, map[string]string{"JOURNAL_B": long}},
		{"too many", []journal.Field{field("A", long), field("B", long), field("C", long), field("D", long), field("E", "fits")}, nil,
			map[string]string{"JOURNAL_A": long, "JOURNAL_B": long, "JOURNAL_C": long, "JOURNAL_E": "fits"}},
		{"the user's own", []journal.Field{field("A", "1")}, map[string]action.Secret{"TOKEN": "x y", "JOURNAL_A": "mine", "PATH": "/bin"},
			map[string]string{"TOKEN": "x y", "JOURNAL_A": "mine", "PATH": "/bin"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "environ")
			a := newAction(t, exec.Config{Command: []string{"/bin/cp", "/proc/self/environ", out}, Env: tt.env})
			err := a.Deliver(t.Context(), []action.Message{{
				ID: "0123", Rule: "checkout", Text: "two\nlines; $(id)", Record: journal.NewRecord("", time.Time{}, 0, tt.fields...),
			}})
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, line := range strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00") {
				name, value, _ := strings.Cut(line, "=")
				if _, twice := got[name]; twice {
					t.Errorf("%s is there twice", name)
				}
				got[name] = value
			}
			want := maps.Clone(base)
			maps.Copy(want, tt.want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%.2000s", diff)
			}
		})
	}
}

// TestProcessesEnd looks for what may be left of a command and its children.
func TestProcessesEnd(t *testing.T) {
	const background = `sleep 1000 & echo $! >"$1.new"; mv "$1.new" "$1"; `
	tests := []struct {
		name   string
		script string
		stop   bool
		want   string
	}{
		{"left behind by success", background + "exit 0", false, "<nil>"},
		{"left behind by failure", background + "exit 1", false, "run /bin/sh: exit status 1"},
		{"stopped", background + "wait", true, "run /bin/sh: stopped: context canceled"},
		{"stopped, with last words", "exec 3>&2 2>/dev/null; trap 'echo bye >&3; exit 65' TERM; " + background + "wait", true, "run /bin/sh: stopped: context canceled: bye"},
		{"stopped, done just in time", "trap 'exit 0' TERM; " + background + "wait", true, "<nil>"},
		{"deaf to SIGTERM", "trap '' TERM; " + background + "wait; wait; sleep 1000", true, "run /bin/sh: stopped: context canceled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "pid")
			a := shell(t, tt.script, pidFile)
			a.SetKillDelay(50 * time.Millisecond)
			if !strings.HasPrefix(tt.name, "deaf") {
				a.SetKillDelay(time.Minute)
			}
			var leader int
			ended := false
			a.SetSpawned(func(pid int) func() {
				leader = pid
				return func() { ended = true }
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.stop {
				go func() {
					waitForFile(t, pidFile)
					cancel()
				}()
			}
			err := a.Deliver(ctx, []action.Message{{}})
			if fmt.Sprint(err) != tt.want || action.IsPermanent(err) {
				t.Errorf("%v, want %s", err, tt.want)
			}
			if leader == 0 || !ended {
				t.Errorf("spawned was called with %d, and ended: %v", leader, ended)
			}
			if alive(leader) {
				t.Errorf("the command, %d, is still there", leader)
			}
			child, err := strconv.Atoi(strings.TrimSpace(string(waitForFile(t, pidFile))))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the child's end", func() bool { return !alive(child) })
		})
	}
}

// TestProcessThatLeftTheGroup holds the command's standard error open for ever:
// it must not hold Deliver.
func TestProcessThatLeftTheGroup(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	a := shell(t, `setsid sh -c 'echo $$ >"$1.new"; mv "$1.new" "$1"; exec sleep 1000' sh "$1" & while [ ! -e "$1" ]; do sleep 0.01; done`, pidFile)
	err := a.Deliver(t.Context(), []action.Message{{}})
	if err != nil {
		t.Errorf("%v, want the success of the command itself", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(waitForFile(t, pidFile))))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Error("the process that left is dead: the test has shown nothing")
	}
	syscall.Kill(pid, syscall.SIGKILL)
}

func TestTimeLimitSaysSo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := shell(t, "exec sleep 1000").Deliver(ctx, []action.Message{{}})
	if want := "run /bin/sh: stopped at the time limit: context deadline exceeded"; err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestConfig(t *testing.T) {
	tests := []struct {
		name   string
		config exec.Config
		want   []string
	}{
		{"absolute", exec.Config{Command: []string{"/usr/bin/page", "--team", "a b"}}, nil},
		{"by name", exec.Config{Command: []string{"page"}, Env: map[string]action.Secret{"TOKEN": "x"}, Timeout: time.Minute}, nil},
		{"path with spaces and an argument", exec.Config{Command: []string{"/opt/my program", "x"}}, nil},
		{"nothing", exec.Config{}, []string{"command"}},
		{"empty", exec.Config{Command: []string{""}}, []string{"command"}},
		{"relative", exec.Config{Command: []string{"./page"}}, []string{"command"}},
		{"a line for a shell", exec.Config{Command: []string{"page --team growth"}}, []string{"command"}},
		{"NUL", exec.Config{Command: []string{"page", "a\x00"}}, []string{"command"}},
		{"everything at once", exec.Config{Env: map[string]action.Secret{"": "x", "A=B": "x", "C": envSecret + "\x00"}, Timeout: -1},
			[]string{"command", "env.", "env.A=B", "env.C", "timeout"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := exec.New(tt.config)
			if diff := cmp.Diff(tt.want, actiontest.RefusedKeys(t, err)); diff != "" || (a == nil) != (err != nil) {
				t.Errorf("%v, %v\n%s", a, err, diff)
			}
			if err != nil && strings.Contains(err.Error(), envSecret) {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

func TestTimeLimit(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{0: action.DefaultTimeout, time.Minute: time.Minute} {
		if got := newAction(t, exec.Config{Command: []string{"true"}, Timeout: set}).TimeLimit(); got != want {
			t.Errorf("timeout %v: %v, want %v", set, got, want)
		}
	}
}

// alive tells whether there is such a process, and it is no zombie: where nobody
// reaps orphans, as in many containers, they stay.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	return !slices.Contains([]string{"Z", "X"}, fields[0])
}

func waitForFile(t *testing.T, path string) (content []byte) {
	eventually(t, path, func() bool {
		var err error
		content, err = os.ReadFile(path)
		return err == nil
	})
	return content
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Errorf("waited 10 s for %s", what)
			return
		}
		time.Sleep(time.Millisecond)
	}
}
