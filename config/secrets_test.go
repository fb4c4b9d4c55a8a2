package config

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

// TestSecretsAreSent: what the destination gets is the secret, not the reference.
func TestSecretsAreSent(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer server.Close()
	path := write(t, map[string]string{
		"config.yaml": `
actions:
  hook:
    webhook:
      url: ${env:HOOK_URL}
      headers:
        X-Env: Bearer ${env:HOOK_TOKEN}, twice ${env:HOOK_TOKEN}
        X-File: ${file:token}
        X-Credential: ${credential:hook-token}
        X-Literal: $${env:HOOK_TOKEN}
        X-Dollar: $5 and $$5 {x}
rules: [{name: r, prefix: x, actions: hook}]
`,
		"token":                  "from file\n",
		"credentials/hook-token": "from credential",
	})
	t.Setenv("HOOK_URL", server.URL)
	t.Setenv("HOOK_TOKEN", "from env")
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Join(filepath.Dir(path), "credentials"))
	c, err := Load(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	message := action.Message{ID: "1", Text: "x", Record: journal.NewRecord("c", time.Now(), 0)}
	if err := find(t, c, "hook").Destination.Deliver(t.Context(), []action.Message{message}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"X-Env": "Bearer from env, twice from env", "X-File": "from file", "X-Credential": "from credential",
		"X-Literal": "${env:HOOK_TOKEN}", "X-Dollar": "$5 and $$5 {x}",
	} {
		if got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want)
		}
	}
}

func TestReadSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{
		"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", " a \n": " a ", "\n": "", "a\nb\n": "a\nb",
		strings.Repeat("x", 1<<20): strings.Repeat("x", 1<<20), strings.Repeat("x", 1<<20+1): "ERROR",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readSecret(path)
		if err != nil {
			got = "ERROR"
		}
		if got != want {
			t.Errorf("%.20q gives %.20q, want %.20q", content, got, want)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Setenv("HOOK_URL", "https://user:pa$$w0rd@hook.example/a b?k=ä")
	t.Setenv("SHORT", "abc")
	c := mustLoad(t, map[string]string{"config.yaml": `
actions:
  hook: {webhook: {url: "${env:HOOK_URL}", headers: {A: Basic Zm9v, B: "Basic Zm9vYmFy", C: "${env:SHORT}", D: "say \"x\"", E: "plain $${x}"}}}
  out: {stdout: }
rules: [{name: r, prefix: x, actions: [hook, out]}]
`})
	for text, want := range map[string]string{
		"nothing":                         "nothing",
		"sent Basic Zm9v, ok":             "sent [secret], ok",
		"sent Basic Zm9vYmFy, ok":         "sent [secret], ok",
		"a=Basic+Zm9vYmFy&b=Basic%20Zm9v": "a=[secret]&b=[secret]",
		"abc stays":                       "abc stays",
		`quoted "say \"x\""`:              `quoted "[secret]"`,
		"plain ${x}":                      "[secret]",
		os.Getenv("HOOK_URL") + "!":       "[secret]!",
		`Post "https://user:xxxxx@hook.example/a%20b?k=ä": refused`: `Post "[secret]": refused`,
	} {
		// Every action gets it: one may be told what another was sent.
		for _, name := range []string{"hook", "out"} {
			if got := find(t, c, name).Redact(text); got != want {
				t.Errorf("%s: %q became %q, want %q", name, text, got, want)
			}
		}
	}
}

// TestNoSecretIsShown: whatever is wrong with a configuration, and wherever a
// secret got to in it.
func TestNoSecretIsShown(t *testing.T) {
	const secret = "s3cret"
	t.Setenv("TOKEN", "xoxb-"+secret)
	t.Setenv("COMMAND", "relative/"+secret)
	t.Setenv("URL", "ftp://hook.example/"+secret)
	for _, a := range []string{
		`slack: {token: xapp-s3cret, channel: C1}`,
		`slack: {token: "s3cret s3cret", channel: C1}`,
		`slack: {token: [xoxb-s3cret], channel: C1}`,
		`slack: {token: {xoxb-s3cret: }, channel: C1}`,
		`slack: {token: *s3cret, channel: C1}`,
		`slack: {token: &s3cret, channel: C1}`,
		`slack: {token: !s3cret, channel: C1}`,
		`slack: {token: !s3cret x, channel: C1}`,
		`slack: {token: @s3cret, channel: C1}`,
		`slack: {token: %s3cret, channel: C1}`,
		`slack: {token: "xoxb-\s3cret", channel: C1}`,
		`slack: {token:xoxb-s3cret, channel: C1}`,
		`slack: {token: #s3cret`,
		`slack: token:xoxb-s3cret`,
		`slack: xoxb-s3cret`,
		`slack: [xoxb-s3cret]`,
		`slack: {token: "xoxb-s3cret${", channel: C1}`,
		`slack: {token: "xoxb-${s3cret}", channel: C1}`,
		`slack: {token: xoxb-s3cret, webhook_url: https://hooks.example/s3cret}`,
		`slack: {webhook_url: "hooks.example/s3cret"}`,
		`slack: {webhook_url: "https://hooks.example/s3cret", channel: C1}`,
		`slack: {webhook_url: "https://hooks.example/\u0001s3cret"}`,
		`slack: {token: "${env:TOKEN}", channel: C1, timeout: "${env:TOKEN}"}`,
		`slack: {token: "${env:TOKEN}", channel: ["${env:TOKEN}", []]}`,
		`webhook: {url: "${env:URL}"}`,
		`webhook: {url: "http://[${env:TOKEN}]"}`,
		`webhook: {url: "http://%zz${env:TOKEN}"}`,
		`webhook: {url: "ftp://user:s3cret@host"}`,
		`webhook: {url: http://h, timeout: "${env:TOKEN}"}`,
		`webhook: {url: http://h, headers: {"X Y": s3cret}}`,
		`webhook: {url: http://h, headers: {Authorization: "s3cret\x01"}}`,
		`webhook: {url: http://h, headers: {Authorization:s3cret}}`,
		`webhook: {url: http://h, headers: [s3cret]}`,
		`webhook: {url: http://h, headers: Authorization s3cret}`,
		`webhook: {url: http://h, headers: {Authorization: [s3cret]}}`,
		`webhook: {url:https://hooks.example/s3cret}`,
		`exec: {command: ["${env:COMMAND}"], timeout: "${env:TOKEN}"}`,
		`exec: {command: ["${env:COMMAND}"]}`,
		`file: {path: "${env:COMMAND}"}`,
	} {
		for _, o := range []Options{{}, {Check: true}} {
			c, err := load(t, o, map[string]string{"config.yaml": "actions:\n  a:\n    " + a + withRules})
			if err == nil {
				t.Errorf("%s: no error, but %v", a, c.Notes)
				continue
			}
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%s\nshows the secret: %v", a, err)
			}
		}
	}
}

