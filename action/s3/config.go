package s3

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// settings are a Config that is right.
type settings struct {
	host, region string
	secure       bool
	style        minio.BucketLookupType
	key          keys
	contentType  *action.Template
	compress     compression
	encryption   encrypt.ServerSide
	security     *tls.Config
}

// fieldName is what journald takes as a field's name, or has itself
// (systemd.journal-fields(7)).
var fieldName = regexp.MustCompile(`^_{0,2}[A-Z0-9][A-Z0-9_]{0,61}$`)

// regionName is what a region's name may have, here as part of a host's name.
var regionName = regexp.MustCompile(`^[a-zA-Z0-9-]{1,64}$`)

// check parses the settings, and reports everything that is wrong with them.
func (c Config) check() (s settings, err error) {
	var errs []error
	refuse := func(key, problem, hint string) {
		errs = append(errs, &action.FieldError{Key: key, Problem: problem, Hint: hint})
	}
	switch err := s3utils.CheckValidBucketNameStrict(c.Bucket); {
	case c.Bucket == "":
		refuse("bucket", "is missing", "write the bucket's name: bucket: shop-logs")
	case err != nil:
		refuse("bucket", "is not a bucket's name: "+err.Error(), "3 to 63 lower-case letters, digits, dots and dashes; without s3:// and without a path, which goes into key")
	case strings.HasSuffix(c.Bucket, "--x-s3"):
		refuse("bucket", "is a directory bucket (S3 Express), which this action cannot use", "choose a general purpose bucket")
	}
	c.checkEndpoint(&s, refuse)

	var suffix string
	switch c.Compress {
	case "zstd", "gzip", "none":
		s.compress = compression(c.Compress)
	case "":
		if s.compress = zstandard; c.Field != "" {
			s.compress = none
		}
	default:
		refuse("compress", "is neither zstd nor gzip nor none", "leave it out for zstd")
	}
	if c.Field == "" {
		suffix = ".ndjson"
	} else if !fieldName.MatchString(c.Field) {
		refuse("field", "is not a field's name", "write it as journalctl --output=verbose has it: MESSAGE, BODY")
	}
	s.key = c.checkKey(suffix+s.compress.suffix(), s.compress, refuse)
	if c.ContentType != "" {
		if s.contentType, err = action.ParseTemplate(c.ContentType, nil); err != nil {
			refuse("content_type", "bad "+err.Error(), "a fixed one as application/pdf, or a template as {{ .Fields.CONTENT_TYPE }}")
		} else if s.contentType.Fixed() && !validContentType(c.ContentType) {
			refuse("content_type", "is not a content type", "write it like application/pdf")
		}
	}
	if strings.ContainsFunc(c.StorageClass, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') }) {
		refuse("storage_class", "is not a storage class", "write it like STANDARD_IA or GLACIER_IR")
	}
	s.encryption = c.checkEncryption(s.secure, refuse)
	c.checkCredentials(refuse)
	if c.Timeout < 0 {
		refuse("timeout", "is negative", "write a time like 1m, or leave it out")
	}
	scheme := "https"
	if !s.secure {
		scheme = "http"
	}
	s.security, err = c.TLS.ConfigFor(scheme)
	return s, errors.Join(append(errs, err)...)
}

