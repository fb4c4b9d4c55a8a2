package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
)

// toFile sends what begins with "X: " to a file, whole.
func toFile(t *testing.T, j *journaltest.T) (p *program, path string) {
	path = filepath.Join(t.TempDir(), "out.jsonl")
	return newProgram(t, j, fmt.Sprintf(`
actions:
  out: {file: {path: "%s"}}
rules:
  - {name: x, prefix: "X: ", actions: [out]}
`, path)), path
}

// entries decodes JSON lines; a last line that is being written is left out.
func entries(t *testing.T, text []byte) (list []map[string]any) {
	t.Helper()
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(text) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, e)
	}
	return list
}

func delivered(t *testing.T, path string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return entries(t, text)
}

// count counts what was delivered; a file that is missing holds nothing yet.
func count(path string) int {
	text, _ := os.ReadFile(path)
	return bytes.Count(text, []byte("\n"))
}

// journalctl prints the journal's entries whose rule is x.
func journalctl(t *testing.T, j *journaltest.T) (list []map[string]any) {
	t.Helper()
	out, err := exec.Command("journalctl", "--namespace="+j.Namespace(), "--output=json", "--all").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries(t, out) {
		switch m := e["MESSAGE"].(type) {
		case string:
			if strings.HasPrefix(m, "X: ") {
				list = append(list, e)
			}
		case []any: // the fields of one entry's test
			list = append(list, e)
		}
	}
	return list
}

func cursors(list []map[string]any) (c []string) {
	for _, e := range list {
		c = append(c, e["__CURSOR"].(string))
	}
	return c
}

// TestFieldsAreDeliveredTrue: a rule matches the second value of a field, and
// whatever bytes an entry holds, the file has what journalctl prints.
func TestFieldsAreDeliveredTrue(t *testing.T) {
	t.Parallel() // mostly waiting for journald
	j := journaltest.Start(t, journaltest.Options{})
	p, path := toFile(t, j)
	p.startReady()
	for _, values := range [][]string{
		{"first", "X: second", "third"},
		{"X: NUL \x00 and a\nnewline", "\xff\xfe"},
		{"X: cut \xe6\xbc", "tab\tand \x1b[1m"},
		{"", "X: ", strings.Repeat("long ", 20_000)},
	} {
		var fields []journal.Field
		for i, v := range values {
			fields = append(fields, journal.Field{Name: "MESSAGE", Value: []byte(v)}, journal.Field{Name: fmt.Sprintf("OTHER_%d", i), Value: []byte(v)})
		}
		j.Send(fields...)
	}
	waitFor(t, "four entries", func() bool { return count(path) >= 4 })
	j.Sync()
	if d := cmp.Diff(journalctl(t, j), delivered(t, path)); d != "" {
		t.Errorf("(-journalctl +delivered):\n%s", d)
	}
	p.stop()
}

// TestJournaldIsRestarted: journald is stopped, or killed, in the middle of a
// stream. Whatever is in the journal afterwards arrives, once and in order.
func TestJournaldIsRestarted(t *testing.T) {
	t.Parallel() // mostly waiting for journald
	j := journaltest.Start(t, journaltest.Options{})
	p, path := toFile(t, j)
	p.startReady()
	stop, logged := make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-stop:
				logged <- n
				return
			case <-tick.C:
			}
			if j.Journald.Print(fmt.Sprintf("X: %d", n)) == nil { // else it is down
				n++
			}
		}
	}()
	for i := range 6 {
		before := count(path)
		waitFor(t, "the stream to run", func() bool { return count(path) > before+50 })
		if i%2 == 0 {
			j.Kill()
		}
		j.Restart()
	}
	close(stop)
	if n := <-logged; n < 300 {
		t.Errorf("only %d were logged", n)
	}
	j.Print("X: last")
	j.Sync()
	want := cursors(journalctl(t, j))
	waitFor(t, "all that is in the journal", func() bool { return count(path) >= len(want) })
	if d := cmp.Diff(want, cursors(delivered(t, path))); d != "" {
		t.Errorf("(-journal +delivered):\n%s", d)
	}
	p.stop()
}

