package action

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// errProbed is what a request of ProbeHTTP fails with when it could be sent.
var errProbed = errors.New("connected, and nothing was sent")

// verdictTime is how long a server may take to refuse the router's certificate. With
// TLS 1.3 it does that after the handshake, and of one that is accepted it says nothing.
const verdictTime = time.Second

// ProbeHTTP connects to the host of the URL as a request by the client, one of
// NewHTTPClient, would: through its proxy and, for https, with a TLS handshake. No
// request is sent. Its errors do not contain the URL.
func ProbeHTTP(ctx context.Context, c *http.Client, to *url.URL) error {
	t := c.Transport.(*transport).get().Clone()
	t.DisableKeepAlives = true
	p := &probe{closed: make(chan struct{})}
	p.watch(t)
	// The connection is there, and what a proxy and TLS ask for is done; the request
	// comes next.
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		p.sealed.Store(true)
		p.await(ctx)
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, (&url.URL{Scheme: to.Scheme, Host: to.Host, Path: "/"}).String(), nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	switch {
	case p.refused:
		return errors.New("the server asks for a certificate, and has closed the connection (set cert and key in tls to what it accepts)")
	case p.sealed.Load():
		return ctx.Err()
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Untrusted(untrusted)
	}
	return err
}

// A probe is what is known of a connection, which is sealed once a request could be sent.
type probe struct {
	sealed  atomic.Bool
	asked   atomic.Bool // for a certificate
	once    sync.Once
	closed  chan struct{}
	refused bool
}

// watch sees to the connections of a transport.
func (p *probe) watch(t *http.Transport) {
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return probedConn{conn, p}, nil
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = new(tls.Config)
	}
	certificate := t.TLSClientConfig.GetClientCertificate
	t.TLSClientConfig.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		p.asked.Store(true)
		if certificate == nil {
			return new(tls.Certificate), nil
		}
		return certificate(info)
	}
}

// await waits for the server's word on the certificate that it has asked for.
func (p *probe) await(ctx context.Context) {
	if !p.asked.Load() {
		return
	}
	timer := time.NewTimer(verdictTime)
	defer timer.Stop()
	select {
	case <-p.closed:
		p.refused = ctx.Err() == nil
	case <-timer.C:
	case <-ctx.Done():
	}
}

// probedConn is a connection that takes nothing once it is sealed.
type probedConn struct {
	net.Conn
	*probe
}

func (c probedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.once.Do(func() { close(c.closed) })
	}
	return n, err
}

func (c probedConn) Write(b []byte) (int, error) {
	if c.sealed.Load() {
		return 0, errProbed
	}
	return c.Conn.Write(b)
}

// Close is also what the transport does on an alert of TLS.
func (c probedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
