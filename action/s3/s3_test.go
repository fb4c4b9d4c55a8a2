package s3_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/s3"
	"github.com/journald-router/journald-router/action/s3/s3test"
	"github.com/minio/minio-go/v7"
)

// TestMain keeps the tests from asking the network for credentials, and from finding
// those of the user.
func TestMain(m *testing.M) {
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		os.Unsetenv(name)
	}
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
	os.Setenv("AWS_CONFIG_FILE", "/nonexistent/config")
	minio.DefaultRetryUnit = time.Microsecond // it waits even after its last try
	code := m.Run()
	if server.running != nil {
		server.running.Kill()
		os.RemoveAll(server.dir)
	}
	os.Exit(code)
}

// server is one real service for all tests, each of which has buckets of its own.
var server struct {
	once    sync.Once
	dir     string
	running *s3test.Server
	err     error
	buckets atomic.Int64
}

// realBucket returns the service and a new bucket of it.
func realBucket(t *testing.T) (*s3test.Server, string) {
	t.Helper()
	server.once.Do(func() {
		if server.dir, server.err = os.MkdirTemp("", "s3test-"); server.err == nil {
			server.running, server.err = s3test.Start(server.dir)
		}
	})
	if server.err != nil {
		t.Fatal(server.err)
	}
	bucket := fmt.Sprintf("bucket-%d", server.buckets.Add(1))
	if err := server.running.MakeBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	return server.running, bucket
}

func newAction(t *testing.T, c s3.Config) *s3.Action {
	t.Helper()
	a, err := s3.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// settings are those of a bucket of a service.
func settings(endpoint, bucket string) s3.Config {
	return s3.Config{Endpoint: endpoint, Bucket: bucket, AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey, SessionToken: ""}
}

func objects(t *testing.T, s *s3test.Server, bucket string) []s3test.Object {
	t.Helper()
	all, err := s.Objects(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const sessionToken = "session-token-in-the-test"

func TestContract(t *testing.T) {
	actiontest.Run(t, actiontest.Harness{
		Destination: destination,
		Secrets:     []string{s3test.AccessKey, s3test.SecretKey, sessionToken},
		Repeat:      "overwrites its object",
		Once:        true,
	})
}

// destination is the real service, or in a mood that it cannot be brought into one
// that is in front of it.
func destination(t *testing.T, mood actiontest.Mood) actiontest.Destination {
	real, bucket := realBucket(t)
	to, err := url.Parse(real.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	front := &front{mood: mood, reached: make(chan struct{}, 10), next: httputil.NewSingleHostReverseProxy(to)}
	endpoint := httptest.NewServer(front)
	t.Cleanup(endpoint.Close)
	c := settings(endpoint.URL, bucket)
	switch mood {
	case actiontest.Well, actiontest.Failing:
	case actiontest.Refusing:
		c.Bucket = "bucket-that-is-not-there"
	default:
		c.SessionToken = sessionToken
	}
	return actiontest.Destination{
		Action: newAction(t, c),
		Accepted: func() (texts []string) {
			for _, o := range objects(t, real, bucket) {
				for line := range strings.Lines(string(o.Plain)) {
					texts = append(texts, line)
				}
			}
			return texts
		},
		Reached: front.reached,
		Heal:    func() { front.set(actiontest.Well) },
	}
}

// front passes requests on, unless it is in a mood.
type front struct {
	next    http.Handler
	reached chan struct{}

	mu   sync.Mutex
	mood actiontest.Mood
}

func (f *front) set(mood actiontest.Mood) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mood = mood
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	mood := f.mood
	f.mu.Unlock()
	switch mood {
	case actiontest.Failing:
		answer(w, http.StatusServiceUnavailable, "ServiceUnavailable", "Please reduce your request rate.")
	case actiontest.Busy:
		w.Header().Set("Retry-After", fmt.Sprint(actiontest.BusyFor.Seconds()))
		answer(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	case actiontest.Echoing:
		dump, _ := httputil.DumpRequest(r, true)
		var text bytes.Buffer
		for _, b := range dump {
			fmt.Fprintf(&text, "%c", b)
		}
		answer(w, http.StatusForbidden, "AccessDenied", strings.NewReplacer("<", " ", "&", " ", "\x00", "").Replace(text.String())+s3test.SecretKey)
	case actiontest.Hanging:
		io.Copy(io.Discard, r.Body) // only then is it noticed that the client has gone
		select {
		case f.reached <- struct{}{}:
		default:
		}
		<-r.Context().Done()
	default:
		f.next.ServeHTTP(w, r)
	}
}

// answer is an error as S3 has it.
func answer(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message><RequestId>1</RequestId></Error>`, code, message)
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}
