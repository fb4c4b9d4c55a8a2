package action

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
)

// errProbed is what a request of ProbeHTTP fails with when it could be sent.
var errProbed = errors.New("connected, and nothing was sent")

// ProbeHTTP connects to the host of the URL as a request by the client, one of
// NewHTTPClient, would: through its proxy and, for https, with a TLS handshake. No
// request is sent. Its errors do not contain the URL.
func ProbeHTTP(ctx context.Context, c *http.Client, to *url.URL) error {
	t := c.Transport.(*transport).get().Clone()
	t.DisableKeepAlives = true
	var sealed atomic.Bool
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return sealedConn{conn, &sealed}, nil
	}
	// The connection is there, and what a proxy and TLS ask for is done; the request
	// comes next.
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sealed.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, (&url.URL{Scheme: to.Scheme, Host: to.Host, Path: "/"}).String(), nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	if sealed.Load() {
		return nil
	}
	if unknown, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w (for a certificate authority of your own, set ca in tls)", unknown)
	}
	return err
}

// sealedConn is a connection that takes nothing once it is sealed.
type sealedConn struct {
	net.Conn
	sealed *atomic.Bool
}

func (c sealedConn) Write(b []byte) (int, error) {
	if c.sealed.Load() {
		return 0, errProbed
	}
	return c.Conn.Write(b)
}
