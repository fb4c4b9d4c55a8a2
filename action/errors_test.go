package action_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
)

// class is how the engine sees an error.
func class(err error) string {
	wait, after := action.Wait(err)
	switch {
	case err == nil:
		return "accepted"
	case action.IsPermanent(err):
		return "permanent"
	case after:
		return "temporary, after " + wait.String()
	}
	return "temporary"
}

// TestCheckStatus has a row for every status that is registered, and for some
// that are not.
func TestCheckStatus(t *testing.T) {
	const accepted, permanent, temporary = "accepted", "permanent", "temporary, after 7s"
	tests := map[int]string{
		100: permanent, 101: permanent, 102: permanent, 103: permanent,

		200: accepted, 201: accepted, 202: accepted, 203: accepted, 204: accepted,
		205: accepted, 206: accepted, 207: accepted, 208: accepted, 226: accepted,
		299: accepted,

		300: permanent, 301: permanent, 302: permanent, 303: permanent, 304: permanent,
		305: permanent, 306: permanent, 307: permanent, 308: permanent,

		400: permanent, 401: permanent, 402: permanent, 403: permanent, 404: permanent,
		405: permanent, 406: permanent, 407: permanent, 408: temporary, 409: permanent,
		410: permanent, 411: permanent, 412: permanent, 413: permanent, 414: permanent,
		415: permanent, 416: permanent, 417: permanent, 418: permanent, 421: permanent,
		422: permanent, 423: permanent, 424: permanent, 425: temporary, 426: permanent,
		428: permanent, 429: temporary, 431: permanent, 451: permanent, 499: permanent,

		500: temporary, 501: permanent, 502: temporary, 503: temporary, 504: temporary,
		505: permanent, 506: temporary, 507: temporary, 508: temporary, 510: temporary,
		511: temporary, 520: temporary, 529: temporary, 599: temporary,

		600: temporary, 999: temporary,
	}
	for code := range 1000 {
		if _, ok := tests[code]; !ok && http.StatusText(code) != "" {
			t.Errorf("%d %s has no row", code, http.StatusText(code))
		}
	}
	for code, want := range tests {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			resp := &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {"7"}}}
			err := action.CheckStatus(resp, "the\nreason")
			if got := class(err); got != want {
				t.Fatalf("%s, want %s (%v)", got, want, err)
			}
			if err == nil {
				return
			}
			for _, want := range []string{fmt.Sprint("answered ", code), http.StatusText(code), "the reason"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if redirect := code >= 300 && code < 400; redirect != strings.Contains(err.Error(), "redirects are not followed") {
				t.Errorf("redirects: %q", err)
			}
		})
	}
}

// TestCheckStatusUntil: the other form of Retry-After, a date.
func TestCheckStatusUntil(t *testing.T) {
	until := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	err := action.CheckStatus(&http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {until}}}, "")
	if wait, ok := action.Wait(err); !ok || action.IsPermanent(err) || wait > time.Hour || wait < 50*time.Minute {
		t.Errorf("%v, wait %v, %v; want an hour", err, wait, ok)
	}
}

func TestCheckStatusText(t *testing.T) {
	tests := []struct {
		code   int
		detail string
		want   string
	}{
		{503, "", "answered 503 Service Unavailable"},
		{503, " \n ", "answered 503 Service Unavailable"},
		{599, "", "answered 599"},
		{400, strings.Repeat("x", 300), "answered 400 Bad Request: " + strings.Repeat("x", 200) + "…"},
	}
	for _, tt := range tests {
		err := action.CheckStatus(&http.Response{StatusCode: tt.code}, tt.detail)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%d %q: %v, want %s", tt.code, tt.detail, err, tt.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		header string
		wait   time.Duration
		ok     bool
	}{
		{"", 0, false},
		{"0", 0, true},
		{"120", 2 * time.Minute, true},
		{" 30 ", 30 * time.Second, true},
		{"-1", 0, false},
		{"1.5", 0, false},
		{"soon", 0, false},
		{"99999999999999999999", 0, false},
		{"Sun, 01 Mar 2026 12:01:30 GMT", 90 * time.Second, true},
		{"Sunday, 01-Mar-26 12:01:30 GMT", 90 * time.Second, true},
		{"Sun Mar  1 12:01:30 2026", 90 * time.Second, true},
		{"Sun, 01 Mar 2026 11:00:00 GMT", 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.header, func(t *testing.T) {
			wait, ok := action.RetryAfter(http.Header{"Retry-After": {tt.header}}, now)
			if wait != tt.wait || ok != tt.ok {
				t.Errorf("%v %v, want %v %v", wait, ok, tt.wait, tt.ok)
			}
		})
	}
}

