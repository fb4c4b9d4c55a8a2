package webhook_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/webhook"
	"github.com/journald-router/journald-router/journal"
)

const (
	pathSecret   = "the-path-secret-0123"
	querySecret  = "qsecret"
	userSecret   = "usersecret"
	passSecret   = "passsecret"
	headerSecret = "headersecret"
)

func TestContract(t *testing.T) {
	actiontest.Run(t, actiontest.Harness{
		Destination: destination,
		Secrets:     []string{pathSecret, querySecret, userSecret, passSecret, headerSecret, "dXNlcnNlY3JldDpwYXNzc2VjcmV0"},
		Repeat:      "is a second request with the same Idempotency-Key",
	})
}

func TestContractOfArray(t *testing.T) {
	actiontest.Run(t, actiontest.Harness{
		Destination: func(t *testing.T, mood actiontest.Mood) actiontest.Destination {
			return withFormat(t, mood, webhook.Array)
		},
		Secrets: []string{pathSecret, querySecret, userSecret, passSecret, headerSecret},
		Repeat:  "is another request; the ids in it tell",
	})
}

// TestFormats: what several deliveries are as one request, and one.
func TestFormats(t *testing.T) {
	object := func(id, text string) string {
		return `{"id":"` + id + `","rule":"r","text":"` + text + `","fields":{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000123456","__MONOTONIC_TIMESTAMP":"42","MESSAGE":"HOOK: <b>\nline two","BINARY":[0,255]}}`
	}
	tests := []struct {
		format      webhook.Format
		batch       []action.Message
		body        string
		contentType string
		key         string
	}{
		{webhook.Array, []action.Message{{ID: "1", Rule: "r", Text: "a"}}, "[" + object("1", "a") + "]\n", "application/json", "1"},
		{webhook.Array, []action.Message{{ID: "1", Rule: "r", Text: "a"}, {ID: "2", Rule: "r", Text: "b"}},
			"[" + object("1", "a") + ",\n" + object("2", "b") + "]\n", "application/json", "6b51d431df5d7f141cbececcf79edf3d"},
		{webhook.NDJSON, []action.Message{{ID: "1", Rule: "r", Text: "a"}, {ID: "2", Rule: "r", Text: "b"}},
			object("1", "a") + "\n" + object("2", "b") + "\n", "application/x-ndjson", "6b51d431df5d7f141cbececcf79edf3d"},
		{webhook.NDJSON, []action.Message{{ID: "1", Text: "{\n \"a\": [1,\n2]}", Custom: true}, {ID: "2", Text: "two\nlines \xff", Custom: true}},
			`{"a":[1,2]}` + "\n" + `"two\nlines \ufffd"` + "\n", "application/x-ndjson", "6b51d431df5d7f141cbececcf79edf3d"},
	}
	for _, tt := range tests {
		var request *http.Request
		var body []byte
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			request = r
			body, _ = io.ReadAll(r.Body)
		}))
		a := newAction(t, webhook.Config{URL: server.URL, Format: tt.format})
		for i := range tt.batch {
			tt.batch[i].Record = record
		}
		if err := a.Deliver(t.Context(), tt.batch); err != nil {
			t.Fatal(err)
		}
		server.Close()
		if string(body) != tt.body {
			t.Errorf("%s of %d\n got %s\nwant %s", tt.format, len(tt.batch), body, tt.body)
		}
		if c, k := request.Header.Get("Content-Type"), request.Header.Get("Idempotency-Key"); c != tt.contentType || k != tt.key {
			t.Errorf("%s of %d: %s, key %s", tt.format, len(tt.batch), c, k)
		}
	}
}

func destination(t *testing.T, mood actiontest.Mood) actiontest.Destination {
	return withFormat(t, mood, webhook.Single)
}

func withFormat(t *testing.T, mood actiontest.Mood, format webhook.Format) actiontest.Destination {
	s := &receiver{mood: mood, reached: make(chan struct{}, 10)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	url := strings.Replace(server.URL, "://", "://"+userSecret+":"+passSecret+"@", 1) + "/hooks/" + pathSecret + "?token=" + querySecret
	a, err := webhook.New(webhook.Config{URL: url, Format: format, Headers: map[string]action.Secret{"Authorization-Token": headerSecret}})
	if err != nil {
		t.Fatal(err)
	}
	return actiontest.Destination{Action: a, Accepted: s.texts, Reached: s.reached, Heal: func() { s.set(actiontest.Well) }}
}

// receiver is a web server in a mood.
type receiver struct {
	reached chan struct{}

	mu       sync.Mutex
	mood     actiontest.Mood
	accepted []string
}

func (s *receiver) set(mood actiontest.Mood) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mood = mood
}

