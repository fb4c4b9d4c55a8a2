package capture_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/emit/capture"
)

// BenchmarkRequest is a request over a kept connection, to compare plain with kept.
func BenchmarkRequest(b *testing.B) {
	path := filepath.Join(b.TempDir(), "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	go io.Copy(io.Discard, conn)
	log := emit.New(emit.Options{Socket: path})
	defer log.Close(context.Background())
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	for _, size := range []int{1 << 10, 100 << 10} {
		body := random(size)
		for name, h := range map[string]http.Handler{"plain": read, "kept": capture.New(log, capture.Options{}).Wrap(read)} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				s := httptest.NewServer(h)
				defer s.Close()
				b.ReportAllocs()
				for b.Loop() {
					reply, err := s.Client().Post(s.URL, "", bytes.NewReader(body))
					if err != nil {
						b.Fatal(err)
					}
					io.Copy(io.Discard, reply.Body)
					reply.Body.Close()
				}
			})
		}
	}
}
