package s3_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/s3"
)

// signed is a service that notes with which access key and token requests come, and refuses
// some keys.
type signed struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []string
	refused string
	code    string
	// meanwhile happens before a key is refused.
	meanwhile func()
}

func newSigned(t *testing.T) *signed {
	s := new(signed)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", `"1"`)
		_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		key, _, _ = strings.Cut(key, "/")
		if token := r.Header.Get("X-Amz-Security-Token"); token != "" {
			key += " " + token
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.keys = append(s.keys, key)
		if s.refused != "" && key == s.refused {
			if s.meanwhile != nil {
				s.meanwhile()
			}
			answer(w, http.StatusForbidden, s.code, "not this key: "+key)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// last is the key of the last request.
func (s *signed) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) == 0 {
		return "no request"
	}
	return s.keys[len(s.keys)-1]
}

// metadata is EC2's service on loopback, and ECS's at /ecs.
type metadata struct {
	*httptest.Server
	mu       sync.Mutex
	requests int
	answer   func(w http.ResponseWriter, r *http.Request) bool // false: as it does
	key      string
	lasts    time.Duration
}

func newMetadata(t *testing.T) *metadata {
	m := &metadata{key: "role-key", lasts: time.Hour}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", m.URL)
	return m
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.requests++
	answer := m.answer
	m.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	switch r.URL.Path {
	case "/latest/api/token":
		io.WriteString(w, "imds-token")
	case "/latest/meta-data/iam/security-credentials/":
		io.WriteString(w, "the-role")
	case "/latest/meta-data/iam/security-credentials/the-role", "/ecs":
		m.mu.Lock()
		defer m.mu.Unlock()
		fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":"role-secret","Token":"role-token","Expiration":%q}`, m.key, time.Now().Add(m.lasts).UTC().Format(time.RFC3339))
	default:
		http.NotFound(w, r)
	}
}

func (m *metadata) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

// fail makes it answer with an error, or as it does.
func (m *metadata) fail(fails bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		if fails {
			http.Error(w, "down", http.StatusServiceUnavailable)
		}
		return fails
	}
}

func (m *metadata) set(key string, lasts time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.key, m.lasts = key, lasts
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const credentialsFile = `
[default]
aws_access_key_id = file-key
aws_secret_access_key = file-secret
[shop]
aws_access_key_id = shop-key
aws_secret_access_key = shop-secret
aws_session_token = shop-token
[half]
aws_access_key_id = half-key
`

func environment(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "env-key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
	t.Setenv("AWS_SESSION_TOKEN", "env-token")
}

// TestBrokenFile: what cannot be read in the file is named, and not shown.
func TestBrokenFile(t *testing.T) {
	for line, want := range map[string]string{
		"aws_secret_access_key file-secret":         "key-value delimiter not found",
		"[file-secret":                              "unclosed section",
		"= file-secret":                             "empty key name",
		`aws_secret_access_key = """file-secret`:    "missing closing key quote",
		`"""aws_secret_access_key file-secret`:      "missing closing key quote",
		"`aws_secret_access_key` file-secret":       "key-value delimiter not found",
		"aws_secret_access_key = file-secret %(x)s": "partial",
		"credential_process = cat file-secret":      "exit status 1",
		"credential_process = echo file-secret":     "invalid character",
	} {
		t.Run(line, func(t *testing.T) {
			c := s3.Config{Endpoint: "http://127.0.0.1:1", Bucket: "the-bucket", CredentialsFile: writeFile(t, "[default]\n"+line+"\n")}
			a := newAction(t, c)
			for _, err := range []error{a.Deliver(t.Context(), entry), a.Probe(t.Context())} {
				if err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "file-secret") || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v; want %q", err, want)
				}
			}
		})
	}
}

var entry = []action.Message{{ID: "0123", Rule: "r", Text: "x"}}

// TestWhereCredentialsAre: the first place in the order that has some.
func TestWhereCredentialsAre(t *testing.T) {
	file := func(t *testing.T) { t.Setenv("AWS_SHARED_CREDENTIALS_FILE", writeFile(t, credentialsFile)) }
	role := func(t *testing.T) { newMetadata(t) }
	tests := []struct {
		name   string
		set    []func(t *testing.T)
		config func(t *testing.T, c *s3.Config)
		want   string // the key and the token, or
		err    string // a part of the error
	}{
		{"settings", []func(*testing.T){environment, file, role}, func(_ *testing.T, c *s3.Config) {
			c.AccessKey, c.SecretKey, c.SessionToken = "set-key", "set-secret", "set-token"
		}, "set-key set-token", ""},
		{"environment", []func(*testing.T){environment, file, role}, nil, "env-key env-token", ""},
		{"file", []func(*testing.T){file, role}, nil, "file-key", ""},
		{"file, profile of the environment", []func(*testing.T){file, role, func(t *testing.T) { t.Setenv("AWS_PROFILE", "shop") }}, nil, "shop-key shop-token", ""},
		{"profile", []func(*testing.T){environment, file, role}, func(_ *testing.T, c *s3.Config) { c.Profile = "shop" }, "shop-key shop-token", ""},
		{"credentials_file", []func(*testing.T){environment, role}, func(t *testing.T, c *s3.Config) { c.CredentialsFile = writeFile(t, credentialsFile) }, "file-key", ""},
		{"role", []func(*testing.T){role}, nil, "role-key role-token", ""},
		{"role of a container", []func(*testing.T){func(t *testing.T) { t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", newMetadata(t).URL+"/ecs") }}, nil, "role-key role-token", ""},

		{"nowhere", nil, nil, "", "the environment has none; the file: /nonexistent/credentials is not there; the machine's role has none (set access_key and secret_key, or see the page on s3)"},
		{"file that is not there", []func(*testing.T){environment}, func(_ *testing.T, c *s3.Config) { c.CredentialsFile = "/nonexistent/aws" }, "", "/nonexistent/aws is not there"},
		{"profile that is not there", []func(*testing.T){environment, file}, func(_ *testing.T, c *s3.Config) { c.Profile = "nope" }, "", "nope"},
		{"half a key in the file", []func(*testing.T){file}, func(_ *testing.T, c *s3.Config) { c.Profile = "half" }, "", "partial"},
		{"half a key in the environment", []func(*testing.T){func(t *testing.T) { t.Setenv("AWS_ACCESS_KEY_ID", "env-key") }}, nil, "", "the environment: there is no key, or only a half of it"},
		{"metadata service that fails", []func(*testing.T){func(t *testing.T) {
			newMetadata(t).answer = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }
		}}, nil, "", "the machine's role: 500 Internal Server Error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, set := range tt.set {
				set(t)
			}
			service := newSigned(t)
			c := s3.Config{Endpoint: service.URL, Bucket: "the-bucket"}
			if tt.config != nil {
				tt.config(t, &c)
			}
			err := newAction(t, c).Deliver(t.Context(), entry)
			if tt.err != "" {
				// A key may come yet: the queue keeps what is in it, and nothing is sent unsigned.
				if err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), tt.err) || service.last() != "no request" {
					t.Errorf("%v; want a temporary error with %q; last request by %q", err, tt.err, service.last())
				}
				return
			}
			if got := service.last(); err != nil || got != tt.want {
				t.Errorf("%v, request by %q, want %q", err, got, tt.want)
			}
		})
	}
}

