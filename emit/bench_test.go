package emit

import (
	"net"
	"path/filepath"
	"runtime"
	"testing"
)

func sink(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 1<<20)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	return path
}

func BenchmarkSend(b *testing.B) {
	e := New(Options{Socket: sink(b)})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.Send(Info, "SLACK: ada@example.com has signed up", String("USER_ID", "4711"), String("PLAN", "pro"), Int("AGE", 36))
		if i%4000 == 3999 {
			b.StopTimer()
			for !e.queue.empty() {
				runtime.Gosched()
			}
			b.StartTimer()
		}
	}
	s := e.Stats()
	b.ReportMetric(float64(s.Dropped)/float64(s.Sent), "dropped")
}

type three struct{ a, b, c Field }

func BenchmarkChannel(b *testing.B) {
	c := make(chan three, 8192)
	go func() {
		for range c {
		}
	}()
	for b.Loop() {
		c <- three{String("USER_ID", "4711"), String("PLAN", "pro"), Int("AGE", 36)}
	}
}
