// Package s3 is the action that writes objects to a bucket: of AWS, of MinIO, or of
// whatever else speaks S3.
//
// The name of an object has the id of its first delivery. So what is delivered again
// after a crash takes the place of what was there: see objects.go.
package s3

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"golang.org/x/sync/errgroup"
)

// Config is the action's section of the configuration.
type Config struct {
	// Bucket is the bucket's name. Required; it is not made.
	Bucket string `yaml:"bucket,required"`
	// Region is the bucket's. Default: that in the Endpoint if it is AWS's, $AWS_REGION,
	// $AWS_DEFAULT_REGION, us-east-1.
	Region string `yaml:"region"`
	// Endpoint is the address of the service, http or https, without a path. Default:
	// that of AWS in the region.
	Endpoint string `yaml:"endpoint"`
	// PathStyle puts the bucket's name into the path, not before the host's. Default: false
	// for AWS, Google and Alibaba, else true.
	PathStyle *bool `yaml:"path_style"`

	// Key is the template of an object's name; it has to have .ID in it. What comes
	// from an entry is escaped in it. Default: the day (UTC) and the id, with the
	// ending that fits the content.
	Key string `yaml:"key"`
	// Field makes an object of each entry, whose content is this field's first value.
	// Without it, an object has several entries, a line each.
	Field string `yaml:"field"`
	// Compress is zstd, gzip or none. Default: zstd, with Field none.
	Compress string `yaml:"compress"`
	// ContentType is the template of that header, rendered for an object's first entry.
	// Default: application/x-ndjson, text/plain with a `text:`, with Field
	// application/octet-stream.
	ContentType string `yaml:"content_type"`
	// StorageClass is AWS's, as STANDARD_IA; the bucket's default if empty.
	StorageClass string `yaml:"storage_class"`

	// Encryption at the service: AES256 (SSE-S3) or aws:kms (SSE-KMS); empty is what
	// the bucket does by default.
	Encryption string `yaml:"encryption"`
	// KMSKeyID is the key for aws:kms; empty is AWS's own for the account.
	KMSKeyID string `yaml:"kms_key_id"`
	// CustomerKey is 32 bytes in base64: encryption by a key that the service does not
	// keep (SSE-C). It wants https.
	CustomerKey action.Secret `yaml:"customer_key"`

	// AccessKey, SecretKey and SessionToken are the credentials. Without them they are
	// looked for in the environment, the file that the AWS tools have, and at the
	// machine's instance profile, in this order.
	AccessKey    action.Secret `yaml:"access_key"`
	SecretKey    action.Secret `yaml:"secret_key"`
	SessionToken action.Secret `yaml:"session_token"`
	// CredentialsFile and Profile say that the credentials are in that file, and where.
	CredentialsFile string `yaml:"credentials_file"`
	Profile         string `yaml:"profile"`

	// TLS is for https: what to trust, and the router's own certificate.
	TLS action.TLS `yaml:"tls"`
	// Timeout is the time limit of one call, all of its objects included. Default: 1m.
	Timeout time.Duration `yaml:"timeout"`
}

// Action writes objects.
type Action struct {
	bucket, host string
	key          keys
	field        string
	contentType  *action.Template // nil: what fits
	compress     compression
	storageClass string
	encryption   encrypt.ServerSide // nil: the bucket's
	secrets      []string           // what an error may not say, beside the credentials
	credentials  *lookup
	client       *minio.Client
	http         *http.Client
	timeout      time.Duration
	caution      *caution
}

var (
	_ action.Batcher     = (*Action)(nil)
	_ action.Fitter      = (*Action)(nil)
	_ action.Parallel    = (*Action)(nil)
	_ action.Overwriter  = (*Action)(nil)
	_ action.TimeLimiter = (*Action)(nil)
	_ action.Templater   = (*Action)(nil)
	_ action.Prober      = (*Action)(nil)
	_ action.Closer      = (*Action)(nil)
)

// mostEntries is how many deliveries a call may have.
const mostEntries = 100_000

// New makes the action; it connects to nothing, and looks for no credentials. Its
// errors are *action.FieldError, joined.
func New(c Config) (*Action, error) {
	s, err := c.check()
	if err != nil {
		return nil, err
	}
	a := &Action{
		bucket: c.Bucket, host: s.host, key: s.key, field: c.Field, contentType: s.contentType, compress: s.compress,
		storageClass: c.StorageClass, encryption: s.encryption, timeout: c.Timeout,
		secrets:     c.secrets(),
		credentials: newLookup(c, s.region),
		http:        action.NewHTTPClient(s.security),
	}
	_, most := a.Batch()
	a.caution = newCaution(most)
	a.client, err = minio.New(s.host, &minio.Options{
		Creds:        credentials.New(a.credentials),
		Secure:       s.secure,
		Transport:    transport{a.http.Transport},
		Region:       s.region,
		BucketLookup: s.style,
		MaxRetries:   1, // the queue owns retrying
	})
	if err != nil {
		return nil, &action.FieldError{Key: "endpoint", Problem: "cannot be used: " + err.Error(), Hint: "write it like https://minio.example.com:9000"}
	}
	return a, nil
}

// Batch implements action.Batcher.
func (a *Action) Batch() (usual, most int) {
	if a.field != "" {
		return 1, 1
	}
	return 10_000, mostEntries
}

// Parallel implements action.Parallel. Beyond one call at a time, an entry may be in
// two objects after a crash.
func (*Action) Parallel() {}

// Overwriter implements action.Overwriter.
func (*Action) Overwriter() {}

// TimeLimit implements action.TimeLimiter.
func (a *Action) TimeLimit() time.Duration {
	if a.timeout == 0 {
		return time.Minute
	}
	return a.timeout
}

// Templates implements action.Templater.
func (a *Action) Templates() map[string]*action.Template {
	t := map[string]*action.Template{"key": a.key.template}
	if a.contentType != nil {
		t["content_type"] = a.contentType
	}
	return t
}

// Close implements action.Closer.
func (a *Action) Close() error {
	a.http.CloseIdleConnections()
	return nil
}

// uploads is how many objects of one call are written at once.
const uploads = 4

// Deliver implements action.Action. Each object fares by itself.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	login, err := a.credentials.get(ctx)
	if err != nil {
		return fmt.Errorf("find credentials for bucket %s: %w", a.bucket, err)
	}
	errs := make([]error, len(batch))
	objects := a.objects(batch, errs)
	var group errgroup.Group
	group.SetLimit(uploads)
	for _, o := range objects {
		group.Go(func() error {
			o.err = ctx.Err()
			if o.err == nil {
				o.err = a.put(ctx, o, login)
			}
			return nil
		})
	}
	group.Wait()
	a.caution.note(objects)
	for _, o := range objects {
		for _, i := range o.places {
			errs[i] = o.err
		}
	}
	return action.Each(errs)
}
