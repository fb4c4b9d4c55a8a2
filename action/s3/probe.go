package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"
)

// Probe implements action.Prober. It asks for the name of one object, for which the key
// must be allowed s3:ListBucket: whether it may write, only writing can tell.
func (a *Action) Probe(ctx context.Context) error {
	login, err := a.credentials.get(ctx)
	if err != nil {
		return fmt.Errorf("find credentials for bucket %s: %w", a.bucket, err)
	}
	last := new(answer)
	ctx, cancel := context.WithCancel(context.WithValue(ctx, answerKey{}, last))
	defer cancel()
	for o := range a.client.ListObjects(ctx, a.bucket, minio.ListObjectsOptions{Prefix: a.key.prefix, Recursive: true, MaxKeys: 1}) {
		err = o.Err
		break
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		return nil
	}
	err = a.explain(ctx, err, last, login, 1)
	err = errors.New(strings.Replace(err.Error(), hintRights, "this check asks for a list of the bucket: the key must be allowed s3:ListBucket", 1))
	return fmt.Errorf("look into bucket %s at %s: %w", a.bucket, a.host, a.redact(err, login))
}
