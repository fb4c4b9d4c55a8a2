package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/action/s3/s3test"
	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/emit/capture"
	"github.com/journald-router/journald-router/journal/journaltest"
)

// TestBytes: what was posted is shown as it was, from what journalctl prints, and from the
// objects of an s3 action. The file of a file action is what the walk of examples/signup
// looks into.
func TestBytes(t *testing.T) {
	random := make([]byte, 300_000)
	rand.NewChaCha8([32]byte{}).Read(random)
	bodies := [][]byte{{}, {0}, []byte("\n"), []byte(`{"a": "\u0000"}` + "\r\n"), []byte("Zoë\u2028"), []byte("\xff\xfe="), []byte(strings.Repeat("text ", 2000)), random}
	j := journaltest.Start(t, journaltest.Options{})
	post(t, j, bodies)
	j.Sync()
	for source, lines := range map[string][]byte{"journalctl": printed(t, j), "S3": objects(t, j)} {
		for i, body := range bodies {
			var out bytes.Buffer
			if err := run([]string{"show", fmt.Sprint("r", i)}, bytes.NewReader(lines), &out); err != nil {
				t.Errorf("%s: %v", source, err)
			}
			if !bytes.Equal(out.Bytes(), body) {
				t.Errorf("%s: %d bytes are shown as %d: %.60q, want %.60q", source, len(body), out.Len(), out.Bytes(), body)
			}
		}
	}
}

