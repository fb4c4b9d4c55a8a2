package action_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/internal/authority"
)

// TestMutualTLS: a server that asks for a certificate, and one of its own authority,
// with files and with text; and what was renewed is shown at the next connection.
func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key, _ := keyPair(t, "router 1")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Client", r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	files := action.TLS{CA: write(t, dir, "ca", ca), Cert: write(t, dir, "cert", cert), Key: write(t, dir, "key", key)}
	for name, settings := range map[string]action.TLS{"files": files, "text": {CA: ca, Cert: cert, Key: key}} {
		if got := clientSeen(t, server.URL, settings); got != "router 1" {
			t.Errorf("%s: the server saw the certificate of %q", name, got)
		}
	}
	config, err := files.Config()
	if err != nil {
		t.Fatal(err)
	}
	cert, key, _ = keyPair(t, "router 2")
	write(t, dir, "cert", cert)
	write(t, dir, "key", key)
	client := action.NewHTTPClient(config)
	defer client.CloseIdleConnections()
	if got := seenBy(t, client, server.URL); got != "router 2" {
		t.Errorf("after a renewal the server saw the certificate of %q", got)
	}
	if _, err := get(t, action.NewHTTPClient(nil), server.URL); err == nil {
		t.Error("an unknown authority was trusted")
	}
}

func clientSeen(t *testing.T, url string, settings action.TLS) string {
	t.Helper()
	config, err := settings.Config()
	if err != nil {
		t.Fatal(err)
	}
	client := action.NewHTTPClient(config)
	defer client.CloseIdleConnections()
	return seenBy(t, client, url)
}

func seenBy(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	resp, err := get(t, client, url)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Get("X-Client")
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, _, err := action.SendHTTP(client, req)
	return resp, err
}

func TestTLSRefused(t *testing.T) {
	dir := t.TempDir()
	cert, key, _ := keyPair(t, "a")
	_, other, _ := keyPair(t, "b")
	tests := []struct {
		name   string
		config action.TLS
		want   []string
	}{
		{"nothing", action.TLS{}, nil},
		{"name alone", action.TLS{ServerName: "x"}, nil},
		{"no such files", action.TLS{CA: dir + "/ca", Cert: dir + "/cert", Key: dir + "/key"}, []string{"tls.ca", "tls.cert", "tls.key"}},
		{"relative", action.TLS{CA: "ca.pem", Cert: "cert.pem", Key: "key.pem"}, []string{"tls.ca", "tls.cert", "tls.key"}},
		{"half", action.TLS{Cert: cert}, []string{"tls"}},
		{"other half", action.TLS{Key: key}, []string{"tls"}},
		{"no PEM", action.TLS{CA: write(t, dir, "text", "hello")}, []string{"tls.ca"}},
		{"a key as authority", action.TLS{CA: key}, []string{"tls.ca"}},
		{"not its key", action.TLS{Cert: cert, Key: other}, []string{"tls.cert"}},
		{"swapped", action.TLS{Cert: key, Key: cert}, []string{"tls.cert"}},
	}
	for _, tt := range tests {
		config, err := tt.config.Config()
		if diff := cmp.Diff(tt.want, actiontest.RefusedKeys(t, err)); diff != "" {
			t.Errorf("%s: refused (-want +got):\n%s\n%v", tt.name, diff, err)
		}
		if (config == nil) != (err != nil || tt.config == action.TLS{}) {
			t.Errorf("%s: %v, %v", tt.name, config, err)
		}
		if err != nil && strings.Contains(err.Error(), "PRIVATE KEY-") {
			t.Errorf("%s: the key is in %v", tt.name, err)
		}
	}
}

// TestProbeHTTP: a connection is made and no request is sent.
func TestProbeHTTP(t *testing.T) {
	var requests []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { requests = append(requests, r.Method+" "+r.URL.String()) })
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	closed := httptest.NewServer(handler)
	closed.Close()
	ca := &tls.Config{RootCAs: x509.NewCertPool()}
	ca.RootCAs.AddCert(secure.Certificate())
	for _, tt := range []struct {
		url    string
		config *tls.Config
		want   string // in the error
	}{
		{plain.URL + "/secret-path", nil, ""},
		{secure.URL + "/secret-path", ca, ""},
		{secure.URL + "/secret-path", nil, "set ca in tls"},
		{secure.URL + "/secret-path", &tls.Config{RootCAs: ca.RootCAs, ServerName: "elsewhere.test"}, "not elsewhere.test (connect to a name that is in the certificate, or set server_name in tls)"},
		{closed.URL + "/secret-path", nil, "connection refused"},
		{"https://" + plain.Listener.Addr().String() + "/secret-path", nil, "does not look like a TLS handshake"},
	} {
		client := action.NewHTTPClient(tt.config)
		err := action.ProbeHTTP(t.Context(), client, parse(t, tt.url))
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret-path")) {
			t.Errorf("%s: %v, want %q", tt.url, err, tt.want)
		}
		client.CloseIdleConnections()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := action.ProbeHTTP(ctx, action.NewHTTPClient(nil), parse(t, plain.URL)); err == nil {
		t.Error("a probe went on although its context was done")
	}
	plain.Close() // waits for the handlers
	secure.Close()
	if diff := cmp.Diff([]string(nil), requests); diff != "" {
		t.Errorf("requests were sent: %s", diff)
	}
}

