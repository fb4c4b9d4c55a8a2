// Package s3test runs a real S3 service for tests: the Versity gateway
// (github.com/versity/versitygw) over a directory, on loopback. It is built by the
// go command from the module in the folder server.
package s3test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/internal/child"
	"github.com/klauspost/compress/zstd"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The only user of the service, who may do everything.
const (
	AccessKey = "s3test-access"
	SecretKey = "s3test-secret-0123456789"
)

// Server is a service that can be stopped, and started again on the same address with
// what it had.
type Server struct {
	// Endpoint is its address, as http://127.0.0.1:4711.
	Endpoint string

	dir, address string
	process      *os.Process     // nil: it does not run
	ended        <-chan struct{} // closed when it does not any more
	log          logged
	client       *minio.Client
}

// logged is what the service prints.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Start runs a service whose buckets are folders of dir/buckets, on a free port.
func Start(dir string) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	l.Close()
	s := &Server{Endpoint: "http://" + address, address: address, dir: dir}
	for _, name := range []string{"buckets", "metadata"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return nil, err
		}
	}
	s.client, err = minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: "us-east-1", MaxRetries: 1})
	if err != nil {
		return nil, err
	}
	return s, s.Restart()
}

// program builds the gateway, which takes a minute the first time, and returns its path.
func program() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	out, err := exec.Command("go", "-C", filepath.Join(filepath.Dir(here), "server"), "tool", "-n", "versitygw").Output()
	if err != nil {
		return "", fmt.Errorf("build versitygw: %w", withOutput(err))
	}
	return strings.TrimSpace(string(out)), nil
}

func withOutput(err error) error {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%w: %s", err, e.Stderr)
	}
	return err
}

// Restart starts a service that was stopped, and waits until it answers.
func (s *Server) Restart() error {
	path, err := program()
	if err != nil {
		return err
	}
	cmd := exec.Command(path, "--port", s.address, "--quiet", "--keep-alive", "posix",
		"--sidecar", filepath.Join(s.dir, "metadata"), filepath.Join(s.dir, "buckets"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+AccessKey, "ROOT_SECRET_ACCESS_KEY="+SecretKey)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	ended, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return err
	}
	s.process, s.ended = cmd.Process, ended
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		resp, err := http.Get(s.Endpoint)
		if err == nil {
			resp.Body.Close()
			return nil
		}
		over := false
		select {
		case <-ended:
			over = true
		default:
		}
		if over || time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("versitygw does not answer: %w: %s", err, s.log.String())
		}
	}
}

// Kill ends the service at once. It does nothing to one that has ended.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.Kill()
		<-s.ended
		s.process = nil
	}
}

// MakeBucket makes a bucket.
func (s *Server) MakeBucket(ctx context.Context, bucket string) error {
	return s.client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
}

// An Object is one in a bucket.
type Object struct {
	minio.ObjectInfo
	// Content is what was uploaded, and Plain the same decompressed as Content-Encoding
	// says.
	Content, Plain []byte
}

// Objects returns all of a bucket, by their names.
func (s *Server) Objects(ctx context.Context, bucket string) (all []Object, err error) {
	for o := range s.client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		one, err := s.object(ctx, bucket, o.Key)
		if err != nil {
			return nil, fmt.Errorf("get %s: %w", o.Key, err)
		}
		all = append(all, one)
	}
	return all, nil
}

func (s *Server) object(ctx context.Context, bucket, key string) (o Object, err error) {
	r, err := s.client.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return o, err
	}
	defer r.Close()
	if o.Content, err = io.ReadAll(r); err != nil {
		return o, err
	}
	if o.ObjectInfo, err = r.Stat(); err != nil {
		return o, err
	}
	o.Plain, err = Decompress(o.Content, o.Metadata.Get("Content-Encoding"))
	return o, err
}

// Uploads returns the names of uploads of several parts that were begun and not ended.
func (s *Server) Uploads(ctx context.Context, bucket string) (keys []string, err error) {
	for u := range s.client.ListIncompleteUploads(ctx, bucket, "", true) {
		if u.Err != nil {
			return nil, u.Err
		}
		keys = append(keys, u.Key)
	}
	return keys, nil
}

// Decompress undoes a Content-Encoding: zstd, gzip, or none.
func Decompress(content []byte, encoding string) ([]byte, error) {
	switch encoding {
	case "zstd":
		d, err := zstd.NewReader(nil)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return d.DecodeAll(content, nil)
	case "gzip":
		r, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	}
	return content, nil
}
