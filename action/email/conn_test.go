package email_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/email"
	"github.com/journald-router/journald-router/action/email/emailtest"
)

// TestSecurity: what is encrypted, and what is not sent otherwise.
func TestSecurity(t *testing.T) {
	plain := []string{"PLAIN"}
	other := start(t, emailtest.Options{})
	tests := []struct {
		name    string
		options emailtest.Options
		config  email.Config
		want    string // in the error
	}{
		{"STARTTLS", emailtest.Options{Mechanisms: plain}, email.Config{}, ""},
		{"STARTTLS, by name", emailtest.Options{Mechanisms: plain}, email.Config{Host: "localhost"}, ""},
		{"TLS", emailtest.Options{Mechanisms: plain}, email.Config{Security: email.TLS}, ""},
		{"none", emailtest.Options{Mechanisms: plain, NoTLS: true}, email.Config{Security: email.None}, ""},
		{"no STARTTLS is offered", emailtest.Options{Mechanisms: plain, NoTLS: true}, email.Config{}, "the server offers no STARTTLS, without which nothing is sent"},
		{"unknown authority", emailtest.Options{Mechanisms: plain}, email.Config{TLS: action.TLS{CA: other.CA}}, "STARTTLS: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		{"unknown authority, TLS", emailtest.Options{Mechanisms: plain}, email.Config{Security: email.TLS, TLS: action.TLS{CA: other.CA}}, "(for a certificate authority of your own, set ca in tls)"},
		{"another name", emailtest.Options{Mechanisms: plain}, email.Config{TLS: action.TLS{ServerName: "mx.example.org"}}, "not mx.example.org"},
		{"the certificate's name", emailtest.Options{Mechanisms: plain}, email.Config{TLS: action.TLS{ServerName: "mail.example.com"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.options)
			if tt.config.TLS.ServerName != "" {
				tt.config.TLS.CA = s.CA
			}
			a := newAction(t, s, tt.config)
			for what, err := range map[string]error{"Deliver": a.Deliver(t.Context(), []action.Message{entry(1, "x")}), "Probe": a.Probe(t.Context())} {
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%s: %v\nwant %s", what, err, tt.want)
				}
			}
			for _, m := range s.Mails() {
				if want := tt.config.Security != email.None; m.Encrypted != want {
					t.Errorf("encrypted: %v, want %v", m.Encrypted, want)
				}
			}
			if n := len(s.Mails()); (n == 1) != (tt.want == "") {
				t.Errorf("%d mails", n)
			}
		})
	}
	t.Run("TLS where the server speaks first", func(t *testing.T) {
		s := start(t, emailtest.Options{})
		err := newAction(t, s, email.Config{Security: email.TLS, Port: s.Port()}).Probe(t.Context())
		if err == nil || !strings.Contains(err.Error(), "does this port want security: starttls?") {
			t.Error(err)
		}
	})
	t.Run("STARTTLS where the client does", func(t *testing.T) {
		s := start(t, emailtest.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := newAction(t, s, email.Config{Port: s.TLSPort()}).Probe(ctx)
		if err == nil || !strings.Contains(err.Error(), "does this port want security: tls?") || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestLogin: every mechanism, and none that shows the password to the network.
func TestLogin(t *testing.T) {
	for _, m := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"} {
		for _, security := range []email.Security{email.TLS, email.None} {
			s := start(t, emailtest.Options{Mechanisms: []string{m}})
			if err := newAction(t, s, email.Config{Security: security}).Probe(t.Context()); err != nil {
				t.Errorf("%s, %s: %v", m, security, err)
			}
			err := newAction(t, s, email.Config{Security: security, User: emailtest.User, Password: "wrong"}).Probe(t.Context())
			if err == nil || !strings.Contains(err.Error(), "AUTH: 535 5.7.8 who are you? (check user and password; ") || strings.Contains(err.Error(), "wrong") {
				t.Errorf("%s, %s, wrong password: %v", m, security, err)
			}
		}
	}
	// A server that repeats what it was sent, in an error that is cut in the middle of it.
	s := start(t, mechanisms)
	s.Obey(at(emailtest.Auth, emailtest.Reply(535, strings.Repeat("x", 190)+emailtest.Password)))
	if err := newAction(t, s, email.Config{}).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "xxx[secret]") {
		t.Error(err)
	}
	for _, tt := range []struct {
		mechanisms []string
		want       string
	}{
		{[]string{"PLAIN", "LOGIN"}, "the password is not sent over an unencrypted connection, and the server knows no other way but PLAIN LOGIN"},
		{[]string{"PLAIN", "CRAM-MD5"}, ""},
		{[]string{"LOGIN", "SCRAM-SHA-256"}, ""},
		{nil, "the server lets nobody log in here, and there is a user"},
	} {
		s := start(t, emailtest.Options{Mechanisms: tt.mechanisms})
		var said []string
		s.Obey(func(stage emailtest.Stage, argument string) error {
			if stage == emailtest.Auth {
				said = append(said, argument)
			}
			return nil
		})
		a := newAction(t, s, email.Config{Security: email.None})
		raw, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", portOf(s)))
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		err = a.Open(t.Context(), elsewhere{raw})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v: %v\nwant %s", tt.mechanisms, err, tt.want)
		}
		for _, one := range said {
			if strings.Contains(one, emailtest.Password) {
				t.Errorf("%v: the password was sent", tt.mechanisms)
			}
		}
	}
	s = start(t, emailtest.Options{Mechanisms: []string{"XOAUTH2"}})
	if err := newAction(t, s, email.Config{}).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "knows no way to log in that the router knows, but XOAUTH2") {
		t.Error(err)
	}
}

