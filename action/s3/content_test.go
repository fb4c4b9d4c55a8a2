package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/s3"
	"github.com/journald-router/journald-router/action/s3/s3test"
)

// TestContent: what is in an object, and what it says of itself.
func TestContent(t *testing.T) {
	m := message("0123", "MESSAGE=two\nlines", "BODY=\x00\xff")
	m.Data = action.NewData(m.ID, m.Rule, m.Text, nil, m.Record)
	custom := m
	custom.Text, custom.Custom = "order 42\nfailed", true
	whole := `{"__CURSOR":"s=1;i=0123","__REALTIME_TIMESTAMP":"1795823940000000","__MONOTONIC_TIMESTAMP":"0","MESSAGE":"two\nlines","BODY":[0,255]}` + "\n"
	tests := []struct {
		name    string
		change  func(*s3.Config)
		message action.Message
		key     string
		plain   string
		is      string // Content-Type
		packed  string // Content-Encoding
	}{
		{"whole entry", func(*s3.Config) {}, m, "2026/11/27/0123.ndjson.zst", whole, "application/x-ndjson", "zstd"},
		{"gzip", func(c *s3.Config) { c.Compress = "gzip" }, m, "2026/11/27/0123.ndjson.gz", whole, "application/x-ndjson", "gzip"},
		{"none", func(c *s3.Config) { c.Compress = "none" }, m, "2026/11/27/0123.ndjson", whole, "application/x-ndjson", ""},
		{"text", func(*s3.Config) {}, custom, "2026/11/27/0123.ndjson.zst", "order 42\\nfailed\n", "text/plain; charset=utf-8", "zstd"},
		{"field", func(c *s3.Config) { c.Field = "BODY" }, m, "2026/11/27/0123", "\x00\xff", "application/octet-stream", ""},
		{"field, whatever the text", func(c *s3.Config) { c.Field = "MESSAGE" }, custom, "2026/11/27/0123", "two\nlines", "application/octet-stream", ""},
		{"field, zstd", func(c *s3.Config) { c.Field, c.Compress = "BODY", "zstd" }, m, "2026/11/27/0123.zst", "\x00\xff", "application/octet-stream", "zstd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			real, bucket := realBucket(t)
			c := settings(real.Endpoint, bucket)
			tt.change(&c)
			if err := newAction(t, c).Deliver(t.Context(), []action.Message{tt.message}); err != nil {
				t.Fatal(err)
			}
			all := objects(t, real, bucket)
			if len(all) != 1 || all[0].Key != tt.key || string(all[0].Plain) != tt.plain {
				t.Fatalf("%d objects, the first %s: %q\nwant %s: %q", len(all), all[0].Key, all[0].Plain, tt.key, tt.plain)
			}
			o := all[0]
			if e := o.Metadata.Get("Content-Encoding"); o.ContentType != tt.is || e != tt.packed {
				t.Errorf("%s, %q; want %s, %q", o.ContentType, e, tt.is, tt.packed)
			}
			if u := o.UserMetadata; u["Delivery-Id"] != "0123" || u["Rule"] != "r" || u["Cursor"] != "s=1;i=0123" || u["Entries"] != "1" {
				t.Errorf("metadata %v", u)
			}
		})
	}
}

// TestEmptyField is an empty object, and a field that is not there a dead letter.
func TestEmptyField(t *testing.T) {
	real, bucket := realBucket(t)
	c := settings(real.Endpoint, bucket)
	c.Field = "BODY"
	a := newAction(t, c)
	if usual, most := a.Batch(); usual != 1 || most != 1 {
		t.Errorf("%d, %d in a call", usual, most)
	}
	if err := a.Deliver(t.Context(), []action.Message{message("0123", "MESSAGE=x")}); !action.IsPermanent(err) || !strings.Contains(err.Error(), "the entry has no field BODY") {
		t.Errorf("without the field: %v", err)
	}
	if err := a.Deliver(t.Context(), []action.Message{message("0124", "BODY=")}); err != nil {
		t.Fatal(err)
	}
	if all := objects(t, real, bucket); len(all) != 1 || all[0].Size != 0 {
		t.Errorf("in the bucket: %v", all)
	}
}

// large is an entry whose object is uploaded in three parts.
func large() (action.Message, []byte) {
	body := make([]byte, 40<<20)
	rand.NewChaCha8([32]byte{}).Read(body)
	return message("0123", "BODY="+string(body)), body
}

