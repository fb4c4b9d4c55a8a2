//go:build torture

package torture

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// destinations are those of the three actions: a webhook that is dead until it
// is healed and then takes batches, a slow one, which refuses some lines for good,
// and a file.
type destinations struct {
	*httptest.Server
	dead, slow, file *ledger

	healed atomic.Bool
	tries  atomic.Int64 // of the dead one, in vain
	open   atomic.Int64 // connections

	path string // of the file
	read int64  // how much of it is in the ledger
}

// slowness is how long the slow destination takes for a call. It takes the line
// first and thinks then, so that a kill mostly falls between the two.
const slowness = time.Millisecond

// refused tells which lines the slow destination refuses.
func refused(line int) bool { return line%50 == 49 }

func newDestinations(t *testing.T, file string) *destinations {
	d := &destinations{dead: newLedger("dead"), slow: newLedger("slow"), file: newLedger("file"), path: file}
	d.file.unseen = true
	d.dead.open = 2
	mux := http.NewServeMux()
	mux.HandleFunc("/dead", d.serveDead)
	mux.HandleFunc("/slow", d.serveSlow)
	d.Server = httptest.NewUnstartedServer(mux)
	d.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			d.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			d.open.Add(-1)
		}
	}
	d.Start()
	t.Cleanup(d.Close)
	return d
}

func (d *destinations) all() []*ledger { return []*ledger{d.dead, d.slow, d.file} }

// serveDead answers that it is down, or hangs up, at once or after a while. That it
// never does is left out: with the time limit that this takes, an answer that is late
// because the machine is busy would be one that is lost.
func (d *destinations) serveDead(w http.ResponseWriter, r *http.Request) {
	lines, ids, err := parseLines(r.Body)
	switch {
	case err != nil: // of one who is dead himself
	case d.healed.Load():
		d.dead.take(lines, ids)
	default:
		switch d.tries.Add(1) % 3 {
		case 0:
			http.Error(w, "down", http.StatusServiceUnavailable)
		case 1:
			<-time.After(100 * time.Millisecond)
			fallthrough
		case 2:
			panic(http.ErrAbortHandler)
		}
	}
}

func (d *destinations) serveSlow(w http.ResponseWriter, r *http.Request) {
	lines, ids, err := parseLines(r.Body)
	if err != nil {
		return
	}
	d.slow.take(lines, ids)
	<-time.After(slowness)
	if refused(lines[0]) {
		http.Error(w, "refused", http.StatusUnprocessableEntity)
	}
}

// readFile brings the file's ledger up to date. Only whole lines count: the
// program cuts off what a kill has torn.
func (d *destinations) readFile() error {
	f, err := os.Open(d.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, d.read, 1<<40))
	if err != nil {
		return err
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	d.read += int64(len(b))
	if len(b) == 0 {
		return nil
	}
	lines, ids, err := parseLines(bytes.NewReader(b))
	if err == nil {
		d.file.take(lines, ids)
	}
	return err
}

// parseLines reads deliveries: the number of a line and the id, of several each as a
// JSON string.
func parseLines(r io.Reader) (lines []int, ids []string, err error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, err
	}
	for text := range strings.Lines(string(body)) {
		var line int
		var id string
		if _, err := fmt.Sscanf(strings.Trim(text, "\"\n"), "%d %s", &line, &id); err != nil {
			return nil, nil, fmt.Errorf("a delivery of %q: %w", text, err)
		}
		lines, ids = append(lines, line), append(ids, id)
	}
	return lines, ids, nil
}
