// Signup is a small web shop that leaves all slow work to journald-router: whoever signs
// up is announced in Slack and gets a mail, uploads go to a bucket, page views to an SQL
// report, and what is posted is kept as it came. The shop does none of that: it logs an
// entry (shop.go), and router.yaml says what becomes of it.
//
//	go run ./examples/signup -listen 127.0.0.1:8080
//
// `make example` runs it with the router and all destinations on one machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/emit"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to serve at")
	socket := flag.String("journal", emit.DefaultSocket, "journald's `socket`")
	queue := flag.Int("queue", emit.DefaultEntries, "how many `entries` may wait for journald")
	flag.Parse()
	if err := run(*listen, *socket, *queue); err != nil {
		log.Fatal("signup: ", err)
	}
}

func run(listen, socket string, queue int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	entries := emit.New(emit.Options{Socket: socket, Identifier: "shop", Entries: queue, Bytes: 64 << 20})
	server := &http.Server{Handler: newShop(entries), ReadHeaderTimeout: 10 * time.Second}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("serving at http://%s\n", l.Addr())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	// First the requests come to their end, then what they have logged.
	limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(limit), entries.Close(limit))
}
