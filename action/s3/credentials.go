package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// lookup finds the credentials: those of the settings; or in the environment, in the
// file of the AWS tools, and from the machine's role, the first that there is. (The
// library's own chain takes a source that fails for one that is not there, and sends
// requests without a signature in the end.)
//
// It is the client's credentials.Provider, too, and gives it what get has found, so
// that no request of the client's waits for credentials.
type lookup struct {
	fixed bool          // they are in the settings
	chain []source      // where else they may be
	busy  chan struct{} // has one element while nobody looks

	mu    sync.Mutex
	found credentials.Value
	until time.Time // when to look again
	fresh bool      // the client does not have it yet
}

// A source is one place where credentials may be.
type source struct {
	name     string
	provider credentials.Provider
	absent   func() bool // nil: it can only be tried
}

func newLookup(c Config, region string) *lookup {
	l := &lookup{fixed: c.AccessKey != "", busy: make(chan struct{}, 1)}
	l.busy <- struct{}{}
	switch {
	case l.fixed:
		l.found = credentials.Value{AccessKeyID: c.AccessKey.Reveal(), SecretAccessKey: c.SecretKey.Reveal(), SessionToken: c.SessionToken.Reveal(), SignerType: credentials.SignatureV4}
	case c.Profile != "" || c.CredentialsFile != "":
		l.chain = []source{{name: "the file", provider: &credentials.FileAWSCredentials{Filename: c.CredentialsFile, Profile: c.Profile}}}
	default:
		l.chain = []source{
			{"the environment", &credentials.EnvAWS{}, func() bool { return os.Getenv("AWS_ACCESS_KEY_ID") == "" && os.Getenv("AWS_ACCESS_KEY") == "" }},
			{name: "the file", provider: &credentials.FileAWSCredentials{}},
			{"the machine's role", &credentials.IAM{Client: roleClient, Region: region}, func() bool { return os.Getenv("AWS_EC2_METADATA_DISABLED") == "true" && !otherRole() }},
		}
	}
	return l
}

// otherRole says whether the machine's role comes from elsewhere than the metadata
// service: EKS, ECS, and others that set these variables.
func otherRole() bool {
	return slices.ContainsFunc([]string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"},
		func(name string) bool { return os.Getenv(name) != "" })
}

// roleClient asks for the credentials of a role. Services on the machine's own link are
// not asked through a proxy.
var roleClient = &http.Client{
	Timeout: 5 * time.Second,
	Transport: &http.Transport{
		Proxy: func(req *http.Request) (*url.URL, error) {
			if ip := net.ParseIP(req.URL.Hostname()); ip != nil && (ip.IsLinkLocalUnicast() || ip.IsLoopback() || ip.IsPrivate()) {
				return nil, nil
			}
			return http.ProxyFromEnvironment(req)
		},
		DisableKeepAlives: true,
	},
}

// get returns what is valid now; it looks where nothing is known, or that has run out.
func (l *lookup) get(ctx context.Context) (credentials.Value, error) {
	if v, ok := l.known(); ok {
		return v, nil
	}
	select {
	case <-l.busy:
	case <-ctx.Done():
		return credentials.Value{}, ctx.Err()
	}
	if v, ok := l.known(); ok { // another has looked meanwhile
		l.busy <- struct{}{}
		return v, nil
	}
	return l.look(ctx)
}

func (l *lookup) known() (credentials.Value, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.found, l.fixed || time.Now().Before(l.until)
}

// look asks the sources, in turn. It is called with what busy had, and gives that
// back when it has ended: not every source keeps to ctx.
func (l *lookup) look(ctx context.Context) (credentials.Value, error) {
	type result struct {
		credentials.Value
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := l.ask(ctx)
		done <- result{v, err}
		l.busy <- struct{}{}
	}()
	select {
	case r := <-done:
		return r.Value, r.err
	case <-ctx.Done():
		return credentials.Value{}, ctx.Err()
	}
}

func (l *lookup) ask(ctx context.Context) (credentials.Value, error) {
	var errs []error
	for _, s := range l.chain {
		if s.absent != nil && s.absent() {
			errs = append(errs, fmt.Errorf("%s has none", s.name))
			continue
		}
		if role, ok := s.provider.(*credentials.IAM); ok && !otherRole() {
			role.Endpoint = os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT")
		}
		v, err := s.provider.RetrieveWithCredContext(&credentials.CredContext{Client: roleClient, Context: ctx})
		switch {
		case ctx.Err() != nil:
			return credentials.Value{}, cmp.Or(err, ctx.Err())
		case err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "":
			l.keep(v)
			return v, nil
		case err == nil:
			err = errors.New("there is no key, or only a half of it")
		}
		if e, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(e, fs.ErrNotExist) {
			err = fmt.Errorf("%s is not there", e.Path)
		}
		errs = append(errs, fmt.Errorf("%s: %w", s.name, hideLine(err)))
	}
	if v, ok := l.stillValid(); ok {
		return v, nil
	}
	all := errs[0]
	for _, err := range errs[1:] {
		all = fmt.Errorf("%w; %w", all, err)
	}
	return credentials.Value{}, fmt.Errorf("%w (set access_key and secret_key, or see the page on s3)", all)
}

// parseErrors are how the errors of the file's parser (gopkg.in/ini.v1) begin that show the
// line at fault, which may have a key.
var parseErrors = []string{"key-value delimiter not found", "empty key name", "missing closing key quote", "unclosed section"}

func hideLine(err error) error {
	for _, problem := range parseErrors {
		if strings.HasPrefix(err.Error(), problem) {
			return errors.New(problem + " in one of its lines, which have to be [profile] or name = value")
		}
	}
	return err
}

// keep keeps what was found for a minute, as files may change, or for most of the time for
// which it is valid.
func (l *lookup) keep(v credentials.Value) {
	lasts := time.Minute
	if !v.Expiration.IsZero() {
		lasts = time.Until(v.Expiration) * 8 / 10
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found, l.until, l.fresh = v, time.Now().Add(lasts), true
}

// stillValid is what was found before, if it bears a time and that has not come.
func (l *lookup) stillValid() (credentials.Value, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.found, time.Now().Before(l.found.Expiration)
}

// keyCodes are about the credentials.
var keyCodes = []string{"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}

// renewed is told what was answered to a request with these credentials, and says
// whether there are others now.
func (l *lookup) renewed(ctx context.Context, said minio.ErrorResponse, used credentials.Value) bool {
	if l.fixed || !slices.Contains(keyCodes, said.Code) {
		return false
	}
	select {
	case <-l.busy:
	case <-ctx.Done():
		return false
	}
	if v, _ := l.known(); v != used {
		l.busy <- struct{}{}
		return true
	}
	v, err := l.look(ctx)
	return err == nil && v != used
}

// RetrieveWithCredContext implements credentials.Provider.
func (l *lookup) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh = false
	return l.found, nil
}

// Retrieve implements credentials.Provider.
func (l *lookup) Retrieve() (credentials.Value, error) { return l.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (l *lookup) IsExpired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fresh
}
