// Package sqltest runs a real PostgreSQL server, of Debian's package postgresql, on a
// free port of the loopback interface: for tests and measurements.
package sqltest

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/journald-router/journald-router/internal/authority"
	"github.com/journald-router/journald-router/internal/child"
)

// User and Password are those of the superuser, by scram-sha-256, which the server
// wants of everybody. A database has the user's name.
const (
	User     = "postgres"
	Password = "the-superuser's-secret/%?" // with what a URL has to escape
)

// A Server is a PostgreSQL server that can be stopped, and started again with the same
// port and data. It speaks TLS with whoever wants it.
type Server struct {
	// Port is that on 127.0.0.1.
	Port int
	// Dir has the server's Unix socket, the authority of its certificate, ca.crt, and
	// a certificate for User with its key, client.crt and client.key. The server's own
	// bears the names localhost and 127.0.0.1.
	Dir string

	bin        string
	credential *syscall.Credential // nil: that of this process
	process    *os.Process         // nil: it does not run
	ended      <-chan struct{}     // closed when it does not any more
}

// Start makes a server in a directory of its own below dir, which the user postgres
// has to be able to reach if this is run by root: a server refuses to be root's. Settings
// are lines of postgresql.conf, as "fsync=off".
func Start(dir string, settings ...string) (s *Server, err error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin") // initdb is in no PATH on Debian
	if err != nil || len(bins) == 0 {
		return nil, errors.New("PostgreSQL is not installed: apt install postgresql")
	}
	s = &Server{bin: slices.Max(bins)}
	if s.Dir, err = os.MkdirTemp(dir, "postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.becomePostgres(); err != nil {
		return nil, err
	}
	if err := s.write("password", Password); err != nil {
		return nil, err
	}
	initdb := s.command("initdb", "--pgdata="+s.path("data"), "--username="+User, "--pwfile="+s.path("password"),
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := s.makeCertificates(); err != nil {
		return nil, err
	}
	if s.Port, err = freePort(); err != nil {
		return nil, err
	}
	settings = append([]string{
		"listen_addresses = '127.0.0.1'", fmt.Sprintf("port = %d", s.Port), fmt.Sprintf("unix_socket_directories = '%s'", s.Dir),
		"ssl = on", fmt.Sprintf("ssl_cert_file = '%s'", s.path("server.crt")), fmt.Sprintf("ssl_key_file = '%s'", s.path("server.key")),
		fmt.Sprintf("ssl_ca_file = '%s'", s.path("ca.crt")),
	}, settings...)
	if err := s.write("data/postgresql.auto.conf", strings.Join(settings, "\n")+"\n"); err != nil {
		return nil, err
	}
	return s, s.Start()
}

// makeCertificates writes an authority, and of it the certificates of the server and of
// a client.
func (s *Server) makeCertificates() error {
	ca, err := authority.New()
	if err != nil {
		return err
	}
	server, serverErr := ca.Sign(x509.Certificate{DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	client, clientErr := ca.Sign(x509.Certificate{Subject: pkix.Name{CommonName: User}})
	return errors.Join(serverErr, clientErr, s.write("ca.crt", ca.PEM),
		s.write("server.crt", server.PEM), s.write("server.key", server.Key),
		s.write("client.crt", client.PEM), s.write("client.key", client.Key))
}

// becomePostgres has what follows run by the user postgres, if this is run by root.
func (s *Server) becomePostgres() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	s.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return errors.Join(uidErr, gidErr, os.Chown(s.Dir, int(uid), int(gid)))
}

func (s *Server) path(name string) string { return filepath.Join(s.Dir, name) }

// write makes a file that the server can read, and nobody else.
func (s *Server) write(name, text string) error {
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		return err
	}
	if s.credential == nil {
		return nil
	}
	return os.Chown(s.path(name), int(s.credential.Uid), int(s.credential.Gid))
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	return cmd
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Start runs the server, again after a Stop, and waits until it takes connections.
func (s *Server) Start() error {
	log, err := os.OpenFile(s.path("log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command("postgres", "-D", s.path("data"))
	cmd.Stdout, cmd.Stderr = log, log
	ended, err := child.Start(cmd, syscall.SIGQUIT)
	if err != nil {
		return err
	}
	s.process, s.ended = cmd.Process, ended
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := s.Exec(ctx, "SELECT 1")
		cancel()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server does not start: %w\n%s", err, s.Log())
		}
	}
}

// Stop ends the server: in an orderly way, its clients thrown out; or at once, as if it
// had crashed, so that it has to recover when it starts again.
func (s *Server) Stop(crash bool) error {
	if s.process == nil {
		return nil
	}
	// https://www.postgresql.org/docs/current/server-shutdown.html
	signal := syscall.SIGINT
	if crash {
		signal = syscall.SIGQUIT
	}
	if err := s.process.Signal(signal); err != nil {
		return err
	}
	<-s.ended
	s.process = nil
	return nil
}

// Close stops the server and removes its files.
func (s *Server) Close() error {
	return errors.Join(s.Stop(true), os.RemoveAll(s.Dir))
}

// Log is what the server has said.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// DSN is a URL for the user and the database, with parameters such as
// "sslmode=disable".
func (s *Server) DSN(user, password, database string, parameters ...string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)),
		Path: "/" + database, RawQuery: strings.Join(parameters, "&"),
	}
	return u.String()
}

// SuperDSN is that of the superuser.
func (s *Server) SuperDSN(parameters ...string) string {
	return s.DSN(User, Password, User, parameters...)
}

// Connect connects as the superuser.
func (s *Server) Connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.SuperDSN("sslmode=disable"))
}

// Exec runs statements as the superuser.
func (s *Server) Exec(ctx context.Context, statements string) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.PgConn().Exec(ctx, statements).ReadAll()
	return err
}
