package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// partSize is how large the parts of an upload are that has more than one.
const partSize = 16 << 20

// put writes one object.
func (a *Action) put(ctx context.Context, o *object, login credentials.Value) error {
	content, err := a.content(o)
	if err != nil {
		return err
	}
	last := new(answer)
	ctx = context.WithValue(ctx, answerKey{}, last)
	result := make(chan error, 1)
	go func() {
		info, err := a.client.PutObject(ctx, a.bucket, o.key, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{
			ContentType:          o.contentType,
			ContentEncoding:      a.compress.encoding(),
			StorageClass:         a.storageClass,
			ServerSideEncryption: a.encryption,
			UserMetadata:         metadata(o),
			PartSize:             partSize,
			SendContentMd5:       true, // the service compares it with what has arrived; it is signed
			DisableContentSha256: true, // else some services keep "aws-chunked" in Content-Encoding
		})
		if err == nil && info.ETag == "" {
			err = errNoETag
		}
		result <- err
	}()
	select {
	case err = <-result:
	case <-ctx.Done():
		select {
		case err = <-result:
		case <-time.After(abortTime): // it goes on for a minute at most, to take back the parts
			err = ctx.Err()
		}
	}
	if err == nil {
		return nil
	}
	err = a.explain(ctx, err, last, login, len(o.places))
	return fmt.Errorf("put %s into bucket %s at %s: %w", action.OneLine(o.key, 200), a.bucket, a.host, a.redact(err, login))
}

// errNoETag is a 200 of something else: a console's port, a proxy's page. The object is nowhere.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html#API_PutObject_ResponseElements
var errNoETag = errors.New("answered 200 OK without an ETag, which S3 always has (check endpoint)")

// abortTime is how long the end of an upload may take that was broken off.
const abortTime = 300 * time.Millisecond

// metadata is what an object says of itself. Each is of a few bytes.
func metadata(o *object) map[string]string {
	m := map[string]string{"delivery-id": o.first.ID, "rule": o.first.Rule, "cursor": o.first.Record.Cursor(), "entries": strconv.Itoa(len(o.places))}
	for name, value := range m {
		if value == "" || !isPlain(value) || len(value) > 256 {
			delete(m, name)
		}
	}
	return m
}

// answer is what came of the last request of an upload: what the client makes of it
// has lost parts of that.
type answer struct {
	mu     sync.Mutex
	header http.Header
	err    error
}

type answerKey struct{}

func (a *answer) get() (http.Header, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.header, a.err
}

// transport keeps the answers.
type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	last, _ := req.Context().Value(answerKey{}).(*answer)
	if req.ContentLength > 1<<20 {
		// Who refuses says so before all of it is sent, and is heard. So do the SDKs of AWS.
		req = req.Clone(req.Context())
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := t.next.RoundTrip(req)
	// The answer to DELETE, which takes back an upload, is not what is to be told.
	if last != nil && req.Method != http.MethodDelete {
		last.mu.Lock()
		defer last.mu.Unlock()
		last.header, last.err = nil, err
		if err == nil {
			last.header = resp.Header
		}
	}
	return resp, err
}
