// Package natstest runs a NATS server of its own, with JetStream, on this machine: the
// real one, as a process, so that it can be killed. Its module is in the folder server;
// Go builds it once.
package natstest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/internal/child"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startTime is how long a server may take to listen.
const startTime = 20 * time.Second

// A Server is one, on a port and with a directory that it keeps when it is stopped and
// started again.
type Server struct {
	// Address is host:port.
	Address string

	program, config string
	cmd             *exec.Cmd
	ended           <-chan struct{}
	log             bytes.Buffer // to be read once it has ended
}

// Start runs a server on a free port of the loopback, with its data in dir. Settings are
// further lines of its configuration; "{dir}" in them is dir.
func Start(dir, settings string) (*Server, error) {
	program, err := build()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{Address: l.Addr().String(), program: program, config: filepath.Join(dir, "nats-server.conf")}
	l.Close()
	text := fmt.Sprintf("listen: %q\njetstream {store_dir: %q}\n%s\n", s.Address, filepath.Join(dir, "data"), strings.ReplaceAll(settings, "{dir}", dir))
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return s, s.Start()
}

// build returns the path of the built server.
func build() (string, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("natstest: where its source is, is not known")
	}
	cmd := exec.Command("go", "-C", filepath.Join(filepath.Dir(here), "server"), "tool", "-n", "nats-server")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build nats-server: %w: %s", err, &errs)
	}
	return strings.TrimSpace(string(out)), nil
}

// Start runs the server again, after Kill.
func (s *Server) Start() error {
	s.cmd = exec.Command(s.program, "--config", s.config)
	s.cmd.Stderr = &s.log
	var err error
	if s.ended, err = child.Start(s.cmd, syscall.SIGKILL); err != nil {
		return fmt.Errorf("start nats-server: %w", err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(startTime); ; <-tick.C {
		if s.listens() {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("nats-server has ended: %v\n%s", s.cmd.ProcessState, &s.log)
		default:
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("nats-server does not listen on %s after %v\n%s", s.Address, startTime, &s.log)
		}
	}
}

// listens tells whether the server introduces itself, which it does once JetStream is
// there.
func (s *Server) listens() bool {
	conn, err := net.Dial("tcp", s.Address)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "INFO ")
}

// Kill ends the server at once, as kill -9 does.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.ended
}

// URL is what a client connects to.
func (s *Server) URL() string { return "nats://" + s.Address }

// MakeStream makes a stream; options are for a user who may.
func (s *Server) MakeStream(ctx context.Context, c jetstream.StreamConfig, options ...nats.Option) error {
	return s.with(func(js jetstream.JetStream) error {
		_, err := js.CreateOrUpdateStream(ctx, c)
		return err
	}, options)
}

// Count returns how many messages a stream has.
func (s *Server) Count(ctx context.Context, stream string, options ...nats.Option) (n int, err error) {
	err = s.with(func(js jetstream.JetStream) error {
		of, err := js.Stream(ctx, stream)
		if err == nil {
			n = int(of.CachedInfo().State.Msgs)
		}
		return err
	}, options)
	return n, err
}

// Messages returns what a stream has, from the first message on.
func (s *Server) Messages(ctx context.Context, stream string, options ...nats.Option) (all []jetstream.Msg, err error) {
	err = s.with(func(js jetstream.JetStream) error {
		of, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		info, err := of.Info(ctx)
		if err != nil {
			return err
		}
		consumer, err := of.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
		if err != nil {
			return err
		}
		for uint64(len(all)) < info.State.Msgs {
			fetched, err := consumer.Fetch(min(1000, int(info.State.Msgs)-len(all)), jetstream.FetchMaxWait(10*time.Second))
			if err != nil {
				return err
			}
			before := len(all)
			for m := range fetched.Messages() {
				all = append(all, m)
			}
			if err := fetched.Error(); err != nil || len(all) == before {
				return fmt.Errorf("%d of %d messages of %s were read: %w", len(all), info.State.Msgs, stream, err)
			}
		}
		return nil
	}, options)
	return all, err
}

// with connects for the time of a call.
func (s *Server) with(use func(jetstream.JetStream) error, options []nats.Option) error {
	nc, err := nats.Connect(s.URL(), options...)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return use(js)
}