// elsewhere is a connection that leaves the machine.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

// TestReuse: a connection serves several mails, and one that is dead is replaced
// without an error.
func TestReuse(t *testing.T) {
	s := start(t, mechanisms)
	a := newAction(t, s, email.Config{Security: email.TLS})
	n := 0
	deliver := func(what string, wantSessions int) {
		t.Helper()
		before := s.Sessions()
		n++
		if err := a.Deliver(t.Context(), []action.Message{entry(n, "x")}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := s.Sessions() - before; got != wantSessions {
			t.Errorf("%s: %d new connections, want %d", what, got, wantSessions)
		}
	}
	deliver("first", 1)
	deliver("second", 0)
	s.Stop()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	deliver("after a restart of the server", 1)
	for _, reply := range []error{emailtest.Reply(421, "4.4.2 idle for too long"), emailtest.Reply(452, "4.5.3 enough on this connection"), emailtest.Reply(550, "5.7.0 enough on this connection"), emailtest.ErrDrop} {
		asked := 0
		s.Obey(func(stage emailtest.Stage, _ string) error {
			if stage == emailtest.From {
				if asked++; asked == 1 {
					return reply
				}
			}
			return nil
		})
		deliver(reply.Error(), 1)
	}
	s.Obey(at(emailtest.To, emailtest.Reply(550, "5.1.1 no such user")))
	if err := a.Deliver(t.Context(), []action.Message{entry(1, "x")}); err == nil {
		t.Error("accepted")
	}
	s.Obey(nil)
	deliver("after a refusal", 0)
	if got := len(s.Mails()); got != n {
		t.Errorf("%d mails, want %d", got, n)
	}
}

// TestIdle: a connection is given up after half a minute.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		a, err := email.New(email.Config{Host: "h", Security: email.None, From: "a@b", To: "a@b"})
		if err != nil {
			t.Fatal(err)
		}
		commands := make(chan string, 10)
		go func() {
			defer close(commands)
			defer server.Close()
			lines := bufio.NewScanner(server)
			for reply := "220 hello"; ; reply = "250 yes" {
				fmt.Fprintf(server, "%s\r\n", reply)
				if !lines.Scan() {
					return
				}
				command, _, _ := strings.Cut(lines.Text(), " ")
				commands <- command
			}
		}()
		if err := a.Keep(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var got []string
		for command := range commands {
			got = append(got, command)
		}
		if diff := cmp.Diff([]string{"EHLO", "QUIT"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("given up after %v", took)
		}
	})
}