// post has a server keep bodies, whose requests have the ids r0, r1 and so on.
func post(t *testing.T, j *journaltest.T, bodies [][]byte) {
	t.Helper()
	log := emit.New(emit.Options{Socket: "/run/systemd/journal." + j.Namespace() + "/socket"})
	server := httptest.NewServer(capture.New(log, capture.Options{}).Wrap(http.NotFoundHandler()))
	defer server.Close()
	for i, body := range bodies {
		req, err := http.NewRequest("POST", server.URL+"/hook", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Request-Id", fmt.Sprint("r", i))
		reply, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := log.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func printed(t *testing.T, j *journaltest.T) []byte {
	t.Helper()
	lines, err := exec.Command("journalctl", "--namespace="+j.Namespace(), "--all", "--output=json", "MESSAGE_ID="+capture.MessageID).Output()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// objects is what an s3 action makes of all entries, decompressed.
func objects(t *testing.T, j *journaltest.T) (lines []byte) {
	t.Helper()
	server, err := s3test.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	const bucket = "shop-requests"
	if err := server.MakeBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.yaml")
	err = os.WriteFile(config, fmt.Appendf(nil, `
journal: {namespace: %s, start: beginning}
actions:
  requests: {s3: {bucket: %s, endpoint: "%s", access_key: "%s", secret_key: "%s"}, batch: {wait: 100ms}}
rules:
  - {name: requests, match: {_UID: 0, MESSAGE_ID: %s}, actions: [requests]}
`, j.Namespace(), bucket, server.Endpoint, s3test.AccessKey, s3test.SecretKey, capture.MessageID), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	router := exec.Command("go", "run", "../../cmd/journald-router", "run", "--once", "--config", config)
	router.Env = append(os.Environ(), "STATE_DIRECTORY="+t.TempDir())
	if out, err := router.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all, err := server.Objects(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		lines = append(lines, o.Plain...)
	}
	return lines
}

// kept are lines of a file; the last one is still being written.
const kept = `{"__CURSOR":"a","__REALTIME_TIMESTAMP":"1767250800000000","REQUEST_ID":"r1","REQUEST_METHOD":"POST","REQUEST_PATH":"/signup","CONTENT_TYPE":"text/plain","BODY":"one","BODY_LENGTH":"3"}
{"__CURSOR":"b","__REALTIME_TIMESTAMP":"1767254400000000","REQUEST_ID":"r2","REQUEST_METHOD":"PUT","REQUEST_PATH":"/hooks/pay","CONTENT_TYPE":["a","b"],"BODY":[0,255],"BODY_LENGTH":"7","BODY_TRUNCATED":"client"}
{"__CURSOR":"a","__REALTIME_TIMESTAMP":"1767250800000000","REQUEST_ID":"r1","REQUEST_METHOD":"POST","REQUEST_PATH":"/signup","CONTENT_TYPE":"text/plain","BODY":"one","BODY_LENGTH":"3"}
{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1767258000000000","MESSAGE":"something else"}
{"__CURSOR":"d","__REALTIME_TIMESTAMP":"1767258000000000","REQUEST_ID":"r1","REQUEST_METHOD":"POST","REQUEST_PATH":"/hooks/ref","CONTENT_TYPE":[27,91,50,74],"BODY_TRUNCATED":"memory"}
{"__CURSOR":"e","__REALTIME_TIMESTAMP":"17672`

func TestListAndShow(t *testing.T) {
	defer func(was *time.Location) { time.Local = was }(time.Local)
	time.Local = time.UTC
	file := filepath.Join(t.TempDir(), "requests.jsonl")
	if err := os.WriteFile(file, []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		none   = "TIME  REQUEST ID  REQUEST  BYTES  TYPE\n"
		head   = "TIME                  REQUEST ID  REQUEST         BYTES            TYPE\n"
		signup = "2026-01-01T07:00:00Z  r1          POST /signup    3                text/plain\n"
		pay    = "2026-01-01T08:00:00Z  r2          PUT /hooks/pay  2 of 7 (client)  a\n"
		refund = "TIME                  REQUEST ID  REQUEST          BYTES                            TYPE\n" +
			"2026-01-01T09:00:00Z  r1          POST /hooks/ref  0 of an unknown length (memory)  \uFFFD[2J\n"
	)
	for _, tt := range []struct{ args, out, err string }{
		{"list -until 2026-01-01T09:00:00Z FILE", head + signup + pay, ""},
		{"list -since 2026-01-01T08:00:00Z -until 2026-01-01T08:00:01Z FILE", head + pay, ""},
		{"list -path /hooks/r* FILE", refund, ""},
		{"list -path / FILE", none, ""},
		{"list -since 1h FILE", none, ""},
		{"show -path /signup r1 FILE", "one", ""},
		{"show -until 2026-01-01 r1 FILE", "", "no request r1"},
		{"show r1 FILE", "", "2 requests have the id r1: say which one by -path, -since and -until"},
		{"show r2 FILE", "\x00\xff", "these are 2 bytes of 7: client"},
		{"show", "", "show: want a REQUEST_ID, as list has them"},
		{"list -path [ FILE", "", "-path [: syntax error in pattern"},
		{"list FILE.none", none, "open " + file + ".none: no such file or directory"},
		{"other", "", "want list or show, and FILEs; go doc ./examples/bodies explains them"},
	} {
		var out bytes.Buffer
		err := run(strings.Fields(strings.ReplaceAll(tt.args, "FILE", file)), strings.NewReader(""), &out)
		if diff := cmp.Diff(tt.out, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
		if err == nil && tt.err != "" || err != nil && err.Error() != tt.err {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.err)
		}
	}
}

// TestNotWhole: a line that is none, and one of journalctl without --all, are errors.
func TestNotWhole(t *testing.T) {
	for line, want := range map[string]string{
		"{\"__CURSOR\": \"a\"}\n{\n":             "standard input, line 2: unexpected end of JSON input",
		"{\"REQUEST_ID\":\"r\",\"BODY\":null}\n": "standard input, line 1: a value is left out, as it is large: use journalctl --all",
		"{\"BODY\":[[\"a\"],{}]}\n":              "standard input, line 1: ",
		"{\"BODY\":[256]}\n":                     "standard input, line 1: ",
	} {
		err := run([]string{"list"}, strings.NewReader(line), io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
}
