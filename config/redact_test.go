package config

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/router"
	"github.com/journald-router/journald-router/spool"
	"gopkg.in/yaml.v3"
)

// TestRedactParts: of a secret that is only secret in parts, errors show these apart.
func TestRedactParts(t *testing.T) {
	for secret, text := range map[string]string{
		`postgres://router:p4ss%20w0rd@db.example/logs?sslmode=disable&sslpassword=k3yp4ss`: "failed to connect to host=db.example user=router database=logs p4ss w0rd p4ss%20w0rd k3yp4ss",
		`host=db.example user=router password=p4ss\ w0rd sslpassword = 'k3y\'p4ss'`:         `server refuses p4ss w0rd of router at db.example, and k3y'p4ss`,
		"password='it is'":                         "it is password authentication that failed",
		"nats://router:p4ssw0rd@nats.example:4222": "login of router with p4ssw0rd at nats.example:4222",
		"Bearer t0ken.t0ken":                       "t0ken.t0ken has expired",
		"Basic cm91dGVyOnA0c3N3MHJk":               "router:p4ssw0rd is wrong, cm91dGVyOnA0c3N3MHJk",
		"-----BEGIN USER NKEY SEED-----\nSUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY\n-----END USER NKEY SEED-----\n": "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY is revoked",
	} {
		l := &loader{secrets: map[string]bool{secret: true}}
		got := l.redactor()(text)
		for _, part := range []string{"p4ss", "w0rd", "k3y", "it is", "t0ken", "cm91dGVy", "SUAMK"} {
			if strings.Contains(got, part) {
				t.Errorf("%s: %s shows %s", secret, got, part)
			}
		}
		if !strings.Contains(got, "[secret]") {
			t.Errorf("%s: nothing is taken out of %s", secret, got)
		}
		for _, word := range []string{"router at", "user=router", "db.example", "nats.example:4222", "database=logs", "authentication that failed", "expired", "revoked"} {
			if strings.Contains(text, word) && !strings.Contains(got, word) {
				t.Errorf("%s: %s lacks %s", secret, got, word)
			}
		}
	}
}

// TestRedactForms: a destination repeats what it was sent as it writes things.
func TestRedactForms(t *testing.T) {
	for _, tt := range []struct{ secret, text, want string }{
		{"https://router:p4%2fss@hook.example/x", "p4%2fss p4%2Fss p4/ss", "[secret] [secret] [secret]"},
		{"https://router:p4ss@word@hook.example", "p4ss@word p4ss%40word", "[secret] [secret]"},
		{"https://router:p4ssw0rd@hook.example", "Authorization: Basic cm91dGVyOnA0c3N3MHJk, for router", "Authorization: Basic [secret], for router"},
		{"nats://t0kent0kent0kent0ken@nats.example", "t0kent0kent0kent0ken is revoked", "[secret] is revoked"},
		{"postgres://postgres@db.example/x", "postgres at db.example", "postgres at db.example"},
		{"p4$s@w0rd", "http://router:p4$s%40w0rd@127.0.0.1/", "http://router:[secret]@127.0.0.1/"},
		{"p4/ss\"w0rd", `{"said": "p4\/ss\"w0rd", "not": "p4/ss\"w0rd"}`, `{"said": "[secret]", "not": "[secret]"}`},
		{"p4ssw0rd", "you sent cDRzc3cwcmQ=", "you sent [secret]"},
	} {
		l := &loader{secrets: map[string]bool{tt.secret: true}}
		if got := l.redactor()(tt.text); got != tt.want {
			t.Errorf("%s: %s became %s, want %s", tt.secret, tt.text, got, tt.want)
		}
	}
}

// TestRedactPasswordInURL that is no secret as a whole, and stands in the file.
func TestRedactPasswordInURL(t *testing.T) {
	c := mustLoad(t, map[string]string{"config.yaml": "actions: {a: {webhook: {url: 'https://router:p4ssw0rd@hook.example/x'}}}" + withRules})
	if got := c.Actions[0].Redact("hook.example refuses p4ssw0rd"); got != "hook.example refuses [secret]" {
		t.Error(got)
	}
}

// mark is in every secret of the test below, and must be nowhere else.
const mark = "s3cr3tm4rk"

// marked are secrets as they may be, right and wrong.
var marked = []string{
	mark,
	"xoxb-" + mark, "xapp-" + mark,
	"https://hooks.example.com/" + mark, "https://user:" + mark + "@hooks.example.com:99999/%zz",
	"postgres://router:" + mark + "@127.0.0.1:1/logs", "postgres://router:" + mark + "@[::1/logs?sslmode=maybe",
	"host=127.0.0.1 password=" + mark + " port=none", "SU" + strings.ToUpper(mark) + mark,
	mark + "\nsecond line " + mark, " " + mark + " ", mark + "\x01", mark + ` "quoted" <ü>`,
	"-----BEGIN NATS USER JWT-----\n" + mark + mark + "\n------END NATS USER JWT------\n-----BEGIN USER NKEY SEED-----\nSU" + mark + "\n------END USER NKEY SEED------\n",
}

// shows tells whether a text has the mark in it, also as a part or in capitals.
func shows(text string) bool { return strings.Contains(strings.ToLower(text), mark) }

