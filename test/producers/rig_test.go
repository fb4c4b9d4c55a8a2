// Package producers runs the recipes of docs/PRODUCERS.md as they stand on that page:
// against a real systemd-journald, which is at the system's own path for them, and with
// the rules beside them.
package producers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/journaltest/stored"
)

// work is a directory for all tests.
var work string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	var err error
	if work, err = os.MkdirTemp("", "router-producers-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(work)
	return m.Run()
}

// patience is how long a program may take that has no reason to wait.
const patience = 2 * time.Minute

// rig is a machine with a journald and the page's files in /srv/shop.
type rig struct {
	t   *testing.T
	j   *journaltest.T
	dir string // is /srv/shop
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, j: journaltest.Start(t, journaltest.Options{}), dir: t.TempDir()}
	writeFiles(t, r.dir)
	drivers, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range drivers {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.dir, filepath.Base(path)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// place mounts the sockets of the private journald, $1, where the system's are, and the
// page's files, $2, where its unit has them, in a mount namespace of the command's own.
// So systemd does it for a unit with LogNamespace=.
const place = `set -e
mount --bind "$1" /mnt
mount -t tmpfs tmpfs /run/systemd
mkdir /run/systemd/journal
mount --move /mnt /run/systemd/journal
mount -t tmpfs tmpfs /srv
mkdir /srv/shop
mount --bind "$2" /srv/shop
cd /srv/shop
shift 2
exec "$@"`

// command is one on the rig's machine, which gets killed when the test's patience ends.
func (r *rig) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	r.t.Cleanup(cancel)
	sockets := "/run/systemd/journal." + r.j.Namespace()
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", place, "sh", sockets, r.dir}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs a command that must end well and say nothing on standard error.
func (r *rig) run(args ...string) {
	r.t.Helper()
	cmd := r.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		r.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
}

func (r *rig) stop() { r.signal(syscall.SIGSTOP) }
func (r *rig) cont() { r.signal(syscall.SIGCONT) }

func (r *rig) signal(s syscall.Signal) {
	r.t.Helper()
	if err := syscall.Kill(r.j.PID(), s); err != nil {
		r.t.Fatal(err)
	}
}

// entries are those in the journal, but journald's own.
func (r *rig) entries() (all []journal.Record) {
	r.t.Helper()
	for _, record := range stored.In(r.t, r.j.Journald) {
		if value(record, "SYSLOG_IDENTIFIER") != "systemd-journald" {
			all = append(all, record)
		}
	}
	return all
}

func value(r journal.Record, field string) string {
	v, _ := r.Get(field)
	return string(v)
}

// logged compares the entries with what is wanted of each: pairs of a field and its
// value, which may end in "..." for any end.
func (r *rig) logged(want ...[]string) []journal.Record {
	r.t.Helper()
	all := r.entries()
	if len(all) != len(want) {
		r.t.Fatalf("%d entries, want %d:\n%s", len(all), len(want), all)
	}
	for i, pairs := range want {
		for pair := range slices.Chunk(pairs, 2) {
			got := value(all[i], pair[0])
			begin, open := strings.CutSuffix(pair[1], "...")
			if got != pair[1] && (!open || !strings.HasPrefix(got, begin)) {
				r.t.Errorf("entry %d has %s=%q, want %q", i, pair[0], got, pair[1])
			}
		}
	}
	return all
}

// router is the program.
var router = sync.OnceValues(func() (string, error) {
	path := filepath.Join(work, "journald-router")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/journald-router").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// routed checks what the rules beside a recipe make of its entries, as they are in a
// service's journal: there they have _SYSTEMD_UNIT, which needs a systemd.
func (r *rig) routed(heading string, entries []journal.Record, want ...string) {
	r.t.Helper()
	binary, err := router()
	if err != nil {
		r.t.Fatal(err)
	}
	var forged []journaltest.Entry
	for _, e := range entries {
		f := journaltest.Entry{Time: e.Time(), Monotonic: e.Monotonic(), Boot: journaltest.Boot1}
		for name, value := range e.Fields() {
			if n := string(name); n != "_BOOT_ID" && n != "_SYSTEMD_UNIT" {
				f.Fields = append(f.Fields, journal.Field{Name: n, Value: value})
			}
		}
		f.Fields = append(f.Fields, journal.Field{Name: "_SYSTEMD_UNIT", Value: []byte("shop.service")})
		forged = append(forged, f)
	}
	dir := r.t.TempDir()
	config := fmt.Sprintf("journal: {directory: %s, start: beginning}\nstate: %s/state\n", journaltest.Forge(r.t, forged...), dir) +
		fmt.Sprintf("actions: {growth: {file: {path: %s/out}, text: '{{ .Text }}'}}\n", dir) + rulesOf(r.t, heading)
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if out, err := exec.Command(binary, "run", "--once", "--config", path).CombinedOutput(); err != nil {
		r.t.Fatalf("run --once: %v\n%s\n%s", err, out, config)
	}
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "\n", `\n`) // the file has a line for each
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"); !slices.Equal(got, want) {
		r.t.Errorf("the rules make of it:\n%q\nwant:\n%q", got, want)
	}
}

// modules are those that package.json names, built.
var modules = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(work, "npm")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund")
	cmd.Dir, cmd.Env = dir, os.Environ()
	// Node's headers, which the addon is compiled with, come with Debian's packages; else
	// npm fetches them.
	if _, err := os.Stat("/usr/include/node/node.h"); err == nil {
		cmd.Env = append(cmd.Env, "npm_config_nodedir=/usr")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return filepath.Join(dir, "node_modules"), nil
})

// node gives the recipes for Node what they need.
func (r *rig) node() {
	r.t.Helper()
	dir, err := modules()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(r.dir, "node_modules")); err != nil {
		r.t.Fatal(err)
	}
}
