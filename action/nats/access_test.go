package nats_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/nats"
	"github.com/journald-router/journald-router/internal/authority"
	"github.com/nats-io/jwt/v2"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// logs is a stream for everything below logs.
var logs = jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>"}}

// expect delivers a message, and checks the class and the words of what comes of it, and
// that it has no secret.
func expect(t *testing.T, a action.Action, permanent bool, words string, secrets ...string) {
	t.Helper()
	start := time.Now()
	err := deliver(t, a, message(1, "one"))
	if words == "" {
		if err != nil {
			t.Errorf("%v; want it accepted", err)
		}
		return
	}
	checkError(t, err, permanent, words, secrets...)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("%v came after %v", err, took)
	}
}

func checkError(t *testing.T, err error, permanent bool, words string, secrets ...string) {
	t.Helper()
	if err == nil || action.IsPermanent(err) != permanent || !strings.Contains(err.Error(), words) {
		t.Errorf("%v (permanent: %v); want %q (%v)", err, action.IsPermanent(err), words, permanent)
		return
	}
	for _, secret := range secrets {
		if strings.Contains(fmt.Sprintf("%+v %#v", err, err), secret) {
			t.Errorf("the error has the secret: %v", err)
		}
	}
}

func TestPassword(t *testing.T) {
	s := startServer(t, userRouter)
	makeStream(t, s, logs, asRouter)
	c := nats.Config{URL: []string{s.URL()}, Subject: "logs.a", User: "router", Password: password}
	expect(t, newAction(t, c), false, "")
	c.Password = "another-password"
	wrong := newAction(t, c)
	expect(t, wrong, true, "Authorization Violation (check user and password", "another-password")
	checkError(t, wrong.Probe(t.Context()), true, "Authorization Violation", "another-password")
	c.User, c.Password = "", ""
	expect(t, newAction(t, c), true, "Authorization Violation")
}

// TestEcho: a server whose refusal repeats the credentials.
func TestEcho(t *testing.T) {
	seed, public := newKey(t, nkeys.CreateUser)
	s := startServer(t, `authorization {users: [{nkey: `+public+`}]}`)
	for _, c := range []nats.Config{
		{User: "router", Password: password},
		{Token: password},
		{NKey: action.Secret(seed)},
	} {
		c.URL, c.Subject = []string{newProxy(t, &proxy{echo: true, at: "CONNECT "}, s.Address).url()}, "logs.a"
		a := newAction(t, c)
		expect(t, a, false, "CONNECT {", password, seed)
		checkError(t, a.Probe(t.Context()), false, "CONNECT {", password, seed)
	}
}

func TestToken(t *testing.T) {
	s := startServer(t, `authorization {token: "the-token-0123"}`)
	makeStream(t, s, logs, client.Token("the-token-0123"))
	c := nats.Config{URL: []string{s.URL()}, Subject: "logs.a", Token: "the-token-0123"}
	expect(t, newAction(t, c), false, "")
	c.Token = "another-token"
	expect(t, newAction(t, c), true, "Authorization Violation", "another-token")
}

func TestNKey(t *testing.T) {
	seed, public := newKey(t, nkeys.CreateUser)
	other, _ := newKey(t, nkeys.CreateUser)
	s := startServer(t, `authorization {users: [{nkey: `+public+`}, {user: router, password: "`+password+`"}]}`)
	makeStream(t, s, logs, asRouter)
	c := nats.Config{URL: []string{s.URL()}, Subject: "logs.a", NKey: action.Secret(seed + "\n")}
	expect(t, newAction(t, c), false, "")
	c.NKey = action.Secret(other)
	expect(t, newAction(t, c), true, "Authorization Violation", other)
	c.URL = []string{startServer(t, "").URL()}
	expect(t, newAction(t, c), true, "leave out nkey", other)
}

