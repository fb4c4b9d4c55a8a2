package email_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/email"
	"github.com/journald-router/journald-router/action/email/emailtest"
)

// at is an order for one stage.
func at(stage emailtest.Stage, answer error) emailtest.Order {
	return func(s emailtest.Stage, _ string) error {
		if s == stage {
			return answer
		}
		return nil
	}
}

// TestReplies: what each answer, at each stage, means for the delivery.
func TestReplies(t *testing.T) {
	const dropped = "the server has closed the connection"
	tests := []struct {
		stage     emailtest.Stage
		answer    error
		permanent bool
		want      string
	}{
		{emailtest.Hello, emailtest.Reply(421, "4.3.2 shutting down"), false, "EHLO: 421 4.3.2 shutting down"},
		{emailtest.Hello, emailtest.Reply(550, "5.7.1 go away"), true, "EHLO: 550 5.7.1 go away"},
		{emailtest.Hello, emailtest.ErrDrop, false, "EHLO: "},
		{emailtest.Auth, emailtest.Reply(454, "4.7.0 the directory is down"), false, "AUTH: 454 4.7.0 the directory is down"},
		{emailtest.Auth, emailtest.Reply(535, "5.7.8 wrong"), true, "AUTH: 535 5.7.8 wrong (check user and password; many providers want a password made for one app)"},
		{emailtest.Auth, emailtest.Reply(534, "5.7.9 log in by the browser"), true, "AUTH: 534 5.7.9 log in by the browser (the provider wants another way to log in; often a password made for one app)"},
		{emailtest.Auth, emailtest.ErrDrop, false, "AUTH: " + dropped},
		{emailtest.From, emailtest.Reply(452, "4.3.1 the disk is full"), false, "MAIL FROM: 452 4.3.1 the disk is full"},
		{emailtest.From, emailtest.Reply(421, "4.7.0 slow down"), false, "MAIL FROM: 421 4.7.0 slow down"},
		{emailtest.From, emailtest.Reply(553, "5.7.1 not yours"), true, "MAIL FROM: 553 5.7.1 not yours (may this user send as from?)"},
		{emailtest.From, emailtest.ErrDrop, false, "MAIL FROM: " + dropped},
		{emailtest.To, emailtest.Reply(450, "4.2.0 greylisted"), false, "not accepted for ops@example.com: 450 4.2.0 greylisted"},
		{emailtest.To, emailtest.Reply(550, "5.1.1 no such user\nreally"), true, "not accepted for ops@example.com: 550 5.1.1 no such user really"},
		{emailtest.To, emailtest.Reply(421, "4.7.0 too many"), false, "RCPT TO: 421 4.7.0 too many"},
		{emailtest.To, emailtest.ErrDrop, false, "RCPT TO: " + dropped},
		{emailtest.Data, emailtest.Reply(451, "4.7.1 later"), false, "end of DATA: 451 4.7.1 later"},
		{emailtest.Data, emailtest.Reply(421, "4.3.2 shutting down"), false, "end of DATA: 421 4.3.2 shutting down"},
		{emailtest.Data, emailtest.Reply(552, "5.3.4 too large"), true, "end of DATA: 552 5.3.4 too large"},
		{emailtest.Data, emailtest.Reply(554, "5.7.1 spam"), true, "end of DATA: 554 5.7.1 spam"},
		{emailtest.Data, emailtest.ErrDrop, false, "end of DATA: " + dropped},
		{emailtest.Accepted, emailtest.ErrDrop, false, "end of DATA: " + dropped},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.stage, " ", tt.answer), func(t *testing.T) {
			s := start(t, mechanisms)
			a := newAction(t, s, email.Config{})
			s.Obey(at(tt.stage, tt.answer))
			err := a.Deliver(t.Context(), []action.Message{entry(1, "text")})
			if err == nil || action.IsPermanent(err) != tt.permanent {
				t.Fatalf("permanent %v, want %v: %v", action.IsPermanent(err), tt.permanent, err)
			}
			want := fmt.Sprintf("mail through 127.0.0.1:%d: %s", s.Port(), tt.want)
			if !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
			// It goes on as if nothing had been.
			s.Obey(nil)
			before := len(s.Mails())
			if err := a.Deliver(t.Context(), []action.Message{entry(2, "text")}); err != nil {
				t.Errorf("the next one: %v", err)
			}
			if n := len(s.Mails()) - before; n != 1 {
				t.Errorf("the next one came %d times", n)
			}
		})
	}
}

