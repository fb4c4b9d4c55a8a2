package nats_test

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"strings"
	"testing"
)

// A proxy lies between the action and a server, which it lets through until the client
// sends a certain word.
type proxy struct {
	net.Listener
	at      string        // that word; PUB, of the first message or request, unless set
	reached chan struct{} // it has come

	// What to do then; one of them.
	swallow bool          // pass on nothing more
	echo    bool          // answer with an error that has all that was sent
	hold    chan struct{} // pass on nothing until this is closed, and then what has come

	ended chan struct{} // a connection has; what had come of it has been passed on
}

func newProxy(t *testing.T, p *proxy, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Listener, p.reached, p.ended = l, make(chan struct{}, 100), make(chan struct{}, 100)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				p.serve(conn, server)
				p.ended <- struct{}{}
			}()
		}
	}()
	return p
}

func (p *proxy) url() string { return "nats://" + p.Addr().String() }

func (p *proxy) serve(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go io.Copy(client, server)
	var sent bytes.Buffer
	buffer := make([]byte, 64<<10)
	published := false
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		sent.Write(buffer[:n])
		if !published && strings.Contains(sent.String(), cmp.Or(p.at, "PUB ")) {
			published = true
			select {
			case p.reached <- struct{}{}:
			default:
			}
			if p.hold != nil {
				<-p.hold
			}
			if p.echo {
				said := strings.NewReplacer("\r", " ", "\n", " ", "'", " ").Replace(sent.String())
				io.WriteString(client, "-ERR '"+said+"'\r\n")
			}
		}
		if published && (p.swallow || p.echo) {
			continue
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}