// TestCreds: a server that knows users by what their account has signed.
func TestCreds(t *testing.T) {
	operator, account := newPair(t, nkeys.CreateOperator), newPair(t, nkeys.CreateAccount)
	system := newPair(t, nkeys.CreateAccount)
	accountOf := func(pair nkeys.KeyPair, jetStream bool) (public, token string) {
		public, _ = pair.PublicKey()
		claims := jwt.NewAccountClaims(public)
		if jetStream {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
		}
		return public, encode(t, claims, operator)
	}
	systemPublic, systemToken := accountOf(system, false)
	accountPublic, accountToken := accountOf(account, true)
	operatorPublic, _ := operator.PublicKey()
	operatorClaims := jwt.NewOperatorClaims(operatorPublic)
	operatorClaims.SystemAccount = systemPublic
	s := startServer(t, fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {%s: %s, %s: %s}",
		encode(t, operatorClaims, operator), systemPublic, systemPublic, systemToken, accountPublic, accountToken))
	creds := func(signer nkeys.KeyPair) (file, seed string) {
		seed, public := newKey(t, nkeys.CreateUser)
		text, err := jwt.FormatUserConfig(encode(t, jwt.NewUserClaims(public), signer), []byte(seed))
		if err != nil {
			t.Fatal(err)
		}
		return string(text), seed
	}
	file, _ := creds(account)
	makeStream(t, s, logs, client.UserCredentialBytes([]byte(file)))
	c := nats.Config{URL: []string{s.URL()}, Subject: "logs.a", Creds: action.Secret(file)}
	good := newAction(t, c)
	expect(t, good, false, "")
	if err := good.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	file, seed := creds(system)
	c.Creds = action.Secret(file)
	expect(t, newAction(t, c), false, "no stream answered", seed) // another account has none
	file, seed = creds(newPair(t, nkeys.CreateAccount))
	c.Creds = action.Secret(file)
	expect(t, newAction(t, c), true, "Authorization Violation", seed)
}

func encode(t *testing.T, claims jwt.Claims, signer nkeys.KeyPair) string {
	t.Helper()
	token, err := claims.Encode(signer)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newPair(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) (seed, public string) {
	t.Helper()
	pair := newPair(t, create)
	secret, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err = pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return string(secret), public
}

// TestPermissions: what the server says of a missing right is the error, at once.
func TestPermissions(t *testing.T) {
	s := startServer(t, `authorization {users: [
		{user: router, password: "`+password+`"},
		{user: least, password: least, permissions: {publish: [logs.a, logs.c], subscribe: "_INBOX.>"}},
		{user: private, password: private, permissions: {publish: logs.a, subscribe: "_INBOX_router.>"}},
		{user: documented, password: documented, permissions: {publish: ["logs.>", "$JS.API.STREAM.NAMES"], subscribe: "_INBOX.>"}},
		{user: mute, password: mute, permissions: {publish: "logs.>", subscribe: {deny: ">"}}},
		{user: asks, password: asks, permissions: {publish: [logs.a, "$JS.API.STREAM.INFO.LOGS", "$JS.API.STREAM.INFO.GONE"], subscribe: "_INBOX.>"}},
	]}`)
	makeStream(t, s, logs, asRouter)
	c := nats.Config{URL: []string{s.URL()}, Subject: "logs.{{ .Fields.TO }}", User: "least", Password: "least"}
	a := newAction(t, c)
	start := time.Now()
	errs := each(t, deliver(t, a, message(1, "one", "TO", "a"), message(2, "two", "TO", "b"), message(3, "three", "TO", "c")), 3)
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("%v", errs)
	}
	checkError(t, errs[1], true, `publish to logs.b at `+s.Address+`: permissions violation: Permissions Violation for Publish to "logs.b" (let the user publish to it`)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	if got := texts(t, s, asRouter); strings.Join(got, ",") != "one,three" {
		t.Errorf("the stream has %q", got)
	}
	if err := a.Probe(t.Context()); err != nil {
		t.Errorf("the probe of a user who may not ask: %v", err)
	}

	c.User, c.Password, c.Subject = "documented", "documented", "other.a"
	checkError(t, newAction(t, c).Probe(t.Context()), false, "no stream takes other.a")
	c.Subject = "logs.a"
	documented := newAction(t, c)
	expect(t, documented, false, "")
	if err := documented.Probe(t.Context()); err != nil {
		t.Error(err)
	}

	c.User, c.Password = "private", "private"
	expect(t, newAction(t, c), true, `(let the user subscribe to _INBOX.>, or set inbox_prefix`)
	c.InboxPrefix = "_INBOX_router"
	expect(t, newAction(t, c), false, "")
	c.InboxPrefix = ""
	c.User, c.Password = "mute", "mute"
	mute := newAction(t, c)
	expect(t, mute, true, `Permissions Violation for Subscription to`)
	checkError(t, mute.Probe(t.Context()), true, "inbox_prefix")

	c.User, c.Password, c.Stream = "asks", "asks", "LOGS"
	if err := newAction(t, c).Probe(t.Context()); err != nil {
		t.Error(err)
	}
	c.Stream = "GONE"
	checkError(t, newAction(t, c).Probe(t.Context()), false, "stream not found")
}

