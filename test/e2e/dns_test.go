package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/router"
)

// TestNameMoves: a destination fails at the address that its name leads to, in
// several ways, with a connection to it that was kept; then the name leads to
// another address. Everything arrives there, though the waits are too short for
// the connection ever to count as idle.
func TestNameMoves(t *testing.T) {
	t.Parallel() // mostly waiting for time limits
	j := journaltest.Start(t, journaltest.Options{})
	names := newNameServer(t, "127.0.0.2")
	ca := newAuthority(t)
	destinations := []*moved{
		{name: "closes", fail: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{name: "hangs", fail: hang},
		{name: "hangs-http2", fail: hang, tls: true},
		{name: "unavailable", fail: unavailable},
		{name: "unavailable-http2", fail: unavailable, tls: true},
	}
	var actions, list []string
	for _, m := range destinations {
		m.start(t, ca)
		actions = append(actions, fmt.Sprintf(`
  %s: {webhook: {url: "%s", timeout: 500ms}, text: "{{ .Text }}", retry: {min: 20ms, max: 200ms}}`, m.name, m.url()))
		list = append(list, m.name)
	}
	p := newProgram(t, j, fmt.Sprintf(`
actions:%s
rules:
  - {name: all, prefix: "X: ", actions: [%s]}
`, strings.Join(actions, ""), strings.Join(list, ", ")))
	p.within = names.within(t)
	p.env = []string{"SSL_CERT_FILE=" + ca.file, "HTTP_PROXY=", "HTTPS_PROXY=", "http_proxy=", "https_proxy="}
	p.startReady()
	j.Print("X: 0")
	all := func(done func(a router.ActionSnapshot) bool) func() bool {
		return func() bool {
			return !slices.ContainsFunc(p.status().Actions, func(a router.ActionSnapshot) bool { return !done(a) })
		}
	}
	waitFor(t, "the first line at the old address", all(func(a router.ActionSnapshot) bool { return a.Delivered == 1 }))

	for _, m := range destinations {
		m.down.Store(true)
	}
	j.Print("X: 1")
	j.Print("X: 2")
	waitFor(t, "two failures each", all(func(a router.ActionSnapshot) bool { return a.Failures >= 2 }))
	names.lead("127.0.0.3")
	for _, m := range destinations {
		var got []int
		waitFor(t, m.name+" at the new address", func() bool {
			got = slices.Compact(numbersOf(m.new.received())) // a slow machine may take longer to answer than the limit
			return len(got) >= 2
		})
		if !slices.Equal(got, []int{1, 2}) {
			t.Errorf("%s: the new address got %v, want 1 and 2", m.name, got)
		}
	}
	p.stop()
}

// moved is a destination that is well at its old address until it is down there,
// and always at its new one.
type moved struct {
	name string
	tls  bool // and HTTP/2
	fail http.HandlerFunc

	down          atomic.Bool
	old, new      hook
	before, after *httptest.Server
}

func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func unavailable(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "out of service", http.StatusServiceUnavailable)
}

func (m *moved) start(t *testing.T, ca *trusted) {
	t.Helper()
	certificate := ca.certificate(m.name+".test", time.Now().Add(time.Hour))
	serve := func(address string, handler http.HandlerFunc) *httptest.Server {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewUnstartedServer(handler)
		s.Config.ErrorLog = quiet
		s.Listener.Close()
		s.Listener = l
		if m.tls {
			s.TLS, s.EnableHTTP2 = &tls.Config{Certificates: []tls.Certificate{certificate}}, true
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(func() {
			s.CloseClientConnections()
			s.Close()
		})
		return s
	}
	m.before = serve("127.0.0.2:0", func(w http.ResponseWriter, r *http.Request) {
		if m.down.Load() {
			m.fail(w, r)
			return
		}
		if m.tls && r.ProtoMajor != 2 {
			t.Errorf("%s: the request came by %s", m.name, r.Proto)
		}
		m.old.accept(r)
	})
	m.after = serve("127.0.0.3:"+m.port(), func(_ http.ResponseWriter, r *http.Request) { m.new.accept(r) })
}

func (m *moved) port() string {
	_, port, _ := net.SplitHostPort(m.before.Listener.Addr().String())
	return port
}

func (m *moved) url() string {
	if m.tls {
		return fmt.Sprintf("https://%s.test:%s/", m.name, m.port())
	}
	return fmt.Sprintf("http://%s.test:%s/", m.name, m.port())
}

// nameServer is a name service on loopback for which every name has the one
// address.
type nameServer struct {
	conn    net.PacketConn
	address atomic.Pointer[net.IP]
}

func newNameServer(t *testing.T, address string) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.53.1:53")
	for n := 2; n < 255 && errors.Is(err, syscall.EADDRINUSE); n++ { // another run of this test
		conn, err = net.ListenPacket("udp", fmt.Sprintf("127.0.53.%d:53", n))
	}
	if err != nil {
		t.Fatalf("a name service of the test's own, which takes root: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &nameServer{conn: conn}
	s.lead(address)
	go s.serve()
	return s
}

func (s *nameServer) lead(address string) {
	ip := net.ParseIP(address).To4()
	s.address.Store(&ip)
}

func (s *nameServer) serve() {
	query := make([]byte, 512)
	for {
		n, from, err := s.conn.ReadFrom(query)
		if err != nil {
			return
		}
		s.conn.WriteTo(s.answer(query[:n]), from)
	}
}

// answer is a reply in the format of RFC 1035, section 4: to a question of type A
// the address, which may not be cached; to all others none.
func (s *nameServer) answer(query []byte) []byte {
	const header, typeA = 12, 1
	end := header
	for query[end] != 0 { // labels, each with its length before it
		end += int(query[end]) + 1
	}
	end += 5 // the last label, type and class
	reply := slices.Clone(query[:end])
	reply[2], reply[3] = 0x81, 0x80 // a reply without an error
	clear(reply[6:header])
	if query[end-4] == 0 && query[end-3] == typeA {
		reply[7] = 1
		// The name of the question, type A, class IN, 0 seconds, 4 bytes.
		reply = append(reply, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
		reply = append(reply, *s.address.Load()...)
	}
	return reply
}

// within is the command that runs a program which asks this name server: in a
// mount namespace of its own, with another /etc/resolv.conf.
func (s *nameServer) within(t *testing.T) []string {
	t.Helper()
	host, _, _ := net.SplitHostPort(s.conn.LocalAddr().String())
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+host+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	command := []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, file}
	probe := append(slices.Clone(command), "true")
	if out, err := exec.Command(probe[0], probe[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("an /etc/resolv.conf of the program's own, which takes root, unshare(1) and the file to mount over: %v\n%s", err, out)
	}
	return command
}