// TestKilledDuringRotation: the program is killed while journald rotates, and
// finds its saved position in a file of another name. Nothing is lost; what
// was delivered and not yet acknowledged may come twice.
func TestKilledDuringRotation(t *testing.T) {
	t.Parallel() // mostly waiting for journald
	j := journaltest.Start(t, journaltest.Options{})
	p, path := toFile(t, j)
	p.startReady()
	const kills, lines = 15, 20
	for i := range kills {
		for n := range lines {
			j.Print(fmt.Sprintf("X: %d", i*lines+n))
		}
		rotated := make(chan error)
		go func() { rotated <- j.Journald.Rotate() }()
		// Anywhere between all read and nothing read.
		waitFor(t, "a part of the lines", func() bool { return count(path) >= i*lines+i })
		p.kill()
		if err := <-rotated; err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			j.Print("noise")
			j.Rotate() // once more, before anyone looks
		}
		p.start()
	}
	j.Sync()
	want := cursors(journalctl(t, j))
	waitFor(t, "the last line", func() bool {
		got := cursors(delivered(t, path))
		return len(got) > 0 && got[len(got)-1] == want[len(want)-1]
	})
	// A batch that is sent again begins at an entry that was sent already.
	next := 0
	for _, c := range cursors(delivered(t, path)) {
		at := slices.Index(want, c)
		if at < 0 || at > next {
			t.Fatalf("entry %d came where %d was due", at, next)
		}
		next = max(next, at+1)
	}
	if next != kills*lines {
		t.Errorf("%d delivered, want %d", next, kills*lines)
	}
	if n := p.says("were deleted before"); n > 0 {
		t.Errorf("%d gaps in the log", n)
	}
	p.stop()
}

// TestTruncatedJournal: a journal file is cut short under the program, which may
// kill it: libsystemd maps the file. Started again it delivers what is logged
// from then on, and reports what it had not read as a gap.
func TestTruncatedJournal(t *testing.T) {
	for _, which := range []string{"active", "archived"} {
		t.Run(which, func(t *testing.T) {
			j := journaltest.Start(t, journaltest.Options{})
			p, x, _ := toHooks(t, j)
			x.down.Store(true)
			p.startReady()
			read := fill(t, j, p, 0)
			const unread = 200
			for n := range unread {
				j.Print(fmt.Sprintf("X: %d %s", read+n, large[:2000]))
			}
			j.Sync()
			files, _ := filepath.Glob(j.Dir() + "/system.journal")
			if len(files) != 1 {
				t.Fatalf("active journal files: %q", files)
			}
			if which == "archived" {
				j.Rotate()
				files, _ = filepath.Glob(j.Dir() + "/system@*.journal")
			}
			if err := os.Truncate(files[len(files)-1], 64<<10); err != nil {
				t.Fatal(err)
			}
			x.down.Store(false)
			// journald notices when it writes, and begins a new file.
			const after = 3
			p.waitFor("what was logged afterwards", func() bool {
				j.Print("X: 999999")
				got := numbersOf(x.received())
				return len(got) > after && !slices.ContainsFunc(got[len(got)-after:], func(n int) bool { return n != 999999 })
			})
			t.Logf("%d of %d were delivered from before", len(slices.DeleteFunc(numbersOf(x.received()), func(n int) bool { return n == 999999 })), read+unread)
			if n := p.says("were deleted before"); n == 0 {
				t.Errorf("the loss is not in the log")
			}
			p.stop()
		})
	}
}

// TestWithoutPermission: who may not read the journal is told so, and how to
// mend it, instead of watching an empty one.
func TestWithoutPermission(t *testing.T) {
	t.Parallel() // mostly waiting for journald
	j := journaltest.Start(t, journaltest.Options{})
	j.Print("one file at least")
	j.Sync()
	// Another user may go neither to the test's directory nor to the program's.
	dir, err := os.MkdirTemp("", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("journal: {namespace: %s}\nactions: {print: {stdout: {}}}\nrules: [{name: x, prefix: 'X: ', actions: [print]}]\n", j.Namespace())
	program, file, state := filepath.Join(dir, "journald-router"), filepath.Join(dir, "config.yaml"), filepath.Join(dir, "state")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(program, text, 0o755), os.WriteFile(file, []byte(config), 0o644),
		os.Mkdir(state, 0o700), os.Chown(state, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "run", "--config", file)
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "STATE_DIRECTORY="+state)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("it ended well")
	}
	for _, want := range []string{"no permission to read the journal", j.Dir(), "usermod -aG systemd-journal"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("it says %q; want %q in it", out, want)
		}
	}
}