// TestLookupHangs: New looks nowhere; a lookup that hangs ends with its call, and others do not
// wait for it beyond their own time.
func TestLookupHangs(t *testing.T) {
	m := newMetadata(t)
	begun := make(chan struct{}, 10)
	hangs := true
	m.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !hangs {
			return false
		}
		begun <- struct{}{}
		m.mu.Unlock()
		<-r.Context().Done()
		m.mu.Lock()
		return true
	}
	service := newSigned(t)
	a := newAction(t, s3.Config{Endpoint: service.URL, Bucket: "the-bucket"})
	if n := m.count(); n != 0 {
		t.Errorf("New has made %d requests", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- a.Deliver(ctx, entry) }()
	<-begun
	short, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	start := time.Now()
	if err := a.Deliver(short, entry); err == nil || action.IsPermanent(err) {
		t.Errorf("a second call meanwhile: %v", err)
	}
	cancel()
	if err := <-first; err == nil || action.IsPermanent(err) {
		t.Errorf("the first call: %v", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("both took %v to stop", took)
	}
	m.mu.Lock()
	hangs = false
	m.mu.Unlock()
	if err := a.Deliver(t.Context(), entry); err != nil || service.last() != "role-key role-token" {
		t.Errorf("once it does not hang: %v, request by %q", err, service.last())
	}
}

// TestRoleRunsOut: the credentials of a role are used while they last, and then asked for
// anew.
func TestRoleRunsOut(t *testing.T) {
	m := newMetadata(t)
	service := newSigned(t)
	a := newAction(t, s3.Config{Endpoint: service.URL, Bucket: "the-bucket"})
	deliver := func(want string) {
		t.Helper()
		if err := a.Deliver(t.Context(), entry); err != nil || service.last() != want+" role-token" {
			t.Fatalf("%v, request by %q, want %s", err, service.last(), want)
		}
	}
	deliver("role-key")
	m.set("second-key", time.Hour)
	deliver("role-key")
	if n := m.count(); n != 3 {
		t.Errorf("%d requests for one set of credentials", n)
	}
	// Before they run out they are looked for anew; if that fails they are used on.
	a.LookAgain()
	m.fail(true)
	deliver("role-key")
	m.fail(false)
	deliver("second-key")
	// What has run out is not used: here it has when it comes.
	m.set("second-key", 0)
	a = newAction(t, s3.Config{Endpoint: service.URL, Bucket: "the-bucket"})
	deliver("second-key")
	m.set("third-key", 0)
	deliver("third-key")
}

// TestNewKeyInFile: where another key is found after one was refused, the delivery is tried
// with that. One that is still the same makes a dead letter, unless it has only run out: who
// renews it may be late.
func TestNewKeyInFile(t *testing.T) {
	for code, permanent := range map[string]bool{"InvalidAccessKeyId": true, "ExpiredToken": false} {
		path := writeFile(t, credentialsFile)
		service := newSigned(t)
		service.refused, service.code = "file-key", code
		a := newAction(t, s3.Config{Endpoint: service.URL, Bucket: "the-bucket", CredentialsFile: path})
		if err := a.Deliver(t.Context(), entry); err == nil || action.IsPermanent(err) != permanent || strings.Contains(err.Error(), "file-key") || !permanent && !strings.Contains(err.Error(), "get new credentials") {
			t.Errorf("%s, the same key: %v", code, err)
		}
		service.mu.Lock()
		service.meanwhile = func() {
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(credentialsFile, "file-key", "new-key")), 0o600); err != nil {
				t.Error(err)
			}
		}
		service.mu.Unlock()
		if err := a.Deliver(t.Context(), entry); err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), "with new credentials") {
			t.Errorf("%s, another key: %v", code, err)
		}
		if err := a.Deliver(t.Context(), entry); err != nil || service.last() != "new-key" {
			t.Errorf("%s: %v, request by %q", code, err, service.last())
		}
	}
}
