package emailtest

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"slices"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A Stage is a step at which the server may be told what to answer.
type Stage string

const (
	Hello    Stage = "EHLO"
	Auth     Stage = "AUTH"      // with what was sent as the argument
	From     Stage = "MAIL FROM" // with the address
	To       Stage = "RCPT TO"   // with the address
	Data     Stage = "DATA"      // with the mail, before it is stored
	Accepted Stage = "accepted"  // with the mail, once it is stored and before that is said
)

// An Order says what to answer at a stage: nil to go on as a server does, what Reply
// makes, or ErrDrop. It may also block, until Ended.
type Order func(stage Stage, argument string) error

// ErrDrop closes the connection without an answer.
var ErrDrop = errors.New("drop the connection")

// Reply is an answer.
func Reply(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: text}
}

// Obey gives the server its order; nil for none.
func (s *Server) Obey(o Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = o
}

// Ended is closed when the server is stopped.
func (s *Server) Ended() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// session is a client that has greeted.
type session struct {
	server *Server
	conn   *smtp.Conn
	user   string
	mail   Mail
}

var _ smtp.AuthSession = (*session)(nil)

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	s.sessions++
	s.mu.Unlock()
	one := &session{server: s, conn: c}
	return one, one.at(Hello, c.Hostname())
}

func (s *session) at(stage Stage, argument string) error {
	s.server.mu.Lock()
	order := s.server.order
	s.server.mu.Unlock()
	if order == nil {
		return nil
	}
	err := order(stage, argument)
	if err == ErrDrop {
		s.conn.Conn().Close()
	}
	return err
}

func (s *session) Reset()        { s.mail = Mail{} }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if len(s.server.options.Mechanisms) > 0 && s.user == "" {
		return Reply(530, "5.7.0 log in first")
	}
	if err := s.at(From, from); err != nil {
		return err
	}
	_, encrypted := s.conn.TLSConnectionState()
	s.mail = Mail{From: from, Encrypted: encrypted, Hello: s.conn.Hostname(), UTF8: o != nil && o.UTF8}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.at(To, to); err != nil {
		return err
	}
	s.mail.To = append(s.mail.To, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mail.Data = data
	if err := s.at(Data, string(data)); err != nil {
		return err
	}
	if !s.server.options.Discard {
		s.server.mu.Lock()
		s.server.mails = append(s.server.mails, s.mail)
		s.server.mu.Unlock()
	}
	return s.at(Accepted, string(data))
}

func (s *session) AuthMechanisms() []string { return s.server.options.Mechanisms }

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if !slices.Contains(s.server.options.Mechanisms, mechanism) {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	switch mechanism {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, user, password string) error { return s.login(user, password, password == Password) }), nil
	case "LOGIN":
		return &conversation{asks: []string{"Username:", "Password:"}, decide: func(said []string) error {
			return s.login(said[0], said[1], said[1] == Password)
		}}, nil
	case "SCRAM-SHA-256":
		return &scram{login: s.login}, nil
	case "CRAM-MD5": // RFC 2195
		const challenge = "<1896.697170952@mail.example.com>"
		return &conversation{asks: []string{challenge}, decide: func(said []string) error {
			digest := hmac.New(md5.New, []byte(Password))
			io.WriteString(digest, challenge)
			right := User + " " + hex.EncodeToString(digest.Sum(nil))
			return s.login(User, said[0], said[0] == right)
		}}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (s *session) login(user, proof string, right bool) error {
	if err := s.at(Auth, user+" "+proof); err != nil {
		return err
	}
	if user != User || !right {
		return Reply(535, "5.7.8 who are you?")
	}
	s.user = user
	return nil
}

// conversation is a mechanism that asks for one thing after another.
type conversation struct {
	asks   []string
	said   []string
	asked  int
	decide func(said []string) error
}

func (c *conversation) Next(response []byte) (challenge []byte, done bool, err error) {
	if c.asked > 0 {
		c.said = append(c.said, string(response))
	}
	if c.asked == len(c.asks) {
		return nil, true, c.decide(c.said)
	}
	c.asked++
	return []byte(c.asks[c.asked-1]), false, nil
}
