// Package authority makes certificates for tests: of an authority, which signs itself,
// and of those whom it signs.
package authority

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// A Certificate is one with its private key.
type Certificate struct {
	// PEM is the certificate, and Key its private key, both in PEM.
	PEM, Key string
	// TLS is the two of them for crypto/tls.
	TLS tls.Certificate
}

// An Authority signs certificates. It bears one that it has signed itself.
type Authority struct{ Certificate }

// New makes an authority.
func New() (*Authority, error) {
	c, err := sign(x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	return &Authority{c}, err
}

// Sign makes a certificate for a server or a client: the template says for whom, and
// until when it is valid if not for a day.
func (a *Authority) Sign(template x509.Certificate) (Certificate, error) {
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return sign(template, &a.TLS)
}

// sign has the certificate sign itself where there is no issuer.
func sign(c x509.Certificate, issuer *tls.Certificate) (made Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return made, fmt.Errorf("make certificate: %w", err)
	}
	c.SerialNumber, c.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-48*time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(24 * time.Hour)
	}
	parent, signer := &c, any(key)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, parent, key.Public(), signer)
	if err != nil {
		return made, fmt.Errorf("make certificate: %w", err)
	}
	private, privateErr := x509.MarshalPKCS8PrivateKey(key)
	leaf, err := x509.ParseCertificate(der)
	if err = cmp.Or(privateErr, err); err != nil {
		return made, fmt.Errorf("make certificate: %w", err)
	}
	return Certificate{
		PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		TLS: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
	}, nil
}
