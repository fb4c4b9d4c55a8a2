package action

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TLS is the section `tls:` of the kinds that speak TLS: what to trust, and how to
// show who the router is. Without it the system's certificates are trusted, and the
// destination's must bear the name that is connected to.
//
// CA, Cert and Key are in PEM, each an absolute path or, as of ${credential:NAME},
// the text itself.
type TLS struct {
	// CA has the certificates that are trusted instead of the system's.
	CA string `yaml:"ca"`
	// Cert is a certificate that the router shows (mutual TLS), with those between it
	// and its authority behind it, and Key its private key. Files are read again at each
	// connection, so that a renewed certificate needs no reload.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ServerName is the name that the destination's certificate must bear, where that
	// is not the one that is connected to.
	ServerName string `yaml:"server_name"`
}

// Config is what crypto/tls makes of it; nil if nothing is set. It reads the files.
// Its errors are *FieldError, joined, with keys such as tls.ca.
func (t TLS) Config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	config := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	var errs []error
	if t.CA != "" {
		text, err := pem("tls.ca", t.CA)
		config.RootCAs = x509.NewCertPool()
		if err == nil && !config.RootCAs.AppendCertsFromPEM(text) {
			err = &FieldError{Key: "tls.ca", Problem: "has no certificate in it", Hint: "in PEM, one begins with -----BEGIN CERTIFICATE-----"}
		}
		errs = append(errs, err)
	}
	switch {
	case t.Cert == "" && t.Key == "":
	case t.Cert == "" || t.Key == "":
		errs = append(errs, &FieldError{Key: "tls", Problem: "has only one of cert and key", Hint: "set both: the certificate, and its private key"})
	default:
		_, err := t.certificate()
		errs = append(errs, err)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.certificate() }
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return config, nil
}

// ConfigFor is Config for a URL of that scheme. For http, where it would do nothing, it is
// a mistake to set any of it: somebody may take the connection for a secure one.
func (t TLS) ConfigFor(scheme string) (*tls.Config, error) {
	if scheme == "http" && t != (TLS{}) {
		return nil, &FieldError{Key: "tls", Problem: "is set, but the address begins with http://", Hint: "write https://, or leave tls out"}
	}
	return t.Config()
}

func (t TLS) certificate() (*tls.Certificate, error) {
	cert, certErr := pem("tls.cert", t.Cert)
	key, keyErr := pem("tls.key", t.Key)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, &FieldError{Key: "tls.cert", Problem: "cannot be used: " + err.Error(), Hint: "cert has the certificate and key its private key, both in PEM"}
	}
	return &c, nil
}

// Untrusted adds to the error of a handshake what to do about the certificate.
func Untrusted(err *tls.CertificateVerificationError) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w (for a certificate authority of your own, set ca in tls)", err)
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Errorf("%w (connect to a name that is in the certificate, or set server_name in tls)", err)
	}
	return err
}

// pem is the text that the setting of that key is or leads to.
func pem(key, value string) ([]byte, error) {
	if strings.Contains(value, "-----BEGIN ") {
		return []byte(value), nil
	}
	if !filepath.IsAbs(value) {
		return nil, &FieldError{Key: key, Problem: "is neither an absolute path nor text in PEM", Hint: "begin a path with /: the daemon's working directory is not the shell's"}
	}
	text, err := os.ReadFile(value)
	if err == nil {
		return text, nil
	}
	e := &FieldError{Key: key, Problem: fmt.Sprintf("cannot be read: %v", err), Hint: "name a file in PEM"}
	if errors.Is(err, fs.ErrPermission) {
		e.Hint = "the router runs as a user of its own: use LoadCredential= in the unit and ${credential:NAME} here"
	}
	return nil, e
}