func TestParts(t *testing.T) {
	real, bucket := realBucket(t)
	c := settings(real.Endpoint, bucket)
	c.Field, c.StorageClass = "BODY", "STANDARD"
	m, body := large()
	if err := newAction(t, c).Deliver(t.Context(), []action.Message{m}); err != nil {
		t.Fatal(err)
	}
	all := objects(t, real, bucket)
	if len(all) != 1 || sha256.Sum256(all[0].Content) != sha256.Sum256(body) || !strings.HasSuffix(all[0].ETag, "-3") || all[0].UserMetadata["Delivery-Id"] != "0123" {
		t.Errorf("in the bucket: %.300v", all[0].ObjectInfo)
	}
	noneBegun(t, real, bucket)
}

func noneBegun(t *testing.T, s *s3test.Server, bucket string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		left, err := s.Uploads(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("uploads were left: %q", left)
		}
	}
}

// TestBrokenParts: an upload in parts that fails, or hangs until it is stopped, in its
// second part or at its end leaves nothing behind.
func TestBrokenParts(t *testing.T) {
	second := func(r *http.Request) bool {
		return r.Method == http.MethodPut && r.URL.Query().Get("partNumber") == "2"
	}
	last := func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") }
	fail := func(w http.ResponseWriter, r *http.Request, _ context.CancelFunc) {
		io.Copy(io.Discard, r.Body)
		answer(w, http.StatusServiceUnavailable, "SlowDown", "slow down")
	}
	hang := func(_ http.ResponseWriter, r *http.Request, stop context.CancelFunc) {
		io.Copy(io.Discard, r.Body)
		stop()
		<-r.Context().Done()
	}
	tests := []struct {
		name string
		at   func(*http.Request) bool
		do   func(w http.ResponseWriter, r *http.Request, stop context.CancelFunc)
		want string
	}{
		{"the second fails", second, fail, "answered 503 Service Unavailable: SlowDown"},
		{"the second hangs", second, hang, "context canceled"},
		{"the end fails", last, fail, "answered 503 Service Unavailable: SlowDown"},
		{"the end hangs", last, hang, "context canceled"},
		{"the end is a 200 with an error in it", last, func(w http.ResponseWriter, r *http.Request, _ context.CancelFunc) {
			io.Copy(io.Discard, r.Body)
			answer(w, http.StatusOK, "InternalError", "We encountered an internal error. Please try again.")
		}, "answered 200 OK: InternalError"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			real, bucket := realBucket(t)
			to, err := url.Parse(real.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stopped := make(chan time.Time, 1)
			proxy := httputil.NewSingleHostReverseProxy(to)
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.at(r) {
					tt.do(w, r, func() { stopped <- time.Now(); cancel() })
					return
				}
				proxy.ServeHTTP(w, r)
			}))
			defer front.Close()
			c := settings(front.URL, bucket)
			c.Field = "BODY"
			m, _ := large()
			err = newAction(t, c).Deliver(ctx, []action.Message{m})
			if err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, permanent: %v", err, action.IsPermanent(err))
			}
			select {
			case at := <-stopped:
				if took := time.Since(at); took > time.Second {
					t.Errorf("Deliver went on for %v", took)
				}
			default:
			}
			noneBegun(t, real, bucket)
			if all := objects(t, real, bucket); len(all) != 0 {
				t.Errorf("%d objects are there", len(all))
			}
		})
	}
}

// TestNothingAnswers: where not even the request to take back the parts is answered, a
// call that is stopped ends all the same.
func TestNothingAnswers(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
			return
		}
		io.Copy(io.Discard, r.Body)
		cancel()
		<-end
	}))
	defer s.Close()
	defer close(end)
	c := settings(s.URL, "the-bucket")
	c.Field = "BODY"
	a := newAction(t, c)
	m, _ := large()
	result := make(chan error, 1)
	go func() { result <- a.Deliver(ctx, []action.Message{m}) }()
	<-ctx.Done()
	select {
	case err := <-result:
		if err == nil || action.IsPermanent(err) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Deliver goes on for 5 s after it was stopped")
	}
}

// TestRefusedEarly: a service that refuses a large object before it has all of it is
// heard, as it is asked first.
func TestRefusedEarly(t *testing.T) {
	expected := make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		expected <- r.Header.Get("Expect")
		w.Header().Set("Connection", "close")
		answer(w, http.StatusForbidden, "AccessDenied", "access denied")
	}))
	defer s.Close()
	c := settings(s.URL, "the-bucket")
	c.Field = "BODY"
	a := newAction(t, c)
	for size, want := range map[int]string{100: "", 15 << 20: "100-continue"} {
		m := message("0123", "BODY="+string(bytes.Repeat([]byte("x"), size)))
		for range 10 {
			if err := a.Deliver(t.Context(), []action.Message{m}); !action.IsPermanent(err) || !strings.Contains(err.Error(), "AccessDenied") {
				t.Fatal(err)
			}
			if got := <-expected; got != want {
				t.Errorf("of %d bytes: Expect: %q, want %q", size, got, want)
			}
		}
	}
}