func TestCheckWithoutCredentials(t *testing.T) {
	const yaml = `
actions:
  a: {slack: {token: "${credential:slack-token}", channel: "#c"}}
  b: {webhook: {url: "https://hook.example/${credential:b}", headers: {X-Key: "${credential:c}"}}}
rules: [{name: r, prefix: x, actions: [a, b]}]
`
	c, err := load(t, Options{Check: true}, map[string]string{"config.yaml": yaml})
	if err != nil {
		t.Fatal(err)
	}
	const why = " was not checked, as there is no $CREDENTIALS_DIRECTORY here (systemd passes credentials to the service only)"
	want := "config.yaml:3:22: ${credential:slack-token}" + why +
		"\nconfig.yaml:4:22: ${credential:b}" + why +
		"\nconfig.yaml:4:79: ${credential:c}" + why
	if diff := cmp.Diff(want, Errors(c.Notes).Error()); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	// What has nothing to do with the credential is checked all the same.
	bad := strings.Replace(yaml, `headers: {`, `tmeout: 1s, headers: {Connection: x, `, 1)
	bad = strings.Replace(bad, `, channel: "#c"`, "", 1)
	_, err = load(t, Options{Check: true}, map[string]string{"config.yaml": bad})
	want = `config.yaml:3:14: channel is missing (write a name, in quotes as # begins a comment: channel: "#growth"; or an id: channel: C024BE91L)
config.yaml:4:62: unknown key "tmeout" (did you mean "timeout"?)
config.yaml:4:96: headers.Connection cannot be set (it is a matter of the connection; leave it out)`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	// Where systemd, or the user, has set the directory, a missing one is an error.
	path := write(t, map[string]string{"config.yaml": yaml, "credentials/b": "b", "credentials/c": "c"})
	dir := filepath.Join(filepath.Dir(path), "credentials")
	t.Setenv(credentialsDirectory, dir)
	_, err = Load(path, Options{Check: true})
	want = path + ":3:22: ${credential:slack-token}: open " + dir + "/slack-token: no such file or directory (LoadCredential=slack-token:PATH in the unit; see systemctl edit router)"
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestNotes(t *testing.T) {
	path := write(t, map[string]string{"config.yaml": `
actions:
  mail: {exec: {command: [/bin/true]}}
  idle: {stdout: }
  growth: {slack: {token: xoxb-literal, channel: "#c"}}
  other: {webhook: {url: http://h, headers: {X-Token: "${env:HOOK_TOKEN}", B: word, Authorization: Basic eA==}}}
rules:
  - {name: anybody, prefix: "x", actions: [growth, mail]}
  - {name: pinned, prefix: "x", match: {_UID: 0, HOSTNAME: h}, actions: [mail, other]}
`})
	t.Setenv("HOOK_TOKEN", "literal")
	notes := func(mode os.FileMode) string {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(Errors(c.Notes).Error(), path, "config.yaml")
	}
	const (
		host = "\nconfig.yaml:9:50: HOSTNAME is a field that only few programs log (did you mean _HOSTNAME, which journald writes?)"
		idle = "config.yaml:4:3: no rule uses action \"idle\"\n"
		exec = `config.yaml:8:52: any local user can log a line that rule "anybody" takes, and so run the command of action "mail" (match _SYSTEMD_UNIT, _UID or another field that only journald writes)`
		hint = " is a secret in a file that every user can read (keep it elsewhere, and write ${credential:NAME})\n"
	)
	if diff := cmp.Diff(idle+exec+host, notes(0o640)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(idle+"config.yaml:5:27: token"+hint+"config.yaml:6:100: headers.Authorization"+hint+exec+host, notes(0o644)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
