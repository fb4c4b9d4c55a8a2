package e2e

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action/slack/slacktest"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/router"
)

// hostile is a destination that treats its clients badly until it is healed.
type hostile struct {
	name string
	// behave is what it does with a request. Nil: that of an ordinary server,
	// which is then hostile in its TLS.
	behave func(h *hostile, w http.ResponseWriter, r *http.Request)
	// certificate is what it shows until it is healed; an error is its own way to
	// fail. Nil: it speaks no TLS.
	certificate func(h *hostile) (*tls.Certificate, error)
	// slack says that it is a Slack, not a hook.
	slack bool
	// text is the action's, if not that of the line. timeout is short where it is
	// what ends a delivery.
	text, timeout string
	// outcome is what becomes of a delivery, and says the cause that is shown for
	// it, as a regular expression.
	outcome outcome
	says    string

	hook   hook
	fake   *slacktest.Slack
	server *httptest.Server
	ca     *trusted
	healed atomic.Bool
	over   <-chan struct{} // closed when the test is
}

type outcome string

const (
	accepted  outcome = "accepted"  // once: what came of the reply is enough
	temporary outcome = "temporary" // tried until it is healed
	permanent outcome = "permanent" // a dead letter
)

// hostiles has a row for each way to treat a client badly.
func hostiles() []*hostile {
	return []*hostile{
		{name: "never-answers", behave: never, outcome: temporary, timeout: "500ms", says: "no answer within the time limit"},
		{name: "slow-headers", behave: slowHeaders, outcome: temporary, timeout: "500ms", says: "no answer within the time limit"},
		{name: "slow-body", behave: slowBody, outcome: accepted, timeout: "2s"},
		{
			name: "closes-in-request", behave: closesInRequest, outcome: temporary, says: "connection reset by peer|broken pipe|EOF|use of closed network connection",
			text: `{{ .Text }}{{ printf "%1000000s" "" }}`, // more than the network holds for a reader that is late
		},
		{name: "closes-before-reply", behave: raw(""), outcome: temporary, says: "EOF"},
		{name: "closes-in-headers", behave: raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"), outcome: temporary, says: "unexpected EOF"},
		{name: "closes-in-body", behave: closesInBody, outcome: accepted},
		{name: "large-reply", behave: largeReply(http.StatusOK), outcome: accepted},
		{name: "large-error", behave: largeReply(http.StatusBadGateway), outcome: temporary, says: "answered 502 Bad Gateway: x{200}…$"},
		{name: "endless-reply", behave: endlessReply, outcome: accepted},
		{name: "endless-headers", behave: raw("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n"), outcome: temporary, says: "headers exceeded 65536 bytes"},
		{name: "endless-continue", behave: raw("", "HTTP/1.1 103 Early Hints\r\n\r\n"), outcome: temporary, says: "1xx|headers exceeded 65536 bytes"},
		{name: "another-protocol", behave: raw("SSH-2.0-OpenSSH_9.2\r\n"), outcome: temporary, says: `malformed HTTP response "SSH-2.0-OpenSSH_9.2"`},
		{name: "redirects-for-ever", behave: redirects, outcome: permanent, says: `answered 307 Temporary Redirect \(redirects are not followed: put the final address into the configuration\)`},

		{name: "unknown-authority", certificate: ofUnknownAuthority, outcome: temporary, says: "certificate signed by unknown authority"},
		{name: "expired", certificate: expired, outcome: temporary, says: "certificate has expired or is not yet valid"},
		{name: "wrong-name", certificate: wrongName, outcome: temporary, says: "certificate is valid for another.test, not localhost"},
		{name: "no-handshake", certificate: noHandshake, outcome: temporary, timeout: "500ms", says: "no answer within the time limit"},
		{name: "breaks-handshake", certificate: breaksHandshake, outcome: temporary, says: "tls: internal error"},

		{name: "slack-never-answers", slack: true, behave: never, outcome: temporary, timeout: "500ms", says: "no answer within the time limit"},
		{name: "slack-slow-body", slack: true, behave: slowBody, outcome: temporary, timeout: "500ms", says: "not with Slack's JSON, or only a part of it"},
		{name: "slack-closes-in-body", slack: true, behave: closesInBody, outcome: temporary, says: "not with Slack's JSON, or only a part of it"},
		{name: "slack-endless-reply", slack: true, behave: endlessReply, outcome: temporary, says: "not with Slack's JSON, or only a part of it"},
		{name: "slack-redirects", slack: true, behave: redirects, outcome: permanent, says: "redirects are not followed"},
	}
}

// TestHostileDestinations: destinations that misbehave in every way at once, and
// one that does not. The latter gets everything meanwhile; of each of the others
// the status and the log name the host and the cause, and no secret; memory
// stays bounded. Once they are healed, everything arrives, in order and once, also
// after a reload in the middle of all that.
func TestHostileDestinations(t *testing.T) {
	t.Parallel() // mostly waiting for time limits
	j := journaltest.Start(t, journaltest.Options{})
	ca := newAuthority(t)
	all := hostiles()
	var actions, names strings.Builder
	for _, h := range all {
		h.start(t, ca)
		actions.WriteString(h.config())
		fmt.Fprintf(&names, ", %s", h.name)
	}
	well := newHook(t)
	config := fmt.Sprintf(`
http: 127.0.0.1:0
actions:
  well: {webhook: {url: "%s"}, text: "{{ .Text }}"}
%s
rules:
  - {name: all, prefix: "X: ", actions: [well%s]}
`, well.URL, &actions, &names)
	p := newProgram(t, j, config)
	p.env = []string{"SSL_CERT_FILE=" + ca.file}
	p.startReady()
	const lines = 3
	for n := range lines {
		j.Print(fmt.Sprintf("X: %d", n))
	}

	waitFor(t, "what is well", func() bool { return len(well.received()) == lines })
	for _, h := range all {
		if got := h.received(); h.outcome != accepted && len(got) > 0 {
			t.Errorf("%s has accepted %v", h.name, numbersOf(got))
		}
	}
	var now router.Snapshot
	waitFor(t, "what becomes of all others", func() bool {
		now = p.status()
		return !slices.ContainsFunc(all, func(h *hostile) bool { return !h.settled(&now, lines) })
	})
	p.checkHostiles(all)
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := p.get(path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if peak, most := p.memory("VmHWM"), 150<<10; peak > most {
		t.Errorf("the program took %d KiB, more than %d", peak, most)
	}

	p.reload(config)
	for _, h := range all {
		h.healed.Store(true)
	}
	p.run("dead", "retry", "--all")
	for _, h := range all {
		waitFor(t, h.name, func() bool { return len(h.received()) >= lines })
	}
	waitFor(t, "nothing to be left", func() bool {
		now = p.status()
		return !slices.ContainsFunc(now.Actions, func(a router.ActionSnapshot) bool { return a.Queued > 0 || a.Failures > 0 })
	})
	for _, h := range all {
		got := numbersOf(h.received())
		if h.timeout != "" {
			got = slices.Compact(got) // a slow machine may take longer than that to answer
		}
		if !slices.Equal(got, upTo(lines)) {
			t.Errorf("%s has accepted %v, want %v", h.name, got, upTo(lines))
		}
	}
	p.stop()
	if n := p.says("level=ERROR"); n != 2*lines {
		t.Errorf("%d errors in the log, want the %d dead letters", n, 2*lines)
	}
}

// checkHostiles looks at what an operator is shown.
func (p *program) checkHostiles(all []*hostile) {
	p.t.Helper()
	text, letters, asJSON := p.run("status"), p.run("dead", "list"), p.run("status", "--output", "json")
	_, metrics := p.get("/metrics")
	for where, shown := range map[string]string{"status": text, "dead list": letters, "status as JSON": asJSON, "metrics": metrics, "log": p.log.String()} {
		if strings.Contains(shown, "s3cret") || strings.Contains(shown, slacktest.Token) {
			p.t.Errorf("a secret is in the %s", where)
		}
	}
	for _, h := range all {
		host := h.server.Listener.Addr().String()
		_, port, _ := net.SplitHostPort(host)
		where := "localhost:" + port
		if h.slack {
			where = "#growth: .*" + where // it may be in the history, which is as hostile
		}
		says := regexp.MustCompile(`post to ` + where + `.* ?(` + h.says + `)`)
		line := ""
		switch h.outcome {
		case temporary:
			line = regexp.MustCompile(`(?m)^failing: +` + h.name + `, .*$`).FindString(text)
		case permanent:
			line = regexp.MustCompile(`(?m)^\S+  .* ` + h.name + ` .*$`).FindString(letters)
		case accepted:
			continue
		}
		if !says.MatchString(line) {
			p.t.Errorf("of %s is shown %q, want %s", h.name, line, says)
		}
		if !regexp.MustCompile(`action=` + h.name + ` .*cause=.*` + where).MatchString(p.log.String()) {
			p.t.Errorf("the log does not tell of %s", h.name)
		}
	}
}

// settled tells whether all has become of the lines what is to become of them.
func (h *hostile) settled(now *router.Snapshot, lines int) bool {
	i := slices.IndexFunc(now.Actions, func(a router.ActionSnapshot) bool { return a.Name == h.name })
	switch a := now.Actions[i]; h.outcome {
	case temporary:
		return a.Failures >= 2 && a.Queued == int64(lines)
	case permanent:
		return now.DeadLetters[h.name] == lines && a.Queued == 0
	default:
		return len(h.received()) >= lines && a.Queued == 0
	}
}

// quiet is for servers whose handshakes are meant to fail.
var quiet = log.New(io.Discard, "", 0)

func (h *hostile) start(t *testing.T, ca *trusted) {
	t.Helper()
	h.ca, h.over = ca, t.Context().Done()
	h.fake = slacktest.New()
	h.server = httptest.NewUnstartedServer(h)
	h.server.Config.ErrorLog = quiet
	if h.certificate == nil {
		h.server.Start()
	} else {
		good := ca.certificate("localhost", time.Now().Add(time.Hour))
		h.server.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.healed.Load() {
				return &good, nil
			}
			return h.certificate(h)
		}}
		h.server.StartTLS()
	}
	t.Cleanup(func() {
		h.server.CloseClientConnections()
		h.server.Close()
	})
}

