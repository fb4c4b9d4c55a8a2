package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/journald-router/journald-router/internal/authority"
)

// trusted signs certificates that a program trusts whose $SSL_CERT_FILE is the
// authority's file.
type trusted struct {
	*authority.Authority
	t    *testing.T
	file string
}

func newAuthority(t *testing.T) *trusted {
	t.Helper()
	self, err := authority.New()
	if err != nil {
		t.Fatal(err)
	}
	a := &trusted{self, t, filepath.Join(t.TempDir(), "authority.pem")}
	if err := os.WriteFile(a.file, []byte(self.PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// certificate is for a server of that name until then.
func (a *trusted) certificate(name string, until time.Time) tls.Certificate {
	a.t.Helper()
	c, err := a.Sign(x509.Certificate{DNSNames: []string{name}, NotAfter: until})
	if err != nil {
		a.t.Fatal(err)
	}
	return c.TLS
}