// TestNoSecretOfAnyKindIsShown: whatever a secret setting of any kind is set to, it
// comes out in no error and no note, and, where a destination repeats it, in no log,
// status or dead letter.
func TestNoSecretOfAnyKindIsShown(t *testing.T) {
	all := pages(t)
	for _, k := range kinds {
		var c strict.Collector
		v, _ := c.Parse("f", []byte("{}"))
		settings, _, _ := k.decode(v)
		keys := secretKeys(reflect.TypeOf(settings), nil)
		ran := make(map[string]bool)
		for _, key := range keys {
			for _, b := range yamlBlock.FindAllStringSubmatch(all["docs/actions/"+k.name+".md"], -1) {
				for _, secret := range marked {
					c := loadMarked(t, complete(b[1]), k.name, key, secret)
					if c == nil || ran[strings.Join(key, ".")] {
						continue
					}
					ran[strings.Join(key, ".")] = true
					runRepeating(t, c, k.name, secret)
				}
			}
		}
		if len(keys) > 0 && len(ran) == 0 {
			t.Errorf("%s: nothing that is marked is a right configuration", k.name)
		}
	}
}

// secretKeys are the paths of the settings that are secret. One within a map is any.
func secretKeys(of reflect.Type, path []string) (keys [][]string) {
	switch {
	case of == reflect.TypeFor[action.Secret]():
		return [][]string{path}
	case of.Kind() == reflect.Pointer:
		return secretKeys(of.Elem(), path)
	case of.Kind() == reflect.Map:
		return secretKeys(of.Elem(), append(slices.Clone(path), "X-Any"))
	case of.Kind() == reflect.Struct && of.PkgPath() != reflect.TypeFor[strict.Value]().PkgPath():
		for f := range of.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); f.IsExported() {
				keys = append(keys, secretKeys(f.Type, append(slices.Clone(path), name))...)
			}
		}
	}
	return keys
}

// loadMarked puts the secret into the setting of each action of the kind, as it is and
// by a reference, and returns the configuration, or nil where that is wrong.
func loadMarked(t *testing.T, text, kind string, key []string, secret string) (c *Config) {
	t.Helper()
	for _, value := range []string{strings.ReplaceAll(secret, "${", "$${"), "${file:mark}"} {
		var doc map[string]any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, a := range doc["actions"].(map[string]any) {
			if section, ok := a.(map[string]any)[kind].(map[string]any); ok {
				found = true
				for _, name := range key[:len(key)-1] {
					inner, ok := section[name].(map[string]any)
					if !ok {
						inner = make(map[string]any)
						section[name] = inner
					}
					section = inner
				}
				section[key[len(key)-1]] = value
			}
		}
		if !found {
			return nil
		}
		out, err := yaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		path := writeWithSecrets(t, string(out))
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "mark"), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, o := range []Options{{Check: true}, {}} {
			c, err = Load(path, o)
			if shows(fmt.Sprint(err)) || c != nil && shows(Errors(c.Notes).Error()) {
				t.Errorf("%s: %s set to %q is shown: %v", kind, strings.Join(key, "."), secret, err)
			}
		}
	}
	return c
}

// repeats is a destination that says what it was sent, in the ways that there are.
type repeats struct {
	said  string
	calls int
}

func (r *repeats) Deliver(context.Context, []action.Message) error {
	r.calls++
	inJSON, _ := json.Marshal(r.said)
	err := fmt.Errorf("refused: %s, %q, %s, %s, %s", r.said, r.said, inJSON, url.QueryEscape(r.said), url.PathEscape(r.said))
	if r.calls > 1 {
		return action.Permanent(err)
	}
	return err
}

func (*repeats) Close() error { return nil }

// oneEntry is a journal with one entry.
type oneEntry struct{ read bool }

func (j *oneEntry) Next() (journal.Entry, error) {
	if j.read {
		return nil, io.EOF
	}
	j.read = true
	return journal.NewRecord("1", time.Now(), 0, journal.Field{Name: "MESSAGE", Value: []byte("x")}), nil
}

func (*oneEntry) Cursor() (string, error)              { return "1", nil }
func (*oneEntry) After(journal.Record) (string, error) { return "1", nil }
func (*oneEntry) Keep([]string, ...journal.Sieve)      {}
func (*oneEntry) Close() error                         { return nil }

func (*oneEntry) Wait(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// runRepeating runs the engine on one entry, with a destination that repeats the secret
// in the place of the configuration's.
func runRepeating(t *testing.T, c *Config, kind, secret string) {
	t.Helper()
	routes := mustLoad(t, map[string]string{"config.yaml": small})
	a := routes.Actions[0]
	a.Destination, a.Redact = &repeats{said: secret}, c.Actions[0].Redact
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		spooled, err := spool.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer spooled.Close()
		var log strings.Builder
		r := router.New(router.Options{
			Spool: spooled, Source: "journal", Log: slog.New(slog.NewTextHandler(&log, nil)),
			Open: func(string) (journal.Reader, error) { return new(oneEntry), nil },
		}, router.Routes{Rules: routes.Rules, Actions: []router.Action{a}})
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		status := func() string {
			synctest.Wait()
			s, err := json.Marshal(r.Snapshot())
			if err != nil {
				t.Error(err)
			}
			return string(s)
		}
		failing := status()
		time.Sleep(time.Minute)
		buried := status()
		var letters []string
		for l, err := range spooled.Letters(spool.Filter{}) {
			if err != nil {
				t.Error(err)
			}
			view, err := json.Marshal(l.View())
			if err != nil {
				t.Error(err)
			}
			letters = append(letters, string(view))
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for name, text := range map[string]string{
			"the log": log.String(), "status, while it fails,": failing, "status": buried, "the dead letter": strings.Join(letters, "\n"),
		} {
			if shows(text) {
				t.Errorf("%s: %s shows %q:\n%s", kind, name, secret, text)
			}
			if name != "status" && !strings.Contains(text, "[secret]") {
				t.Errorf("%s: %s has nothing of the failure:\n%s", kind, name, text)
			}
		}
	})
}