func TestClasses(t *testing.T) {
	plain := errors.New("refused")
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, "accepted"},
		{"nil made permanent", action.Permanent(nil), "accepted"},
		{"nil made to wait", action.After(nil, time.Minute), "accepted"},
		{"plain", plain, "temporary"},
		{"permanent", action.Permanent(plain), "permanent"},
		{"wrapped permanent", fmt.Errorf("send: %w", action.Permanent(plain)), "permanent"},
		{"after", fmt.Errorf("send: %w", action.After(plain, time.Minute)), "temporary, after 1m0s"},
		{"after a time in the past", action.After(plain, -time.Minute), "temporary, after 0s"},
		{"batch", &action.BatchError{Errs: []error{action.Permanent(plain)}}, "temporary"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := class(tt.err); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if tt.err != nil && tt.name != "batch" && !errors.Is(tt.err, plain) {
				t.Error("the cause is lost")
			}
		})
	}
}

func TestBatchError(t *testing.T) {
	err := &action.BatchError{Errs: []error{nil, errors.New("first"), nil, errors.New("second")}}
	if got, want := err.Error(), "2 of 4 messages failed, the first: first"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOneLine(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"  plain  ", "plain"},
		{"two\r\nlines\tand \x1b[31m", "two lines and [31m"},
		{"8-bit \u009b[31m", "8-bit [31m"},
		{"turned \u202eround, and hidden\u200b", "turned round, and hidden"},
		{"broken \xff", "broken ?"},
	}
	for _, tt := range tests {
		if got := action.OneLine(tt.in, 100); got != tt.want {
			t.Errorf("OneLine(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, limit := range []int{20, 21} {
		got := action.OneLine(strings.Repeat("é", 30), limit)
		if want := strings.Repeat("é", 10) + "…"; got != want {
			t.Errorf("cut at %d: %q, want %q", limit, got, want)
		}
	}
}

func TestRedact(t *testing.T) {
	secrets := []string{"abcd", "abcdef", "", "e"}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"nothing to hide", errors.New("a plain e"), "a plain e"},
		{"the longer one first", errors.New("<abcdef> <abcd>"), "<[secret]> <[secret]>"},
		{"permanent", fmt.Errorf("x: %w", action.Permanent(errors.New("abcdef"))), "x: [secret]"},
		{"after", fmt.Errorf("x: %w", action.After(errors.New("abcdef"), time.Minute)), "x: [secret]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := action.Redact(tt.err, secrets...)
			if got.Error() != tt.want || class(got) != class(tt.err) {
				t.Errorf("%q (%s), want %q (%s)", got, class(got), tt.want, class(tt.err))
			}
			for err := got; err != nil; err = errors.Unwrap(err) {
				if strings.Contains(err.Error(), "abcd") {
					t.Errorf("unwrapped it says %q", err)
				}
			}
		})
	}
	// What is cut may be cut within a secret.
	const secret = "xoxb-0123456789"
	for before := 180; before <= 200; before++ {
		err := action.CheckStatus(&http.Response{StatusCode: 400}, strings.Repeat("y", before)+secret+" is refused")
		if got := action.Redact(err, secret).Error(); strings.Contains(got, "xoxb") || strings.Contains(got, "0123") || !strings.HasSuffix(got, "…") {
			t.Errorf("with %d bytes before it, %s", before, got)
		}
	}
	if got := action.Redactor("other", secret)("…3456789 is…, xoxb-0…6789 xoxb… 789…"); got != "…[secret] is…, [secret]…[secret] [secret]… 789…" {
		t.Error(got)
	}
	if action.Redact(nil, "abcd") != nil {
		t.Error("nil became an error")
	}
}
