package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/journald-router/journald-router/journal/journaltest"
	"golang.org/x/sys/unix"
)

// TestFullDisk: a destination is down until the spool has filled its disk.
// Reading stops, and says so. Once the destination is back everything arrives,
// in order and once, without anybody making room.
func TestFullDisk(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	var mu sync.Mutex
	var got []string
	down := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if down || err != nil {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		number, _, _ := strings.Cut(string(body), " ")
		got = append(got, number)
	}))
	defer server.Close()
	p := newProgram(t, j, fmt.Sprintf(`
actions:
  hook:
    webhook: {url: "%s"}
    text: "{{ .Text }}"
    retry: {min: 10ms, max: 100ms}
rules:
  - {name: all, prefix: "X: ", actions: [hook]}
`, server.URL))
	state := filepath.Join(p.dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=12m"); err != nil {
		t.Fatalf("mount a small file system, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(state, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	p.startReady()

	const lines = 10_000
	for n := range lines {
		j.Print(fmt.Sprintf("X: %d %s", n, strings.Repeat("x", 1000)))
	}
	waitFor(t, "the disk to be full", func() bool { return p.says("reading has stopped until the spool can be written") > 0 })
	mu.Lock()
	down = false
	mu.Unlock()
	waitFor(t, "the last line", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) > 0 && got[len(got)-1] == strconv.Itoa(lines-1)
	})
	for n, number := range got {
		if number != strconv.Itoa(n) {
			t.Fatalf("line %s came where %d was due", number, n)
		}
	}
	if p.says("reading goes on: the spool can be written again") == 0 {
		t.Error("the log does not say that it goes on")
	}
	p.stop()
}