// TestSomeRecipients: whoever is accepted gets the mail, once, and the error names
// the others with their replies.
func TestSomeRecipients(t *testing.T) {
	s := start(t, mechanisms)
	a := newAction(t, s, email.Config{To: "ada@example.com, bob@example.com", Cc: "cy@example.com", Bcc: "dan@example.com"})
	answers := map[string]error{
		"bob@example.com": emailtest.Reply(450, "4.2.0 greylisted"),
		"dan@example.com": emailtest.Reply(550, "5.1.1 no such user"),
	}
	s.Obey(func(stage emailtest.Stage, to string) error {
		if stage == emailtest.To {
			return answers[to]
		}
		return nil
	})
	deliver := func(wantPermanent bool, wantTo []string, want string) {
		t.Helper()
		before := len(s.Mails())
		err := a.Deliver(t.Context(), []action.Message{entry(100, "text")})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasSuffix(err.Error(), want) || action.IsPermanent(err) != wantPermanent) {
			t.Errorf("%v (permanent: %v)\nwant %s", err, action.IsPermanent(err), want)
		}
		var to []string
		for _, m := range s.Mails()[before:] {
			to = append(to, m.To...)
			if got, want := m.Header("To"), "<ada@example.com>, <bob@example.com>"; got != want {
				t.Errorf("To: %s, want %s", got, want)
			}
		}
		if diff := cmp.Diff(wantTo, to); diff != "" {
			t.Errorf("who got it (-want +got):\n%s", diff)
		}
	}
	deliver(false, []string{"ada@example.com", "cy@example.com"},
		"not accepted for bob@example.com: 450 4.2.0 greylisted; dan@example.com: 550 5.1.1 no such user (accepted for 2)")
	deliver(false, nil, "not accepted for bob@example.com: 450 4.2.0 greylisted; dan@example.com: 550 5.1.1 no such user")
	delete(answers, "bob@example.com")
	deliver(true, []string{"bob@example.com"}, "not accepted for dan@example.com: 550 5.1.1 no such user (accepted for 1)")
	// As a dead letter that is retried.
	delete(answers, "dan@example.com")
	deliver(false, []string{"dan@example.com"}, "")
	// It is forgotten then.
	deliver(false, []string{"ada@example.com", "bob@example.com", "cy@example.com", "dan@example.com"}, "")
}

