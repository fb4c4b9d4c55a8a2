package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action/s3/s3test"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
)

// TestS3: a stream of lines goes to a bucket while the service is killed in the middle
// and started again, then the router, then both at once. Each line is there, in its
// order, and none twice, although the batches are cut otherwise each time.
func TestS3(t *testing.T) {
	const lines, kills = 1200, 6
	const bucket = "shop-logs"
	server := startS3(t, bucket)
	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, fmt.Sprintf(`
actions:
  archive:
    s3: {endpoint: "%s", bucket: %s, key: "{{ .Rule }}/{{ .ID }}.ndjson.zst", access_key: "%s", secret_key: "${env:S3_SECRET}"}
    batch: {max: 50}
    retry: {min: 10ms, max: 100ms}
rules:
  - {name: odd, match: {MESSAGE: {regex: '^SHOP: \d*[13579]$'}}, actions: [archive]}
  - {name: even, match: {MESSAGE: {regex: '^SHOP: \d*[02468]$'}}, actions: [archive]}
`, server.Endpoint, bucket, s3test.AccessKey))
	p.env = []string{"S3_SECRET=" + s3test.SecretKey}
	p.startReady()

	s := newStream(j, lines, kills, func(n int) string { return fmt.Sprint("SHOP: ", n) })
	count := func() (n int) {
		objects, err := server.Objects(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			n += bytes.Count(o.Plain, []byte("\n"))
		}
		return n
	}
	for kill := range kills {
		s.next()
		due := kill*lines/(kills+1) + lines/(kills+1)/4
		p.waitFor("a part of the lines", func() bool { return count() >= due })
		routerToo, serverToo := kill%3 != 0, kill%3 != 1
		if routerToo {
			p.kill()
		}
		if serverToo {
			failures := p.says("connection refused")
			server.Kill()
			if !routerToo {
				// The share may have been delivered by now: then nothing is to be noticed.
				p.waitFor("the router to notice, or nothing to do", func() bool {
					return p.says("connection refused") > failures || p.status().Actions[0].Queued == 0
				})
			}
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
		}
		if routerToo {
			p.start()
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	p.waitFor("all lines", func() bool { return count() >= lines })
	p.stop()

	objects, err := server.Objects(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		rule string
		all  []int
	}
	var parts []part
	for _, o := range objects {
		p := part{rule: strings.Split(o.Key, "/")[0]}
		for line := range strings.Lines(string(o.Plain)) {
			var entry struct{ MESSAGE string }
			n := 0
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscanf(entry.MESSAGE, "SHOP: %d", &n); err != nil {
				t.Fatalf("%q: %v", entry.MESSAGE, err)
			}
			p.all = append(p.all, n)
		}
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.all[0], b.all[0]) })
	got, want := make(map[string][]int), make(map[string][]int)
	for _, p := range parts {
		got[p.rule] = append(got[p.rule], p.all...)
	}
	for n := range lines {
		rule := []string{"even", "odd"}[n%2]
		want[rule] = append(want[rule], n)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("lines in the bucket (-want +got):\n%s", diff)
	}
	t.Logf("%d lines in %d objects", lines, len(objects))
	if n := p.says("level=ERROR"); n > 0 {
		t.Errorf("%d errors in the log", n)
	}
	if p.says(s3test.SecretKey) > 0 {
		t.Error("the log has the secret key")
	}
}

// TestS3Field: a body that an application logs as a field becomes an object of its raw bytes; and
// the check asks the service, and writes nothing.
func TestS3Field(t *testing.T) {
	const bucket = "shop-uploads"
	server := startS3(t, bucket)
	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, fmt.Sprintf(`
actions:
  bodies:
    s3:
      endpoint: %s
      bucket: %s
      field: BODY
      key: '{{ date "2006" .Time }}/{{ .Fields.USER_ID }}/{{ .ID }}'
      content_type: "{{ .Fields.CONTENT_TYPE }}"
      access_key: %s
      secret_key: %s
rules:
  - {name: uploads, match: {BODY: {exists: true}}, actions: [bodies]}
`, server.Endpoint, bucket, s3test.AccessKey, s3test.SecretKey))
	p.run("check", "--connect")
	p.startReady()
	body := bytes.Repeat([]byte("\x00\xff\nraw bytes\r\n"), 100_000)
	j.Send(append(journaltest.Fields("MESSAGE", "uploaded", "USER_ID", "../7", "CONTENT_TYPE", "application/pdf"), journal.Field{Name: "BODY", Value: body})...)
	var objects []s3test.Object
	p.waitFor("the object", func() bool {
		var err error
		if objects, err = server.Objects(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
		return len(objects) > 0
	})
	p.stop()
	o := objects[0]
	if len(objects) != 1 || !bytes.Equal(o.Content, body) || o.ContentType != "application/pdf" || !strings.Contains(o.Key, "/..%2F7/") {
		t.Errorf("%d objects, the first %s of %d bytes, want %d, as %s", len(objects), o.Key, len(o.Content), len(body), o.ContentType)
	}
}

// startS3 starts a service with a bucket.
func startS3(t *testing.T, bucket string) *s3test.Server {
	t.Helper()
	server, err := s3test.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	if err := server.MakeBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	return server
}