// TestDenied: any number of messages that may not be published stand in the way of no other,
// though none of them is ever answered.
func TestDenied(t *testing.T) {
	s := startServer(t, `authorization {users: [
		{user: router, password: "`+password+`"},
		{user: least, password: least, permissions: {publish: logs.a, subscribe: "_INBOX.>"}},
	]}`)
	makeStream(t, s, logs, asRouter)
	a := newAction(t, nats.Config{URL: []string{s.URL()}, Subject: "logs.{{ .Fields.TO }}", User: "least", Password: "least"})
	const calls, size = 10, 500 // the client takes 4000 without an answer
	for range calls {
		var batch []action.Message
		for n := range size {
			batch = append(batch, message(n, "denied", "TO", "b"))
		}
		for _, err := range each(t, deliver(t, a, batch...), size) {
			if !action.IsPermanent(err) {
				t.Fatalf("%v; want a permanent error", err)
			}
		}
	}
	if err := deliver(t, a, message(1, "allowed", "TO", "a")); err != nil {
		t.Error(err)
	}
}

// TestTLS: a server that wants a certificate, of an authority of its own.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	issuer, err := authority.New()
	if err != nil {
		t.Fatal(err)
	}
	ca := write(t, dir, "ca.pem", issuer.PEM)
	cert, key := writeSigned(t, dir, "client", issuer, x509.Certificate{Subject: pkix.Name{CommonName: "client"}})
	serverCert, serverKey := writeSigned(t, dir, "server", issuer, x509.Certificate{DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	s := startServer(t, fmt.Sprintf(`tls {ca_file: %q, cert_file: %q, key_file: %q, verify: true}`, ca, serverCert, serverKey))
	makeStream(t, s, logs, client.RootCAs(ca), client.ClientCert(cert, key))
	port := s.Address[strings.LastIndex(s.Address, ":"):]
	c := nats.Config{URL: []string{"tls://localhost" + port}, Subject: "logs.a", TLS: action.TLS{CA: ca, Cert: cert, Key: key}}
	good := newAction(t, c)
	expect(t, good, false, "")
	if err := good.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	c.URL = []string{"nats://localhost" + port}
	expect(t, newAction(t, c), false, "")

	c.TLS.ServerName = "nats.example.com"
	expect(t, newAction(t, c), false, "valid for localhost, not nats.example.com")
	c.TLS = action.TLS{CA: ca}
	expect(t, newAction(t, c), false, "(the server may want a certificate: set cert and key in tls)")
	c.TLS = action.TLS{}
	expect(t, newAction(t, c), false, "certificate signed by unknown authority (for a certificate authority of your own, set ca in tls)")
	plain := startServer(t, "")
	c.URL, c.TLS = []string{plain.URL()}, action.TLS{CA: ca}
	expect(t, newAction(t, c), false, "leave out tls")
}

// writeSigned writes a certificate and its key into dir.
func writeSigned(t *testing.T, dir, name string, by *authority.Authority, template x509.Certificate) (cert, key string) {
	t.Helper()
	c, err := by.Sign(template)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, dir, name+".pem", c.PEM), write(t, dir, name+"-key.pem", c.Key)
}

func write(t *testing.T, dir, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
