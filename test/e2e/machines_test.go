package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal/journaltest"
)

// TestMachines: a directory that machines upload their journals to. One has been
// away, and what it uploads is older than all that was delivered; another is
// appended to a file that is there; the program is stopped and started between.
// Each entry is delivered once, in its machine's order.
func TestMachines(t *testing.T) {
	dir := t.TempDir()
	hook := newHook(t)
	p := newProgramOn(t, "directory: "+dir+", start: beginning", fmt.Sprintf(`
actions:
  hook: {webhook: {url: "%s"}}
rules:
  - {name: hook, prefix: "HOOK: ", actions: [hook]}
`, hook.URL))

	// upload has machine number m log n entries, from that many seconds after noon on.
	want := make(map[int][]string)
	upload := func(path string, m, seconds, n int) {
		t.Helper()
		id := strings.Repeat(fmt.Sprint(m), 32)
		journaltest.ForgeFile(t, path, func(yield func(journaltest.Entry) bool) {
			for i := range n {
				s := time.Duration(seconds+i) * time.Second
				message := fmt.Sprintf("m%d-%d.", m, len(want[m]))
				want[m] = append(want[m], message)
				yield(journaltest.Entry{
					Time: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC).Add(s), Monotonic: time.Hour + s, Boot: id,
					Fields: journaltest.Fields("_BOOT_ID", id, "_MACHINE_ID", id, "MESSAGE", "HOOK: "+message),
				})
			}
		})
	}
	delivered := func() {
		t.Helper()
		for m, messages := range want {
			var got []string
			waitFor(t, fmt.Sprintf("%d entries of machine %d", len(messages), m), func() bool {
				got = nil
				for _, body := range hook.received() {
					_, rest, _ := strings.Cut(body, fmt.Sprintf("m%d-", m))
					if number, _, ok := strings.Cut(rest, "."); ok {
						got = append(got, fmt.Sprintf("m%d-%s.", m, number))
					}
				}
				return len(got) >= len(messages)
			})
			if !slices.Equal(got, messages) {
				t.Errorf("machine %d: got %q, want %q", m, got, messages)
			}
		}
	}
	web, db := filepath.Join(dir, "remote-web.journal"), filepath.Join(dir, "remote-db.journal")

	p.startReady()
	upload(web, 1, 1000, 50)
	delivered()
	p.stop()
	p.startReady()
	aside := filepath.Join(t.TempDir(), "db.journal")
	upload(aside, 2, 0, 200)
	if err := os.Rename(aside, db); err != nil {
		t.Fatal(err)
	}
	delivered()
	upload(db, 2, 200, 3)
	upload(web, 3, -500, 20)
	upload(web, 1, 1050, 3)
	delivered()
	p.stop()
	upload(web, 4, -1000, 20)
	upload(db, 2, 210, 3)
	p.startReady()
	delivered()
	p.stop()
}
