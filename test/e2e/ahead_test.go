package e2e

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/journald-router/journald-router/journal/journaltest"
)

// TestPositionAheadOfJournal: journald writes its files to the disk every few minutes,
// the spool does so at once, so that after a power cut the journal may end before the
// saved position. What is logged then is delivered, each once, and a gap is reported.
// journald gives the lost entries' numbers once more, be it in a new file, as after a
// crash, or in the old one, where a sound copy was put back.
func TestPositionAheadOfJournal(t *testing.T) {
	for _, tt := range []struct {
		name  string
		sound bool
		lines int // logged after the cut; 5 are lost
	}{
		{"crashed, few lines", false, 2},
		{"crashed, many lines", false, 40},
		{"put back, few lines", true, 2},
		{"put back, many lines", true, 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := journaltest.Start(t, journaltest.Options{Persistent: true})
			hook := newHook(t)
			p := newProgram(t, j, fmt.Sprintf(`
actions:
  hook:
    webhook: {url: "%s"}
    text: "{{ .Text }}"
rules:
  - {name: all, prefix: "X: ", actions: [hook]}
`, hook.URL))
			p.startReady()
			var want []string
			log := func(what string, n int) {
				for i := range n {
					j.Print(fmt.Sprintf("X: %s %d", what, i))
					want = append(want, fmt.Sprintf("%s %d", what, i))
				}
			}
			arrived := func() {
				waitFor(t, "the lines", func() bool { return len(hook.received()) >= len(want) })
			}
			log("kept", 3)
			arrived()
			j.Sync()
			if tt.sound {
				j.Stop()
			}
			if !tt.sound { // a file that is being written to
				log("kept too", 1)
				arrived()
			}
			saved := t.TempDir()
			if err := os.CopyFS(saved, os.DirFS(j.Dir())); err != nil {
				t.Fatal(err)
			}
			if tt.sound {
				j.Restart()
			}
			log("lost", 5)
			arrived()
			p.stop() // which saves the position
			j.Kill()
			if err := os.RemoveAll(j.Dir()); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(j.Dir(), os.DirFS(saved)); err != nil {
				t.Fatal(err)
			}
			j.Restart()
			log("new", tt.lines)
			j.Sync()
			p.startReady()
			log("later", 1)
			arrived()
			if got := hook.received(); !slices.Equal(got, want) {
				t.Errorf("got %q\nwant %q", got, want)
			}
			p.stop()
			if n := p.says("deleted before they could be read"); n != 1 {
				t.Errorf("a gap was reported %d times; want once", n)
			}
		})
	}
}