func (c Config) checkEndpoint(s *settings, refuse func(key, problem, hint string)) {
	switch {
	case c.PathStyle == nil:
		s.style = minio.BucketLookupAuto
	case *c.PathStyle:
		s.style = minio.BucketLookupPath
	default:
		s.style = minio.BucketLookupDNS
	}
	u := c.endpointURL(refuse)
	s.region = cmp.Or(c.Region, s3utils.GetRegionFromURL(u), os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1")
	s.host, s.secure = u.Host, u.Scheme != "http"
	if !regionName.MatchString(s.region) {
		refuse("region", "is not a region's name", "write it like eu-central-1")
		return
	}
	if c.Endpoint == "" {
		s.host = "s3." + s.region + ".amazonaws.com"
		if strings.HasPrefix(s.region, "cn-") {
			s.host += ".cn"
		}
	}
	if s.host == "" {
		return // it has been refused
	}
	client, err := minio.New(s.host, &minio.Options{Secure: s.secure, Region: s.region, Creds: credentials.NewStaticV4("x", "x", "")})
	if err != nil {
		refuse("endpoint", "is no address: "+err.Error(), hintEndpoint)
		return
	}
	// The client goes to us-east-1 for a region of AWS that it does not know.
	at, err := client.PresignedGetObject(context.Background(), "bucket", "key", time.Minute, nil)
	if err == nil && s3utils.IsAmazonEndpoint(*client.EndpointURL()) && !strings.Contains(at.Host, s.region) && s.region != "us-east-1" {
		refuse("region", "is no region of AWS that is known here", "write it like eu-central-1")
	}
}

const hintEndpoint = "write it like https://minio.example.com:9000"

// endpointURL has no host where there is no endpoint, or one that is refused.
func (c Config) endpointURL(refuse func(key, problem, hint string)) (endpoint url.URL) {
	if c.Endpoint == "" {
		return endpoint
	}
	// The parser's error shows the URL, and in it perhaps a secret.
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil:
		refuse("endpoint", "is not a URL", hintEndpoint)
	case u.Scheme != "http" && u.Scheme != "https":
		refuse("endpoint", "does not begin with http:// or https://", hintEndpoint)
	case u.Hostname() == "":
		refuse("endpoint", "has no host", hintEndpoint)
	case u.User != nil:
		refuse("endpoint", "has a user in it", "credentials are access_key and secret_key")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		refuse("endpoint", "has more than a host and a port", "the bucket's name is bucket, and a path within it goes into key")
	default:
		return url.URL{Scheme: u.Scheme, Host: u.Host}
	}
	return endpoint
}

func (c Config) checkEncryption(secure bool, refuse func(key, problem, hint string)) encrypt.ServerSide {
	if c.CustomerKey != "" {
		key, err := base64.StdEncoding.DecodeString(c.CustomerKey.Reveal())
		switch {
		case c.Encryption != "":
			refuse("customer_key", "excludes encryption", "leave one of them out: with a key of your own, that is the encryption")
		case err != nil || len(key) != 32:
			refuse("customer_key", "is not 32 bytes in base64", "make one: openssl rand -base64 32")
		case !secure:
			refuse("customer_key", "would go over the network in the clear", "use an endpoint with https://")
		default:
			if sse, err := encrypt.NewSSEC(key); err == nil {
				return sse
			}
		}
	}
	if c.KMSKeyID != "" && c.Encryption != "aws:kms" {
		refuse("kms_key_id", "is of no use without encryption: aws:kms", "add that")
	}
	if strings.ContainsFunc(c.KMSKeyID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		refuse("kms_key_id", "is not a key's id", "write an id, an alias or an ARN")
	}
	switch c.Encryption {
	case "":
	case "AES256":
		return encrypt.NewSSE()
	case "aws:kms":
		sse, err := encrypt.NewSSEKMS(c.KMSKeyID, nil)
		if err == nil {
			return sse
		}
	default:
		refuse("encryption", "is neither AES256 nor aws:kms", "leave it out for the bucket's default")
	}
	return nil
}

func (c Config) checkCredentials(refuse func(key, problem, hint string)) {
	switch {
	case c.AccessKey != "" && c.SecretKey == "":
		refuse("secret_key", "is missing beside access_key", "add it, or leave out both")
	case c.AccessKey == "" && c.SecretKey != "":
		refuse("access_key", "is missing beside secret_key", "add it, or leave out both")
	case c.AccessKey == "" && c.SessionToken != "":
		refuse("session_token", "is of no use without access_key and secret_key", "add them, or leave it out")
	}
	if c.AccessKey != "" && (c.Profile != "" || c.CredentialsFile != "") {
		refuse("access_key", "excludes profile and credentials_file", "leave the ones or the others out")
	}
	for key, s := range map[string]action.Secret{"access_key": c.AccessKey, "secret_key": c.SecretKey, "session_token": c.SessionToken} {
		if strings.ContainsFunc(s.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
			refuse(key, "has a space, a line break or another character that no key has", "if it comes from a file, that should have one line")
		}
	}
	if c.CredentialsFile != "" && !filepath.IsAbs(c.CredentialsFile) {
		refuse("credentials_file", "is not absolute", "begin it with /: the daemon's working directory is not the shell's")
	}
}

// secrets are the forms in which a request has the customer's key.
func (c Config) secrets() []string {
	text := c.CustomerKey.Reveal()
	key, err := base64.StdEncoding.DecodeString(text)
	if text == "" || err != nil {
		return nil
	}
	sum := md5.Sum(key) // the header beside it; with it a guess could be checked
	return []string{text, string(key), base64.StdEncoding.EncodeToString(sum[:])}
}