func (s *receiver) texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

func (s *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dump, _ := httputil.DumpRequest(r, true)
	switch s.mood {
	case actiontest.Well:
		_, body, _ := strings.Cut(string(dump), "\r\n\r\n")
		s.accepted = append(s.accepted, body)
	case actiontest.Failing:
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
	case actiontest.Refusing:
		http.Error(w, "no such hook", http.StatusNotFound)
	case actiontest.Busy:
		w.Header().Set("Retry-After", fmt.Sprint(actiontest.BusyFor.Seconds()))
		w.WriteHeader(http.StatusTooManyRequests)
	case actiontest.Echoing:
		w.WriteHeader(http.StatusBadRequest)
		w.Write(dump)
	case actiontest.Hanging:
		s.reached <- struct{}{}
		<-r.Context().Done()
	}
}

var record = journal.NewRecord("s=1;i=2", time.UnixMicro(1_700_000_000_123_456), 42*time.Microsecond,
	journal.Field{Name: "MESSAGE", Value: []byte("HOOK: <b>\nline two")},
	journal.Field{Name: "BINARY", Value: []byte{0, 255}},
)

func TestRequest(t *testing.T) {
	whole := `{"id":"0123","rule":"signups","text":"<b>\nline two","fields":{` +
		`"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000123456","__MONOTONIC_TIMESTAMP":"42",` +
		`"MESSAGE":"HOOK: <b>\nline two","BINARY":[0,255]}}` + "\n"
	tests := []struct {
		name        string
		text        string
		custom      bool
		headers     map[string]action.Secret
		body        string
		contentType string
		others      map[string]string
	}{
		{name: "whole entry", text: "<b>\nline two", body: whole, contentType: "application/json"},
		{name: "JSON text", text: `{"a": 1}`, custom: true, body: `{"a": 1}`, contentType: "application/json"},
		{name: "plain text", text: "hello\nyou", custom: true, body: "hello\nyou", contentType: "text/plain; charset=utf-8"},
		{name: "empty text", text: "", custom: true, body: "", contentType: "text/plain; charset=utf-8"},
		{
			name: "own headers", text: "a=1", custom: true, body: "a=1", contentType: "application/x-www-form-urlencoded",
			headers: map[string]action.Secret{"content-type": "application/x-www-form-urlencoded", "X-Token": "abc", "User-Agent": "mine", "Host": "other.example"},
			others:  map[string]string{"X-Token": "abc", "User-Agent": "mine", "Host": "other.example"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var request *http.Request
			var body []byte
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				request = r
				body, _ = io.ReadAll(r.Body)
				w.WriteHeader(http.StatusAccepted)
			}))
			defer server.Close()
			a := newAction(t, webhook.Config{URL: server.URL + "/a%2Fb?c=d", Headers: tt.headers})
			defer a.Close()
			err := a.Deliver(t.Context(), []action.Message{{ID: "0123", Rule: "signups", Text: tt.text, Custom: tt.custom, Record: record}})
			if err != nil {
				t.Fatal(err)
			}
			if string(body) != tt.body {
				t.Errorf("body\n got %q\nwant %q", body, tt.body)
			}
			request.Header.Set("Host", request.Host)
			want := map[string]string{
				"Content-Type": tt.contentType, "Idempotency-Key": "0123",
				"User-Agent": "journald-router", "Host": strings.TrimPrefix(server.URL, "http://"),
			}
			for name, value := range tt.others {
				want[name] = value
			}
			got := map[string]string{}
			for name := range want {
				got[name] = request.Header.Get(name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if request.Method != http.MethodPost || request.RequestURI != "/a%2Fb?c=d" {
				t.Errorf("%s %s", request.Method, request.RequestURI)
			}
		})
	}
}

