package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action/s3/s3test"
	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/emit/capture"
	"github.com/journald-router/journald-router/journal/journaltest"
)

// keeping is a server that keeps its requests in the journal, as docs/PRODUCERS.md has it.
func keeping(t *testing.T, j *journaltest.T) *httptest.Server {
	t.Helper()
	log := emit.New(emit.Options{Socket: "/run/systemd/journal." + j.Namespace() + "/socket"})
	t.Cleanup(func() { log.Close(context.Background()) })
	s := httptest.NewServer(capture.New(log, capture.Options{}).Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 100)
	})))
	t.Cleanup(s.Close)
	return s
}

// someBodies are what is posted: by their requests' ids.
func someBodies() map[string]string {
	all := map[string]string{"empty": "", "NUL": "\x00", "lines": "\n\na\n", "text": `{"email": "ada@example.com"}`, "fields": "x\nMESSAGE=forged\n"}
	for n := 1; n <= 1<<20; n *= 4 {
		b := make([]byte, n)
		rand.NewChaCha8([32]byte{byte(n)}).Read(b)
		all[fmt.Sprint("random ", n)] = string(b)
	}
	return all
}

func postBodies(t *testing.T, s *httptest.Server, all map[string]string) {
	t.Helper()
	for id, body := range all {
		q, err := http.NewRequest("POST", s.URL, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		q.Header = http.Header{"X-Request-Id": {fmt.Sprintf("%x", id)}, "Content-Type": {"application/x-test"}}
		reply, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
	}
}

// Bodies of requests are in the file byte for byte, also where the router is killed.
func TestCaptureToFile(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	path := filepath.Join(t.TempDir(), "requests.jsonl")
	p := newProgram(t, j, `
actions:
  requests:
    file: {path: `+path+`}
rules:
  - name: requests
    match: {MESSAGE_ID: `+capture.MessageID+`}
    actions: [requests]
`)
	s, bodies := keeping(t, j), someBodies()
	p.startReady()
	postBodies(t, s, bodies)
	p.kill()
	p.start()
	got := map[string]string{}
	p.waitFor("all bodies", func() bool {
		data, _ := os.ReadFile(path)
		clear(got)
		for line := range bytes.Lines(data) {
			var e struct {
				ID     string          `json:"REQUEST_ID"`
				Body   json.RawMessage `json:"BODY"`
				Cut    string          `json:"BODY_TRUNCATED"`
				Length string          `json:"BODY_LENGTH"`
			}
			if json.Unmarshal(line, &e) != nil {
				continue // it is being written
			}
			var id, body string
			if _, err := fmt.Sscanf(e.ID, "%x", &id); err != nil {
				t.Fatal(err)
			}
			if json.Unmarshal(e.Body, &body) != nil {
				var numbers []uint16
				if err := json.Unmarshal(e.Body, &numbers); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, len(numbers))
				for i, n := range numbers {
					b[i] = byte(n)
				}
				body = string(b)
			}
			if e.Cut != "" || e.Length != fmt.Sprint(len(body)) {
				t.Fatalf("%s: %s of %s bytes", id, e.Cut, e.Length)
			}
			got[id] = body
		}
		return len(got) == len(bodies)
	})
	for id, body := range bodies {
		if got[id] != body {
			t.Errorf("%s: %.60q, not %.60q", id, got[id], body)
		}
	}
}

// In a bucket each body is an object of its own, with its type: nothing is lost or changed
// where the router is killed, and nothing there twice.
func TestCaptureToS3(t *testing.T) {
	const bucket = "shop-requests"
	server := startS3(t, bucket)
	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, `
actions:
  bodies:
    s3:
      bucket: `+bucket+`
      endpoint: `+server.Endpoint+`
      access_key: `+s3test.AccessKey+`
      secret_key: ${env:S3_SECRET}
      field: BODY
      key: '{{ date "2006/01/02" .Time }}/{{ .Fields.REQUEST_ID }}/{{ .ID }}'
      content_type: "{{ .Fields.CONTENT_TYPE }}"
    concurrency: 4
rules:
  - name: bodies
    match: {MESSAGE_ID: `+capture.MessageID+`, BODY: {exists: true}}
    actions: [bodies]
`)
	p.env = []string{"S3_SECRET=" + s3test.SecretKey}
	s, bodies := keeping(t, j), someBodies()
	p.startReady()
	postBodies(t, s, bodies)
	p.kill()
	p.start()
	p.waitFor("all bodies", func() bool {
		objects, err := server.Objects(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		return len(objects) >= len(bodies)
	})
	p.stop()
	objects, err := server.Objects(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != len(bodies) {
		t.Errorf("%d objects for %d bodies", len(objects), len(bodies))
	}
	for _, o := range objects {
		var id string
		if _, err := fmt.Sscanf(strings.Split(o.Key, "/")[3], "%x", &id); err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
		if body, ok := bodies[id]; !ok || string(o.Plain) != body || o.ContentType != "application/x-test" {
			t.Errorf("%s: %.60q, not %.60q, as %s", id, o.Plain, body, o.ContentType)
		}
		delete(bodies, id)
	}
}
