package producers

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/journal"
)

func TestStandardOutput(t *testing.T) {
	r := newRig(t)
	unit, err := os.ReadFile(filepath.Join(r.dir, "shop.service"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := r.command("systemd-analyze", "verify", "--man=no", "/srv/shop/shop.service").CombinedOutput(); err != nil || strings.Contains(string(out), "shop.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindSubmatch(unit)
	if start == nil {
		t.Fatal("the unit starts nothing")
	}
	cmd := r.command(strings.Fields(string(start[1]))...)
	out, err := r.j.UnitStdout("shop.service", "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r.j.Sync()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	entries := r.logged(
		[]string{"MESSAGE", "SLACK: ann@example.com has signed up", "PRIORITY", "6", "_TRANSPORT", "stdout"},
		[]string{"MESSAGE", "order 4711 failed: the card was declined", "PRIORITY", "3"},
		[]string{"MESSAGE", `PAID: {"order": 4711, "total": 10.5}`, "PRIORITY", "6"},
	)
	r.routed("Standard output", entries, "ann@example.com has signed up", "order 4711 failed: the card was declined", "order 4711: 10.5")
}

func TestSystemdCat(t *testing.T) {
	r := newRig(t)
	r.run("sh", "nightly.sh")
	// They are of two streams, whose order is not certain.
	got := make(map[string]string)
	entries := r.entries()
	for _, e := range entries {
		if id := value(e, "SYSLOG_IDENTIFIER"); id != "nightly" {
			t.Errorf("SYSLOG_IDENTIFIER=%q", id)
		}
		got[value(e, "MESSAGE")] = value(e, "PRIORITY")
	}
	want := map[string]string{"SLACK: 214 orders were exported": "6", "3 orders have no address": "4", "disk full": "3"}
	for message, priority := range want {
		if got[message] != priority {
			t.Errorf("%q has priority %q, want %s", message, got[message], priority)
		}
	}
	var routed []string
	for _, e := range entries {
		if p := value(e, "PRIORITY"); p <= "4" {
			routed = append(routed, value(e, "MESSAGE"))
		}
	}
	if len(routed) != 2 {
		t.Errorf("%q are to be routed", routed)
	}
	r.routed("systemd-cat", entries, routed...)
}

func TestShell(t *testing.T) {
	r := newRig(t)
	r.shell(1, "sh", "signup.sh")
	entries := r.logged([]string{"MESSAGE", "SLACK: ann@example.com has signed up", "SYSLOG_IDENTIFIER", "shop", "PRIORITY", "6", "USER_ID", "7", "REFERRER", "a friend", "_UID", "0"})
	r.routed("Shell: logger --journald", entries, "ann@example.com has signed up (user 7, by a friend)")
	entries = r.shell(2, "sh", "-c", `eval "$(sed '/^journal "/d' signup.sh)"; journal "two
PRIORITY=0" PRIORITY=3 "REFERRER=x
_UID=5
MESSAGE=false"`)
	last := entries[1]
	// No line break has begun another field; of PRIORITY journald has both.
	if m, ref := value(last, "MESSAGE"), value(last, "REFERRER"); m != "two PRIORITY=0" || ref != "x _UID=5 MESSAGE=false" {
		t.Errorf("MESSAGE=%q REFERRER=%q", m, ref)
	}
}

// shell runs a command that logs an entry until there are so many: where logger does not
// get as far within its second, as on a busy machine, the entry is lost.
func (r *rig) shell(want int, command ...string) []journal.Record {
	r.t.Helper()
	for range 20 {
		r.run(command...)
		if entries := r.entries(); len(entries) >= want {
			return entries
		}
	}
	r.t.Fatalf("%q has logged nothing", command)
	return nil
}

func TestPython(t *testing.T) {
	r := newRig(t)
	r.run("/usr/bin/python3", "signup.py")
	entries := r.logged(
		[]string{
			"MESSAGE", "SLACK: ann@example.com has signed up", "SYSLOG_IDENTIFIER", "shop", "PRIORITY", "6", "USER_ID", "7", "PLAN", "yearly",
			"LOGGER", "shop.signup", "CODE_FILE", "/srv/shop/signup.py", "CODE_LINE", "9", "CODE_FUNC", "<module>", "_TRANSPORT", "journal",
		},
		[]string{"MESSAGE", "order 4711 failed\nTraceback (most recent call last):\n...", "PRIORITY", "3", "ORDER", "4711"},
	)
	failed := value(entries[1], "MESSAGE")
	r.routed("Python", entries, "ann@example.com has signed up (yearly, user 7)", failed)
}

// TestPythonValues: any value and any name is harmless, and large entries arrive whole.
func TestPythonValues(t *testing.T) {
	r := newRig(t)
	r.run("/usr/bin/python3", "values.py")
	r.logged(
		[]string{"MESSAGE", "two\nlines", "LINES", "a\nPRIORITY=0", "PRIORITY", "4", "BYTES", "\x00\xff\n", "lower", "", "NONE", "None"},
		[]string{"MESSAGE", `\udc80 is no character`},
		[]string{"MESSAGE", "%d is no number ('x',)"},
		[]string{"MESSAGE", strings.Repeat("large ", 500_000), "AFTER", "that"},
		[]string{"MESSAGE", "1 entries were dropped...", "ENTRIES_DROPPED", "1", "PRIORITY", "4"},
		[]string{"MESSAGE", "next"},
		[]string{"MESSAGE", "child"},
		[]string{"MESSAGE", "end"},
	)
}

func TestPythonSystemd(t *testing.T) {
	r := newRig(t)
	const handler = `systemd.journal.JournalHandler(SYSLOG_IDENTIFIER="shop")`
	if !strings.Contains(section(t, "Python"), "`"+handler+"`") {
		t.Errorf("the page does not have %s", handler)
	}
	r.run("/usr/bin/python3", "-c", `import logging, systemd.journal
logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[`+handler+`])
logging.info("SLACK: hello", extra={"USER_ID": 7})`)
	r.logged([]string{"MESSAGE", "SLACK: hello", "SYSLOG_IDENTIFIER", "shop", "USER_ID", "7", "PRIORITY", "6"})
}

func TestNode(t *testing.T) {
	r := newRig(t)
	r.node()
	r.run("node", "signup.js")
	entries := r.logged(
		[]string{
			"MESSAGE", "SLACK: ann@example.com has signed up", "SYSLOG_IDENTIFIER", "shop", "PRIORITY", "6", "USER_ID", "7", "PLAN", "yearly",
			"_TRANSPORT", "journal",
		},
		[]string{"MESSAGE", "Error: the card was declined\n    at ...", "PRIORITY", "3", "ORDER", "4711"},
	)
	r.routed("Python", entries, "ann@example.com has signed up (yearly, user 7)", value(entries[1], "MESSAGE"))
}

func TestNodeValues(t *testing.T) {
	r := newRig(t)
	r.node()
	r.run("node", "values.js")
	r.logged(
		[]string{"MESSAGE", "two\nlines", "LINES", "a\nPRIORITY=0", "PRIORITY", "4", "BYTES", "\x00\xff\n", "lower", "", "NONE", "null"},
		[]string{"MESSAGE", strings.Repeat("long ", 32<<10)[:32<<10], "TRUNCATED", "MESSAGE BYTES"},
		[]string{"MESSAGE", "1 entries were dropped...", "ENTRIES_DROPPED", "1", "PRIORITY", "4"}, // before what fails
		[]string{"MESSAGE", "1 entries were dropped...", "ENTRIES_DROPPED", "1"},
		[]string{"MESSAGE", "end"},
	)
}