// TestTextIsAlwaysAString: fields keep their bytes in journalctl's way, as an
// array of numbers where need be, but whoever reads the text reads a string.
func TestTextIsAlwaysAString(t *testing.T) {
	var got struct {
		Text   string
		Fields map[string]any
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	a := newAction(t, webhook.Config{URL: server.URL})
	if err := a.Deliver(t.Context(), []action.Message{{Text: "bell \a and \xff", Record: record}}); err != nil {
		t.Fatal(err)
	}
	if got.Text != "bell \a and \ufffd" || got.Fields["MESSAGE"] != "HOOK: <b>\nline two" {
		t.Errorf("got %+v", got)
	}
}

func TestErrors(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	host := func(url string) string { return strings.TrimPrefix(url, "http://") }
	tests := []struct {
		name      string
		handler   http.HandlerFunc // nil: nothing listens
		want      string           // %s is the host
		permanent bool
	}{
		{"no listener", nil, "post to %s: dial tcp %[1]s: connect: connection refused", false},
		{"no such hook", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "cannot POST "+r.URL.Path, http.StatusNotFound)
		}, "post to %s: answered 404 Not Found: cannot POST [secret]", true},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusPermanentRedirect)
		}, "post to %s: answered 308 Permanent Redirect (redirects are not followed: put the final address into the configuration)", true},
		{"empty reply", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, "post to %s: EOF", false},
		{"answers with what it got", func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\n\r\n", r.RequestURI)
			conn.Close()
		}, `post to %s: net/http: HTTP/1.x transport connection broken: malformed HTTP status code "[secret]"`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url := closed.URL
			if tt.handler != nil {
				server := httptest.NewServer(tt.handler)
				defer server.Close()
				url = server.URL
			}
			a := newAction(t, webhook.Config{URL: url + "/" + pathSecret})
			defer a.Close()
			err := a.Deliver(t.Context(), []action.Message{{Text: "hello"}})
			want := tt.want
			if strings.Contains(want, "%") {
				want = fmt.Sprintf(want, host(url))
			}
			if err == nil || err.Error() != want || action.IsPermanent(err) != tt.permanent {
				t.Errorf("%v (permanent: %v)\nwant %s", err, action.IsPermanent(err), want)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	tests := []struct {
		name   string
		config webhook.Config
		want   []string // the keys that are refused
	}{
		{"good", webhook.Config{URL: "https://example.com/hook"}, nil},
		{"good, all set", webhook.Config{URL: "http://u:p@[::1]:8080?x", Headers: map[string]action.Secret{"X-A_b": "x y\t"}, Timeout: time.Minute}, nil},
		{"nothing", webhook.Config{}, []string{"url"}},
		{"not a URL", webhook.Config{URL: "http://a b/" + pathSecret}, []string{"url"}},
		{"line break", webhook.Config{URL: "http://a/b\n"}, []string{"url"}},
		{"no scheme", webhook.Config{URL: "example.com/" + pathSecret}, []string{"url"}},
		{"other scheme", webhook.Config{URL: "ftp://example.com/" + pathSecret}, []string{"url"}},
		{"no host", webhook.Config{URL: "https:///" + pathSecret}, []string{"url"}},
		{"port alone", webhook.Config{URL: "https://:80/" + pathSecret}, []string{"url"}},
		{"headers", webhook.Config{URL: "https://example.com", Headers: map[string]action.Secret{
			"": "x", "a b": "x", "Ü": "x", "X": headerSecret + "\n", "idempotency-key": "x", "content-length": "1", "fine": "", "Y": "1", "y": "2",
		}}, []string{"headers.", "headers.X", "headers.a b", "headers.content-length", "headers.idempotency-key", "headers.y", "headers.Ü"}},
		{"tls without it", webhook.Config{URL: "HTTP://example.com", TLS: action.TLS{ServerName: "x"}}, []string{"tls"}},
		{"everything at once", webhook.Config{Headers: map[string]action.Secret{"a b": "x"}, Timeout: -1}, []string{"url", "headers.a b", "timeout"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := webhook.New(tt.config)
			if (a == nil) != (err != nil) {
				t.Errorf("New = %v, %v", a, err)
			}
			if diff := cmp.Diff(tt.want, actiontest.RefusedKeys(t, err)); diff != "" {
				t.Errorf("refused (-want +got):\n%s\n%v", diff, err)
			}
			if err != nil && (strings.Contains(err.Error(), pathSecret) || strings.Contains(err.Error(), headerSecret)) {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

func TestTimeLimit(t *testing.T) {
	if got := newAction(t, webhook.Config{URL: "http://a"}).TimeLimit(); got != action.DefaultTimeout {
		t.Errorf("default %v", got)
	}
	if got := newAction(t, webhook.Config{URL: "http://a", Timeout: time.Minute}).TimeLimit(); got != time.Minute {
		t.Errorf("set to a minute: %v", got)
	}
}

func newAction(t *testing.T, c webhook.Config) *webhook.Action {
	t.Helper()
	a, err := webhook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