// TestSomeRecipientsOfADigest: who has the digest gets none of its entries again, in
// whatever mails they come then.
func TestSomeRecipientsOfADigest(t *testing.T) {
	s := start(t, mechanisms)
	c := email.Config{To: "ada@example.com, bob@example.com"}
	s.Obey(func(stage emailtest.Stage, to string) error {
		if stage == emailtest.To && to == "bob@example.com" {
			return emailtest.Reply(450, "4.2.0 greylisted")
		}
		return nil
	})
	batch := []action.Message{entry(201, "first"), entry(202, "second"), entry(203, "third")}
	for i, err := range errorsOf(newAction(t, s, c).Deliver(t.Context(), batch), 3) {
		if err == nil || action.IsPermanent(err) {
			t.Errorf("%d: %v, want a temporary error", i, err)
		}
	}
	s.Obey(nil)
	a := newAction(t, s, c) // as after a reload
	for _, some := range [][]action.Message{batch[:1], {batch[1], entry(204, "new"), batch[2]}} {
		if err := a.Deliver(t.Context(), some); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, m := range s.Mails() {
		var texts []string
		for _, text := range []string{"first", "second", "third", "new"} {
			if strings.Contains(m.Text(), text) {
				texts = append(texts, text)
			}
		}
		got = append(got, fmt.Sprint(m.To, texts))
	}
	want := []string{"[ada@example.com] [first second third]", "[bob@example.com] [first]", "[bob@example.com] [second third]", "[ada@example.com bob@example.com] [new]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
}

// TestContentRefused: an entry that the server takes in no mail costs no other.
func TestContentRefused(t *testing.T) {
	s := start(t, mechanisms)
	s.Obey(func(stage emailtest.Stage, data string) error {
		if stage == emailtest.Data && strings.Contains(data, "casino") {
			return emailtest.Reply(554, "5.7.1 spam")
		}
		return nil
	})
	var batch []action.Message
	for i := range 20 {
		text := fmt.Sprintf("entry-%02d", i)
		if i == 13 {
			text += " casino"
		}
		batch = append(batch, entry(i, text))
	}
	err := newAction(t, s, email.Config{Subject: "x"}).Deliver(t.Context(), batch)
	var all strings.Builder
	for _, m := range s.Mails() {
		all.WriteString(m.Text())
	}
	for i, err := range errorsOf(err, len(batch)) {
		if (err != nil) != (i == 13) || err != nil && !action.IsPermanent(err) {
			t.Errorf("%d: %v", i, err)
		}
		want := 1
		if i == 13 {
			want = 0
		}
		if n := strings.Count(all.String(), fmt.Sprintf("entry-%02d", i)); n != want {
			t.Errorf("entry %d came %d times, want %d", i, n, want)
		}
	}
}

// TestSize: a digest that the server would not take goes in parts; a mail that is too
// large by itself is refused, without being sent.
func TestSize(t *testing.T) {
	s := start(t, emailtest.Options{Mechanisms: []string{"PLAIN"}, MaxBytes: 20_000})
	a := newAction(t, s, email.Config{Security: email.TLS})
	var batch []action.Message
	for i := range 10 {
		batch = append(batch, entry(i, strings.Repeat("x", 5000)))
	}
	batch = append(batch, entry(10, strings.Repeat("x", 30_000)))
	reached := false
	s.Obey(func(stage emailtest.Stage, data string) error {
		reached = reached || stage == emailtest.Data && len(data) > 20_000
		return nil
	})
	errs := errorsOf(a.Deliver(t.Context(), batch), len(batch))
	for i, err := range errs[:10] {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := errs[10]; !action.IsPermanent(err) || !strings.HasSuffix(err.Error(), "and the server takes 20000 at most") {
		t.Errorf("%v", err)
	}
	if n := len(s.Mails()); n < 3 || n > 6 || reached {
		t.Errorf("%d mails, one too large: %v", n, reached)
	}
	if n := s.Sessions(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestServerDown: what a batch had no turn for is not tried one by one.
func TestServerDown(t *testing.T) {
	s := start(t, mechanisms)
	a := newAction(t, s, email.Config{To: "{{ .Fields.MAIL_TO }}", AllowDomains: []string{"example.com"}})
	var batch []action.Message
	for i := range 6 {
		batch = append(batch, entry(i, "text", fmt.Sprintf("MAIL_TO=u%d@example.com", i)))
	}
	logins := 0
	s.Obey(func(stage emailtest.Stage, to string) error {
		switch {
		case stage == emailtest.Auth:
			logins++
		case stage == emailtest.To && to == "u2@example.com":
			return emailtest.Reply(421, "4.3.2 shutting down")
		}
		return nil
	})
	for i, err := range errorsOf(a.Deliver(t.Context(), batch), 6) {
		if (err != nil) != (i >= 2) || action.IsPermanent(err) {
			t.Errorf("%d: %v", i, err)
		}
	}
	// Wrong credentials are refused for all alike, in one go, and tried once.
	logins = 0
	s.Obey(func(stage emailtest.Stage, _ string) error {
		if stage == emailtest.Auth {
			logins++
			return emailtest.Reply(535, "5.7.8 wrong")
		}
		return nil
	})
	err := a.Deliver(t.Context(), batch)
	if _, ok := errors.AsType[*action.BatchError](err); !ok || slices.ContainsFunc(errorsOf(err, 6), func(err error) bool { return !action.IsPermanent(err) }) || logins != 1 {
		t.Errorf("%d logins: %v", logins, err)
	}
	s.Stop()
	if err := a.Deliver(t.Context(), batch); err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	s.Obey(nil)
	if err := a.Deliver(t.Context(), batch); err != nil {
		t.Error(err)
	}
}

// TestStopped: what was accepted by then stays accepted.
func TestStopped(t *testing.T) {
	s := start(t, mechanisms)
	a := newAction(t, s, email.Config{To: "{{ .Fields.MAIL_TO }}", AllowDomains: []string{"example.com"}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := s.Ended()
	s.Obey(func(stage emailtest.Stage, to string) error {
		if stage == emailtest.To && to == "bob@example.com" {
			cancel()
			<-ended
		}
		return nil
	})
	errs := errorsOf(a.Deliver(ctx, []action.Message{entry(1, "x", "MAIL_TO=ada@example.com"), entry(2, "x", "MAIL_TO=bob@example.com")}), 2)
	if errs[0] != nil || errs[1] == nil || action.IsPermanent(errs[1]) {
		t.Errorf("%v", errs)
	}
}

// TestAcceptedAtTheEnd: a mail that the server has said it has is not sent again, even
// if the time was up just then.
func TestAcceptedAtTheEnd(t *testing.T) {
	s := start(t, mechanisms)
	a := newAction(t, s, email.Config{Security: email.None})
	raw, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", portOf(s)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := a.Keep(t.Context(), &ending{raw, "OK: queued", cancel}); err != nil {
		t.Fatal(err)
	}
	if err := a.Deliver(ctx, []action.Message{entry(1, "x")}); err != nil || ctx.Err() == nil || len(s.Mails()) != 1 {
		t.Errorf("%v, ended: %v, %d mails", err, ctx.Err(), len(s.Mails()))
	}
	// That end does nothing to the next one.
	if err := a.Deliver(t.Context(), []action.Message{entry(2, "x")}); err != nil {
		t.Error(err)
	}
}

// ending is a connection on which a reply ends something else.
type ending struct {
	net.Conn
	reply string
	end   func()
}

func (e *ending) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	if strings.Contains(string(b[:n]), e.reply) {
		e.end()
	}
	return n, err
}

// TestProbe: it finds what every mail would meet, and sends none.
func TestProbe(t *testing.T) {
	s := start(t, mechanisms)
	c := settings(s, email.Config{})
	c.User, c.Password = "", ""
	nobody, err := email.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		a     *email.Action
		order emailtest.Order
		want  string
	}{
		{newAction(t, s, email.Config{}), nil, ""},
		{nobody, nil, "MAIL FROM: 530 5.7.0 log in first (the server wants a user and a password, or TLS)"},
		{newAction(t, s, email.Config{}), at(emailtest.From, emailtest.Reply(553, "5.7.1 not yours")), "MAIL FROM: 553 5.7.1 not yours (may this user send as from?)"},
	} {
		s.Obey(tt.order)
		if err := tt.a.Probe(t.Context()); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.want)) {
			t.Errorf("%v\nwant %s", err, tt.want)
		}
	}
	if n := len(s.Mails()); n != 0 {
		t.Errorf("%d mails", n)
	}
	// One that does not answer is not waited for when the time is up.
	ctx, cancel := context.WithCancel(t.Context())
	var ended time.Time
	stopped := s.Ended()
	s.Obey(func(stage emailtest.Stage, _ string) error {
		if stage == emailtest.From {
			ended = time.Now()
			cancel()
			<-stopped
		}
		return nil
	})
	if err := newAction(t, s, email.Config{}).Probe(ctx); !errors.Is(err, context.Canceled) || time.Since(ended) >= time.Second {
		t.Errorf("after %v: %v", time.Since(ended), err)
	}
}

// TestRefusedMidway: a server that refuses a mail before it has all of it, and hangs up,
// has refused it for good.
func TestRefusedMidway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		lines := bufio.NewReader(c)
		for _, reply := range []string{"220 hello", "250 hello", "250 yes", "250 yes", "354 go on"} {
			fmt.Fprintf(c, "%s\r\n", reply)
			lines.ReadString('\n')
		}
		fmt.Fprint(c, "552 5.3.4 too large\r\n")
	}()
	a, err := email.New(email.Config{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Security: email.None, From: "a@b", To: "a@b"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	err = a.Deliver(t.Context(), []action.Message{entry(1, strings.Repeat("x", 8<<20))})
	if !action.IsPermanent(err) || !strings.HasSuffix(err.Error(), "end of DATA: 552 5.3.4 too large") {
		t.Error(err)
	}
}
