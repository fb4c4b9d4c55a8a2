package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// temporary are the codes that pass although their status, which is 4xx or, where the
// error comes after all has been sent, 200, would not say so.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
var temporary = map[string]bool{
	"BadDigest":                       true, // it was damaged on the way
	"XAmzContentChecksumMismatch":     true,
	"XAmzContentSHA256Mismatch":       true,
	"IncompleteBody":                  true,
	"RequestTimeout":                  true, // "not read from or written to within the timeout period"
	"RequestTimeTooSkewed":            true, // a clock is set right sooner or later
	"RequestExpired":                  true,
	"OperationAborted":                true, // "a conflicting operation is in progress; try again"
	"ConditionalRequestConflict":      true,
	"NoSuchUpload":                    true, // of several parts: it begins anew
	"InvalidPart":                     true,
	"TooManyRequests":                 true,
	"Throttling":                      true,
	"ThrottlingException":             true,
	"RequestLimitExceeded":            true,
	"RequestThrottled":                true,
	"BandwidthLimitExceeded":          true,
	"KMS.ThrottlingException":         true,
	"QuotaExceeded":                   true, // room is made sooner or later, as on a full disk
	"XMinioAdminBucketQuotaExceeded":  true,
	"XMinioStorageFull":               true,
	"XMinioObjectTamperedOrCorrupted": true,
}

const (
	hintRights = "the key must be allowed s3:PutObject there"
	hintRanOut = "the session token has run out: get new credentials"
	hintKey    = "check access_key and secret_key, or where they come from"
)

// hints say what to do about a code.
var hints = map[string]string{
	"AccessDenied":              hintRights,
	"AllAccessDisabled":         hintRights,
	"AccountProblem":            "look into the account at the provider",
	"InvalidAccessKeyId":        hintKey,
	"SignatureDoesNotMatch":     hintKey,
	"InvalidToken":              hintKey,
	"ExpiredToken":              hintRanOut,
	"ExpiredTokenException":     hintRanOut,
	"TokenRefreshRequired":      hintRanOut,
	"NoSuchKey":                 "check endpoint: is it the S3 API's?", // what the client makes of any 404 that is not S3's
	"NoSuchBucket":              "check bucket, region and endpoint; the router makes no bucket",
	"RequestTimeTooSkewed":      "this machine's clock is wrong, or the service's: timedatectl",
	"EntityTooLarge":            "the service, or a proxy before it, takes no object of this size",
	"InvalidStorageClass":       "check storage_class: not every service has all of AWS's",
	"KMS.NotFoundException":     "check kms_key_id, which must be in the bucket's region",
	"KMS.DisabledException":     "enable the key that kms_key_id names",
	"InvalidBucketState":        "look into the bucket's settings at the provider",
	"XMinioStorageFull":         "make room at the service",
	"QuotaExceeded":             "raise the bucket's quota, or make room in it",
	"MethodNotAllowed":          "check endpoint: is it the S3 API's?",
	"NotImplemented":            "the service cannot do something that is asked of it: check encryption and storage_class",
	"ServerSideEncryptionError": "check encryption",
}

// ranOut are the codes of credentials that were good for a time.
var ranOut = map[string]bool{"ExpiredToken": true, "ExpiredTokenException": true, "TokenRefreshRequired": true}

// wrongRegion are the codes of a bucket that is elsewhere.
var wrongRegion = map[string]bool{
	"PermanentRedirect": true, "AuthorizationHeaderMalformed": true, "InvalidRegion": true, "IllegalLocationConstraintException": true,
}

// explain gives an error of the client's its class and, where one is known, what to do.
func (a *Action) explain(ctx context.Context, err error, last *answer, login credentials.Value, entries int) error {
	header, transportErr := last.get()
	said, isAnswer := errors.AsType[minio.ErrorResponse](err)
	switch {
	case ctx.Err() != nil:
		return noAnswer(cmp.Or(transportErr, ctx.Err()))
	case transportErr != nil:
		return noAnswer(transportErr)
	case !isAnswer || said.StatusCode == 0:
		return noAnswer(err)
	case wrongRegion[said.Code] || said.StatusCode == http.StatusMovedPermanently:
		hint := "set region to the bucket's"
		if said.Region != "" {
			hint = "the bucket is in " + said.Region + ": set region: " + said.Region
		}
		return action.Permanent(fmt.Errorf("%s (%s)", words(said), hint))
	case said.StatusCode == http.StatusTemporaryRedirect: // the name of a new bucket is not known everywhere yet
		return errors.New(words(said))
	}
	err = classify(said, header)
	if ranOut[said.Code] && !a.credentials.fixed {
		err = errors.New(words(said)) // whoever renews them may be late
	}
	hint, tooLarge := hints[said.Code], said.Code == "EntityTooLarge" || said.StatusCode == http.StatusRequestEntityTooLarge
	switch {
	case a.credentials.renewed(ctx, said, login):
		err = errors.New(words(said) + " (it is tried with new credentials)")
	// What has a hint is no entry's fault, anything else may be one's.
	case entries > 1 && (tooLarge || hint == "" && action.IsPermanent(err)):
		err = errors.New(words(said) + " (it is tried with fewer entries)")
	case hint == "" && tooLarge:
		err = fmt.Errorf("%w (%s)", err, hints["EntityTooLarge"])
	case hint != "":
		err = fmt.Errorf("%w (%s)", err, hint)
	}
	return err
}

// classify goes by the code where that is known to pass, and else by the status.
func classify(said minio.ErrorResponse, header http.Header) error {
	if said.StatusCode/100 != 2 && !temporary[said.Code] {
		return action.CheckStatus(&http.Response{StatusCode: said.StatusCode, Header: header}, detail(said))
	}
	err := errors.New(words(said))
	if wait, ok := action.RetryAfter(header, time.Now()); ok {
		return action.After(err, wait)
	}
	return err
}

// words is what was answered, in a line.
func words(said minio.ErrorResponse) string {
	s := fmt.Sprintf("answered %d %s", said.StatusCode, http.StatusText(said.StatusCode))
	if d := action.OneLine(detail(said), 200); d != "" {
		s += ": " + d
	}
	return s
}

func detail(said minio.ErrorResponse) string {
	if said.Message == "" || said.Message == said.Code {
		return said.Code
	}
	return said.Code + ": " + said.Message
}

// noAnswer is temporary.
func noAnswer(err error) error {
	// A url.Error shows the URL.
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within the time limit: %w", err)
	}
	return err
}

// redact takes out what an answer may repeat of the request.
func (a *Action) redact(err error, login credentials.Value) error {
	return action.Redact(err, append([]string{login.AccessKeyID, login.SecretAccessKey, login.SessionToken}, a.secrets...)...)
}
