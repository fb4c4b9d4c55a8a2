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
// is healed, a slow one, which refuses some lines for good, and a file.
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
	line, id, err := parseBody(r.Body)
	switch {
	case err != nil: // of one who is dead himself
	case d.healed.Load():
		d.dead.take([]int{line}, []string{id})
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
	line, id, err := parseBody(r.Body)
	if err != nil {
		return
	}
	d.slow.take([]int{line}, []string{id})
	<-time.After(slowness)
	if refused(line) {
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
	var lines []int
	var ids []string
	for text := range strings.Lines(string(b)) {
		line, id, err := parseBody(strings.NewReader(text))
		if err != nil {
			return err
		}
		lines, ids = append(lines, line), append(ids, id)
	}
	if len(lines) > 0 {
		d.file.take(lines, ids)
	}
	return nil
}

func parseBody(r io.Reader) (line int, id string, err error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return 0, "", err
	}
	if _, err := fmt.Sscanf(string(body), "%d %s", &line, &id); err != nil {
		return 0, "", fmt.Errorf("a delivery of %q: %w", body, err)
	}
	return line, id, nil
}
