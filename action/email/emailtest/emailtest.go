// Package emailtest runs a mail server on loopback, for tests and the benchmark: the
// SMTP server github.com/emersion/go-smtp with TLS, a user, and a store of what it has
// accepted. It answers as it is told to.
package emailtest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/emersion/go-smtp"
	"github.com/journald-router/journald-router/internal/authority"
)

// User and Password are those that the server knows.
const (
	User     = "router"
	Password = "correct-horse-battery"
)

// Options say what the server offers.
type Options struct {
	// NoTLS has it offer no STARTTLS.
	NoTLS bool
	// Mechanisms are the ways to log in that it offers: PLAIN, LOGIN, CRAM-MD5,
	// SCRAM-SHA-256. With
	// none, anybody may send.
	Mechanisms []string
	// MaxBytes is how large a mail it says it takes; 0 for any.
	MaxBytes int64
	// Discard has it keep no mail that it accepts, for the benchmark.
	Discard bool
	// UTF8 has it take addresses beyond ASCII.
	UTF8 bool
}

// Server is a mail server that can be stopped and started again on the same ports,
// with the same certificate and the mails it has.
type Server struct {
	// CA is the path of a file with its certificate.
	CA string

	options     Options
	certificate tls.Certificate

	mu         sync.Mutex
	order      Order
	mails      []Mail
	sessions   int
	plain, tls string // addresses: where a connection begins in the clear, and where with TLS
	running    []io.Closer
	ended      chan struct{} // when the server is stopped
}

// Start starts a server. It writes its certificate into dir.
func Start(dir string, o Options) (*Server, error) {
	s := &Server{CA: filepath.Join(dir, "mail-ca.pem"), options: o, plain: "127.0.0.1:0", tls: "127.0.0.1:0"}
	if err := s.makeCertificate(); err != nil {
		return nil, fmt.Errorf("start the mail server: %w", err)
	}
	return s, s.Restart()
}

func (s *Server) makeCertificate() error {
	ca, err := authority.New()
	if err != nil {
		return err
	}
	c, err := ca.Sign(x509.Certificate{DNSNames: []string{"localhost", "mail.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		return err
	}
	s.certificate = c.TLS
	return os.WriteFile(s.CA, []byte(ca.PEM), 0o644)
}

// Restart starts the server again after Stop.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = make(chan struct{})
	for _, l := range []struct {
		address   *string
		encrypted bool
	}{{&s.plain, false}, {&s.tls, true}} {
		listener, err := net.Listen("tcp", *l.address)
		if err != nil {
			return fmt.Errorf("start the mail server: %w", err)
		}
		*l.address = listener.Addr().String()
		server := s.server()
		if l.encrypted {
			listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{s.certificate}})
		}
		s.running = append(s.running, listener, server)
		go server.Serve(listener)
	}
	return nil
}

func (s *Server) server() *smtp.Server {
	server := smtp.NewServer(smtp.BackendFunc(s.newSession))
	server.Domain = "mail.example.com"
	server.MaxMessageBytes = s.options.MaxBytes
	server.EnableSMTPUTF8 = s.options.UTF8
	server.AllowInsecureAuth = true // it is the client that must not
	server.ErrorLog = log.New(io.Discard, "", 0)
	if !s.options.NoTLS {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{s.certificate}}
	}
	return server
}

// Stop ends the server at once, with all connections.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return
	}
	close(s.ended)
	for _, one := range s.running {
		one.Close()
	}
	s.running = nil
}

// Port is where connections begin in the clear.
func (s *Server) Port() int { return portOf(s.plain) }

// TLSPort is where they are encrypted from the first byte on.
func (s *Server) TLSPort() int { return portOf(s.tls) }

func portOf(address string) int {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		panic(err) // it is a listener's
	}
	return a.Port
}

// Mails returns what the server has accepted, in order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Sessions returns how many times a client has greeted it anew: twice for a connection
// with STARTTLS.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}
