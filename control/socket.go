package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/router"
	"github.com/journald-router/journald-router/spool"
)

// Socket is the name of the socket in the state directory.
const Socket = "control.sock"

// address is the socket's, for bind and connect: their limit of 108 bytes
// (unix(7)) is got round by naming the directory through a descriptor.
func address(dir string) (name string, release func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join("/proc/self/fd", fmt.Sprint(d.Fd()), Socket), func() { d.Close() }, nil
}

// Status tells what the daemon does.
type Status func() router.Snapshot

// Serve answers on the socket in the state directory until ctx is done. Who
// calls it has the spool open, so that a socket which is there already was left
// by a process that is dead.
func Serve(ctx context.Context, dir string, letters Letters, status Status) error {
	name, release, err := address(dir)
	if err != nil {
		return fmt.Errorf("open control socket: %w", err)
	}
	defer release()
	listener, err := listen(name)
	if err != nil {
		return fmt.Errorf("open control socket: %w", err)
	}
	defer os.Remove(name)
	server := &http.Server{Handler: handler(letters, status), ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		// The spool is closed when this returns: who still uses it is waited for.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	}()
	err = server.Serve(listener)
	if ctx.Err() == nil {
		return fmt.Errorf("serve control socket: %w", err)
	}
	<-stopped
	return nil
}

// listen makes the socket under another name, and has it in its place only once
// nobody but the daemon's user can connect. One that was there is replaced.
func listen(name string) (net.Listener, error) {
	made := name + ".new"
	if err := os.Remove(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	err = os.Chmod(made, 0o600)
	if err == nil {
		err = os.Rename(made, name)
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close(), os.Remove(made))
	}
	return listener, nil
}

func handler(letters Letters, status Status) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dead", func(w http.ResponseWriter, r *http.Request) {
		out := json.NewEncoder(w)
		f, err := parseFilter(r.URL.Query())
		if err != nil {
			out.Encode(reply{Error: err.Error()})
			return
		}
		for letter, err := range letters.List(r.Context(), f) {
			if err != nil {
				out.Encode(reply{Error: err.Error()})
				return
			}
			if out.Encode(reply{Letter: &letter}) != nil {
				return
			}
		}
		out.Encode(reply{End: true})
	})
	change := func(do func(context.Context, spool.Filter) (Result, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			answer := reply{End: true}
			f, err := parseFilter(r.URL.Query())
			if err == nil {
				var result Result
				result, err = do(r.Context(), f)
				answer.Result = &result
			}
			if err != nil {
				answer.Error = err.Error()
			}
			json.NewEncoder(w).Encode(answer)
		}
	}
	mux.Handle("POST /dead/retry", change(letters.Retry))
	mux.Handle("POST /dead/drop", change(letters.Drop))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		now := status()
		json.NewEncoder(w).Encode(reply{Status: &now, End: true})
	})
	return mux
}

// reply is one line of an answer. The last one has End or Error: without either
// the answer was cut short.
type reply struct {
	Letter *spool.LetterView `json:"letter,omitempty"`
	Result *Result           `json:"result,omitempty"`
	Status *router.Snapshot  `json:"status,omitempty"`
	Error  string            `json:"error,omitempty"`
	End    bool              `json:"end,omitempty"`
}

// Remote is a daemon that runs on the state directory. It is also its letters.
type Remote struct{ client *http.Client }

// Dial finds out whether a daemon answers on the socket in the state directory;
// the error is ErrNoDaemon if none does.
func Dial(ctx context.Context, dir string) (*Remote, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		name, release, err := address(dir)
		if err != nil {
			return nil, err
		}
		defer release()
		return new(net.Dialer).DialContext(ctx, "unix", name)
	}
	conn, err := dial(ctx, "", "")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("connect to the daemon by %s: %w (run this as root or as the daemon's user)", filepath.Join(dir, Socket), fs.ErrPermission)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the daemon: %w", err)
	}
	conn.Close()
	return &Remote{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}, nil
}

// call sends one request and yields the lines of its answer.
func (r *Remote) call(ctx context.Context, method, path string, f spool.Filter) iter.Seq2[reply, error] {
	return func(yield func(reply, error) bool) {
		req, err := http.NewRequestWithContext(ctx, method, "http://router"+path+"?"+query(f).Encode(), nil)
		if err == nil {
			var resp *http.Response
			if resp, err = r.client.Do(req); err == nil {
				defer resp.Body.Close()
				err = lines(resp.Body, yield)
			}
		}
		if err != nil {
			yield(reply{}, fmt.Errorf("ask the daemon: %w", err))
		}
	}
}

// lines yields the lines of an answer up to its end. A yield that wants no more
// ends it too.
func lines(body io.Reader, yield func(reply, error) bool) error {
	in := json.NewDecoder(bufio.NewReader(body))
	for {
		var line reply
		if err := in.Decode(&line); err != nil {
			return fmt.Errorf("the answer was cut short: %w", err)
		}
		if line.Error != "" {
			yield(line, errors.New(line.Error))
			return nil
		}
		has := line.Letter != nil || line.Result != nil || line.Status != nil
		if has && !yield(line, nil) || line.End {
			return nil
		}
	}
}

// List implements Letters.
func (r *Remote) List(ctx context.Context, f spool.Filter) iter.Seq2[spool.LetterView, error] {
	return func(yield func(spool.LetterView, error) bool) {
		for line, err := range r.call(ctx, http.MethodGet, "/dead", f) {
			if err != nil {
				yield(spool.LetterView{}, err)
				return
			}
			if !yield(*line.Letter, nil) {
				return
			}
		}
	}
}

// Retry implements Letters.
func (r *Remote) Retry(ctx context.Context, f spool.Filter) (Result, error) {
	return r.change(ctx, "/dead/retry", f)
}

// Drop implements Letters.
func (r *Remote) Drop(ctx context.Context, f spool.Filter) (Result, error) {
	return r.change(ctx, "/dead/drop", f)
}

func (r *Remote) change(ctx context.Context, path string, f spool.Filter) (result Result, err error) {
	for line, lineErr := range r.call(ctx, http.MethodPost, path, f) {
		if line.Result != nil {
			result = *line.Result
		}
		err = lineErr
	}
	return result, err
}

// Status asks the daemon what it does.
func (r *Remote) Status(ctx context.Context) (now router.Snapshot, err error) {
	for line, lineErr := range r.call(ctx, http.MethodGet, "/status", spool.Filter{}) {
		if line.Status != nil {
			now = *line.Status
		}
		err = lineErr
	}
	return now, err
}