// config is the action's part of the configuration, with secrets in it.
func (h *hostile) config() string {
	url := strings.Replace(h.server.URL, "127.0.0.1", "localhost", 1)
	kind := fmt.Sprintf(`webhook: {url: "%s/s3cret-path?token=s3cret", headers: {Authorization: s3cret}`, url)
	if h.slack {
		kind = fmt.Sprintf(`slack: {token: %s, channel: "#growth", api_url: "%s/api"`, slacktest.Token, url)
	}
	return fmt.Sprintf(`
  %s:
    %s, timeout: %s}
    text: '%s'
    retry: {min: 20ms, max: 200ms}
`, h.name, kind, cmp.Or(h.timeout, "30s"), cmp.Or(h.text, "{{ .Text }}"))
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case h.behave != nil && !h.healed.Load():
		h.behave(h, w, r)
	case h.slack:
		h.fake.ServeHTTP(w, r)
	default:
		h.hook.accept(r)
	}
}

func (h *hostile) received() (texts []string) {
	if !h.slack {
		return h.hook.received()
	}
	for _, m := range h.fake.Messages() {
		texts = append(texts, m.Says())
	}
	return texts
}

// status is what the daemon says of itself.
func (p *program) status() (now router.Snapshot) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.run("status", "--output", "json")), &now); err != nil {
		p.t.Fatal(err)
	}
	return now
}

// memory reads a figure in KiB from the daemon's /proc/PID/status.
func (p *program) memory(figure string) (kib int) {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	found := regexp.MustCompile(figure + `:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		p.t.Fatalf("%s is not in %s", figure, text)
	}
	kib, _ = strconv.Atoi(string(found[1]))
	return kib
}
