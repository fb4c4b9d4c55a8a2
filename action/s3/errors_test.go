package s3_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/s3"
	"github.com/journald-router/journald-router/action/s3/s3test"
)

// fake is a service that answers each request so.
func fake(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", `"1"`)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestErrors: what becomes of a delivery, by the answer.
func TestErrors(t *testing.T) {
	xml := func(status int, code string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			answer(w, status, code, "the message")
		}
	}
	const temporary, permanent = false, true
	tests := []struct {
		name   string
		answer http.HandlerFunc
		class  bool
		wait   time.Duration // -1: none
		want   string        // a part of the error
	}{
		{"slow down", xml(503, "SlowDown"), temporary, -1, "answered 503 Service Unavailable: SlowDown: the message"},
		{"slow down, and says when", xml(503, "SlowDown", "Retry-After", "11"), temporary, 11 * time.Second, "SlowDown"},
		{"internal error", xml(500, "InternalError"), temporary, -1, "answered 500 Internal Server Error: InternalError"},
		{"request timeout", xml(400, "RequestTimeout"), temporary, -1, "answered 400 Bad Request: RequestTimeout: the message"},
		{"request timeout, and says when", xml(400, "RequestTimeout", "Retry-After", "3"), temporary, 3 * time.Second, "RequestTimeout"},
		{"too many requests", xml(429, "TooManyRequests"), temporary, -1, "answered 429"},
		{"operation aborted", xml(409, "OperationAborted"), temporary, -1, "answered 409"},
		{"damaged on the way", xml(400, "BadDigest"), temporary, -1, "BadDigest"},
		{"the clock", xml(403, "RequestTimeTooSkewed"), temporary, -1, "clock is wrong"},
		{"quota", xml(400, "XMinioAdminBucketQuotaExceeded"), temporary, -1, "XMinioAdminBucketQuotaExceeded"},
		{"another 200", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, temporary, -1, "answered 204 No Content"},
		{"a web page, 200", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Del("ETag")
			io.WriteString(w, "<html>the console</html>")
		}, temporary, -1, "200 OK without an ETag, which S3 always has (check endpoint)"},
		{"moved for a while", xml(307, "TemporaryRedirect"), temporary, -1, "answered 307"},
		{"no XML, 502", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad gateway", http.StatusBadGateway) }, temporary, -1, "answered 502 Bad Gateway: 502 Bad Gateway: bad gateway"},
		{"closed", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, temporary, -1, ": EOF"},

		{"no bucket", xml(404, "NoSuchBucket"), permanent, -1, "NoSuchBucket: the message (check bucket, region and endpoint; the router makes no bucket)"},
		{"denied", xml(403, "AccessDenied"), permanent, -1, "s3:PutObject"},
		{"key unknown", xml(403, "InvalidAccessKeyId"), permanent, -1, "check access_key and secret_key"},
		{"signature", xml(403, "SignatureDoesNotMatch"), permanent, -1, "check access_key and secret_key"},
		{"token has run out", xml(400, "ExpiredToken"), permanent, -1, "get new credentials"},
		{"too large", xml(400, "EntityTooLarge"), permanent, -1, "takes no object of this size"},
		{"too large for a proxy", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "nginx", http.StatusRequestEntityTooLarge) }, permanent, -1, "takes no object of this size"},
		{"storage class", xml(400, "InvalidStorageClass"), permanent, -1, "check storage_class"},
		{"not implemented", xml(501, "NotImplemented"), permanent, -1, "answered 501"},
		{"region, 301", xml(301, "PermanentRedirect", "X-Amz-Bucket-Region", "eu-west-1"), permanent, -1, "the bucket is in eu-west-1: set region: eu-west-1"},
		{"region, 301 without a word", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(301) }, permanent, -1, "set region to the bucket's"},
		{"region, 400", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, `<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong</Message><Region>eu-central-1</Region></Error>`)
		}, permanent, -1, "set region: eu-central-1"},
		{"a web page", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>no S3 here</html>", 404) }, permanent, -1, "answered 404"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			endpoint := fake(t, tt.answer)
			a := newAction(t, settings(endpoint, "the-bucket"))
			err := a.Deliver(t.Context(), []action.Message{{ID: "0123", Rule: "r", Text: "x"}})
			wait, ok := action.Wait(err)
			if !ok {
				wait = -1
			}
			if err == nil || action.IsPermanent(err) != tt.class || wait != tt.wait || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v (permanent %v, wait %v)", err, action.IsPermanent(err), wait)
			}
			if begin := fmt.Sprintf("put 0001/01/01/0123.ndjson.zst into bucket the-bucket at %s: ", strings.TrimPrefix(endpoint, "http://")); err != nil && !strings.HasPrefix(err.Error(), begin) {
				t.Errorf("%v\nwant it to begin with %s", err, begin)
			}
		})
	}
}