// TestHello: a name that others can look up, or else an address.
func TestHello(t *testing.T) {
	s := start(t, emailtest.Options{})
	for set, want := range map[string]string{"mx.example.com": "mx.example.com", "": "."} {
		c := settings(s, email.Config{Hello: set})
		c.User, c.Password = "", ""
		a, err := email.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if err := a.Deliver(t.Context(), []action.Message{entry(1, "x")}); err != nil {
			t.Fatal(err)
		}
		mails := s.Mails()
		if got := mails[len(mails)-1].Hello; !strings.Contains(got, want) {
			t.Errorf("hello %q: %q", set, got)
		}
	}
}

// TestUTF8: an address beyond ASCII needs a server that takes it.
func TestUTF8(t *testing.T) {
	c := email.Config{To: "Ada <ada@exämple.com>"}
	if m := sent(t, c, entry(1, "x")); !m.UTF8 || m.To[0] != "ada@exämple.com" {
		t.Errorf("UTF8 %v, to %q", m.UTF8, m.To)
	}
	// It is in a header then.
	if m := sent(t, email.Config{ReplyTo: "hilfe@exämple.com"}, entry(1, "x")); !m.UTF8 {
		t.Errorf("a mail of ASCII alone, with Reply-To: %s", m.Header("Reply-To"))
	}
	s := start(t, mechanisms)
	err := newAction(t, s, c).Deliver(t.Context(), []action.Message{entry(1, "x")})
	if !action.IsPermanent(err) || !strings.Contains(err.Error(), "SMTPUTF8") {
		t.Error(err)
	}
}

func TestPartlyAccepted(t *testing.T) {
	p := email.PartlyAccepted(5)
	p.Add("1", "a")
	p.Add("1", "b")
	p.Add("2", "a")
	check := func(id string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, append([]string(nil), p.Without(id, "a", "b", "c")...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
	check("1", "c")
	check("2", "b", "c")
	check("3", "a", "b", "c")
	p.Add("3", "a", "b", "c")
	check("1", "a", "b", "c") // the oldest makes room
	check("2", "b", "c")
	check("3")
	p.Forget("2")
	p.Add("4", "a")
	check("2", "a", "b", "c")
	check("3")
	check("4", "b", "c")
	p.Add("5", "a") // there is room for it
	check("3")
	check("5", "b", "c")
}

// TestEndlessReply: what never comes to the end of its reply is not listened to until
// the memory is full of it.
func TestEndlessReply(t *testing.T) {
	for name, said := range map[string]string{"lines": "220-hello\r\n", "one line": "220-hello "} {
		client, server := net.Pipe()
		sent := make(chan int)
		go func() {
			n := 0
			for {
				more, err := io.WriteString(server, said)
				n += more
				if err != nil {
					sent <- n
					return
				}
			}
		}()
		a, err := email.New(email.Config{Host: "h", Security: email.None, From: "a@b", To: "a@b"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err = a.Open(ctx, client)
		if err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), "greeting: the reply has no end (is that a mail server?)") {
			t.Errorf("%s: %v", name, err)
		}
		client.Close()
		if n := <-sent; n > 2<<20 {
			t.Errorf("%s: %d bytes were read", name, n)
		}
	}
}

// TestOddChallenge: what a server says is one short line in an error, whoever makes that.
func TestOddChallenge(t *testing.T) {
	client, server := net.Pipe()
	go func() {
		lines := bufio.NewScanner(server)
		for _, reply := range []string{"220 hello", "250-hello\r\n250 AUTH SCRAM-SHA-256", "334 ", "334 " + base64.StdEncoding.EncodeToString([]byte("\x1b[31m\n"+strings.Repeat("x", 1000)))} {
			fmt.Fprintf(server, "%s\r\n", reply)
			lines.Scan()
		}
		server.Close()
	}()
	a, err := email.New(email.Config{Host: "h", Security: email.None, From: "a@b", To: "a@b", User: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Open(t.Context(), client)
	if err == nil || action.IsPermanent(err) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 300 {
		t.Errorf("%q", err)
	}
}