// TestProbeHTTPThroughProxy: the proxy is asked for a tunnel, with what it wants to know,
// and what is behind it shakes hands.
func TestProbeHTTPThroughProxy(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
	defer secure.Close()
	ca := &tls.Config{RootCAs: x509.NewCertPool()}
	ca.RootCAs.AddCert(secure.Certificate())
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodConnect:
			t.Errorf("the proxy got %s %s", r.Method, r.URL)
		case r.Header.Get("Proxy-Authorization") != "Basic dTpw": // u:p
			w.WriteHeader(http.StatusProxyAuthRequired)
		default:
			tunnel(t, w, r.Host)
		}
	}))
	defer proxy.Close()
	for _, tt := range []struct {
		login  *url.Userinfo
		url    string
		config *tls.Config
		want   string
	}{
		{url.UserPassword("u", "p"), secure.URL, ca, ""},
		{url.UserPassword("u", "p"), secure.URL, nil, "set ca in tls"},
		{url.UserPassword("u", "p"), "http://nowhere.test/", nil, ""}, // of that only the proxy knows
		{nil, secure.URL, ca, "Proxy Authentication Required"},
	} {
		client := action.NewHTTPClient(tt.config)
		through := parse(t, proxy.URL)
		through.User = tt.login
		action.TransportOf(client).Proxy = http.ProxyURL(through)
		err := action.ProbeHTTP(t.Context(), client, parse(t, tt.url))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s with %v: %v, want %q", tt.url, tt.login, err, tt.want)
		}
	}
}

// tunnel is what a proxy makes of CONNECT. It ends with the connection.
func tunnel(t *testing.T, w http.ResponseWriter, to string) {
	far, err := net.Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	defer far.Close()
	near, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer near.Close()
	io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		defer near.Close()
		io.Copy(near, far)
	}()
	io.Copy(far, near)
}

// TestProbeHTTPCertificates: with TLS 1.3 the client's handshake ends before the server
// has looked at its certificate.
func TestProbeHTTPCertificates(t *testing.T) {
	cert, key, issuer := keyPair(t, "router")
	otherCert, otherKey, _ := keyPair(t, "other")
	accepted := x509.NewCertPool()
	accepted.AppendCertsFromPEM([]byte(issuer))
	for _, http2 := range []bool{false, true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
			server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: accepted, MaxVersion: version}
			server.EnableHTTP2 = http2
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
			for name, tt := range map[string]struct {
				settings action.TLS
				fine     bool
			}{
				"accepted": {action.TLS{CA: ca, Cert: cert, Key: key}, true},
				"another":  {action.TLS{CA: ca, Cert: otherCert, Key: otherKey}, false},
				"none":     {action.TLS{CA: ca}, false},
			} {
				config, err := tt.settings.Config()
				if err != nil {
					t.Fatal(err)
				}
				err = action.ProbeHTTP(t.Context(), action.NewHTTPClient(config), parse(t, server.URL))
				if (err == nil) != tt.fine {
					t.Errorf("%s, HTTP/2 %v, %s: %v", name, http2, tls.VersionName(version), err)
				}
			}
			server.Close()
		}
	}
}

// keyPair makes a certificate of an authority of its own, and its key, in PEM.
func keyPair(t *testing.T, name string) (cert, key, ca string) {
	t.Helper()
	issuer, err := authority.New()
	if err != nil {
		t.Fatal(err)
	}
	c, err := issuer.Sign(x509.Certificate{Subject: pkix.Name{CommonName: name}})
	if err != nil {
		t.Fatal(err)
	}
	return c.PEM, c.Key, issuer.PEM
}

func write(t *testing.T, dir, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