// TestTooLarge: an object that is refused for its size is tried with fewer entries, and
// only one entry that is refused alone is a dead letter.
func TestTooLarge(t *testing.T) {
	endpoint := fake(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 400, "EntityTooLarge", "too large") })
	a := newAction(t, settings(endpoint, "the-bucket"))
	batch := []action.Message{{ID: "1", Text: "x"}, {ID: "2", Text: "y"}}
	err := a.Deliver(t.Context(), batch)
	each, ok := errors.AsType[*action.BatchError](err)
	if !ok || len(each.Errs) != 2 || each.Errs[0] == nil || action.IsPermanent(each.Errs[0]) || each.Errs[1] == nil || action.IsPermanent(each.Errs[1]) {
		t.Errorf("two: %v", err)
	}
	if err := a.Deliver(t.Context(), batch[:1]); !action.IsPermanent(err) {
		t.Errorf("one: %v", err)
	}
}

// TestRefusedContent: what is refused for its content, as by a filter before the service, is
// tried with fewer entries, so that one costs no other. What no entry is to blame
// for is refused at once.
func TestRefusedContent(t *testing.T) {
	for code, fewer := range map[string]bool{"InvalidRequest": true, "406 Not Acceptable": true, "InvalidStorageClass": false, "AccessDenied": false, "NoSuchBucket": false} {
		endpoint := fake(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 400, code, "refused") })
		a := newAction(t, settings(endpoint, "the-bucket"))
		batch := []action.Message{{ID: "1", Text: "x"}, {ID: "2", Text: "y"}}
		each, ok := errors.AsType[*action.BatchError](a.Deliver(t.Context(), batch))
		for i := range batch {
			if !ok || each.Errs[i] == nil || action.IsPermanent(each.Errs[i]) == fewer {
				t.Errorf("%s, entry %d of two: %v", code, i, each)
			}
		}
		if err := a.Deliver(t.Context(), batch[:1]); !action.IsPermanent(err) {
			t.Errorf("%s, one: %v", code, err)
		}
	}
}

// TestNobodyListens: the address is named, and the queue keeps what is in it.
func TestNobodyListens(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	a := newAction(t, settings(gone.URL, "the-bucket"))
	err := a.Deliver(t.Context(), []action.Message{{ID: "0123", Text: "x"}})
	if err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), strings.TrimPrefix(gone.URL, "http://")) {
		t.Error(err)
	}
}

// TestProbe of a bucket that is not there, of one that may not be listed, and with a
// wrong key.
func TestProbe(t *testing.T) {
	real, bucket := realBucket(t)
	wrong := settings(real.Endpoint, bucket)
	wrong.SecretKey = "another-secret"
	tests := []struct {
		name   string
		config s3.Config
		want   string
	}{
		{"fine", settings(real.Endpoint, bucket), ""},
		{"no bucket", settings(real.Endpoint, "no-such-bucket"), "NoSuchBucket"},
		{"wrong secret", wrong, "SignatureDoesNotMatch"},
		{"no right", settings(fake(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 403, "AccessDenied", "no") }), bucket), "must be allowed s3:ListBucket"},
		{"no credentials", s3.Config{Endpoint: real.Endpoint, Bucket: bucket}, "set access_key and secret_key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := newAction(t, tt.config).Probe(t.Context())
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %q", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), s3test.SecretKey) || strings.Contains(err.Error(), "another-secret")) {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
}
