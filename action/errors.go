package action

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks an error as final: the same message will never be accepted,
// and becomes a dead letter without another try. It returns nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent tells whether err, or what it wraps, was made by Permanent.
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

type afterError struct {
	error
	wait time.Duration
}

func (e afterError) Unwrap() error { return e.error }

// After marks a temporary error with the time that the destination asked to be
// left alone for. The engine waits at least that long, whatever its own backoff
// would say. It returns nil for nil.
func After(err error, wait time.Duration) error {
	if err == nil {
		return nil
	}
	return afterError{err, max(wait, 0)}
}

// Wait returns what After was given, if err, or what it wraps, was made by it.
func Wait(err error) (wait time.Duration, ok bool) {
	var a afterError
	if errors.As(err, &a) {
		return a.wait, true
	}
	return 0, false
}

// A BatchError reports on each message of a batch by itself: Errs has as many
// elements as the batch had messages, nil where the message was accepted.
type BatchError struct{ Errs []error }

// Each is the error of a batch whose messages have these, nil where one was accepted: nil
// if all were, and that of the message itself where it was alone.
func Each(errs []error) error {
	switch {
	case errors.Join(errs...) == nil:
		return nil
	case len(errs) == 1:
		return errs[0]
	}
	return &BatchError{Errs: errs}
}

func (e *BatchError) Error() string {
	failed := 0
	var first error
	for _, err := range e.Errs {
		if err != nil {
			if first == nil {
				first = err
			}
			failed++
		}
	}
	return fmt.Sprintf("%d of %d messages failed, the first: %v", failed, len(e.Errs), first)
}

// CheckStatus is the one place that says what an HTTP status means for a
// delivery. It returns nil for 2xx, and otherwise an error that names the status
// and bears its class:
//
//   - 408, 425, 429 and every 5xx but 501 and 505: temporary, with the time that
//     a Retry-After header asks for (RFC 9110, section 10.2.3; both its forms,
//     seconds and date). So is what is beyond 599, as the RFC's section 15 says.
//   - everything else, redirects included, which are not followed: permanent.
//
// detail is what the destination said in words, if it did; it is cut to a line
// of 200 bytes.
func CheckStatus(resp *http.Response, detail string) error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	err := fmt.Errorf("answered %s", strings.TrimSpace(fmt.Sprint(code, " ", http.StatusText(code))))
	if detail = OneLine(detail, 200); detail != "" {
		err = fmt.Errorf("%w: %s", err, detail)
	}
	switch {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests,
		code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported:
		if wait, ok := RetryAfter(resp.Header, time.Now()); ok {
			return After(err, wait)
		}
		return err
	case code >= 300 && code < 400:
		return Permanent(fmt.Errorf("%w (redirects are not followed: put the final address into the configuration)", err))
	}
	return Permanent(err)
}

// RetryAfter reads a Retry-After header in either form. A date in the past is a
// wait of zero.
func RetryAfter(h http.Header, now time.Time) (wait time.Duration, ok bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// OneLine makes s fit into an error, and for a terminal: white space, and what cannot be
// printed, becomes a space, and what goes beyond limit bytes is cut with a mark.
func OneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + cutMark
}
