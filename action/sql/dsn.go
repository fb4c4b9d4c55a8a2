package sql

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/journald-router/journald-router/action"
)

// connConfig parses `postgres:`, and puts `tls:` into it.
func connConfig(dsn action.Secret, section *action.TLS) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, dsnError(err)
	}
	if seemsBroken(dsn, config) {
		return nil, dsnError(nil)
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "journald-router" // seen in pg_stat_activity
	}
	if section == nil {
		return config, nil
	}
	checked, err := section.Config()
	if err != nil {
		return nil, err
	}
	if checked == nil { // tls: {} is the system's certificates
		checked = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return config, encrypt(config, checked)
}

// parameterName is what a setting of the server's is called.
var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.$]*$`)

// seemsBroken finds what can be parsed, but so that a part of a password which is not
// written as it should be is taken for something that errors name: a / in it ends a
// URL's host, and what comes after is the database's name.
func seemsBroken(dsn action.Secret, config *pgx.ConnConfig) bool {
	for name := range config.RuntimeParams {
		if !parameterName.MatchString(name) {
			return true
		}
	}
	_, url, isURL := strings.Cut(dsn.Reveal(), "://")
	_, path, _ := strings.Cut(url, "/")
	path, _, _ = strings.Cut(path, "?")
	return isURL && strings.Contains(path, "@")
}

// shareTime bounds the time that each of several hosts, or addresses of one, may take, so
// that one which does not answer at all leaves some for the next.
func shareTime(config *pgx.ConnConfig, all time.Duration) {
	hosts := 1
	for i, way := range config.Fallbacks {
		before := pgconn.FallbackConfig{Host: config.Host, Port: config.Port}
		if i > 0 {
			before = *config.Fallbacks[i-1]
		}
		if way.Host != before.Host || way.Port != before.Port {
			hosts++
		}
	}
	if share := all / time.Duration(hosts+1); config.ConnectTimeout == 0 || share < config.ConnectTimeout {
		config.ConnectTimeout = share
	}
}

// encrypt has each host connected to by TLS, and by nothing else: an sslmode of prefer
// has made two ways for each, with and without.
func encrypt(config *pgx.ConnConfig, checked *tls.Config) error {
	ways := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port}}, config.Fallbacks...)
	var hosts []*pgconn.FallbackConfig
	for i, way := range ways {
		if i > 0 && way.Host == ways[i-1].Host && way.Port == ways[i-1].Port {
			continue
		}
		if strings.HasPrefix(way.Host, "/") {
			return &action.FieldError{Key: "tls", Problem: "is not for a socket on this machine, which postgres leads to", Hint: "name a host in postgres, or leave tls out"}
		}
		own := checked.Clone()
		if own.ServerName == "" {
			own.ServerName = way.Host
		}
		hosts = append(hosts, &pgconn.FallbackConfig{Host: way.Host, Port: way.Port, TLSConfig: own})
	}
	config.TLSConfig, config.Fallbacks = hosts[0].TLSConfig, hosts[1:]
	return nil
}

// dsnError says of a DSN that it is wrong, and nothing of what is in it: where the
// password ends cannot be known then.
func dsnError(err error) error {
	e := &action.FieldError{Key: "postgres", Problem: "is no URL nor key=value pairs that PostgreSQL knows",
		Hint: "write postgres://user:password@host:5432/database?sslmode=verify-full, special characters in the password as in URLs (%40 for @, %2F for /); or host=... user=... password='...' dbname=..."}
	// Its own errors name no value; a file's path, as of sslrootcert, is no secret.
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		e.Problem, e.Hint = "names a file that cannot be read: "+path.Error(), "sslrootcert, sslcert and sslkey are files that the router's user can read; or use the section tls"
	}
	return e
}

// dsnSecrets are the forms of the password that no error may have, and the DSN as a
// whole.
func dsnSecrets(dsn action.Secret, config *pgx.ConnConfig) []string {
	return []string{dsn.Reveal(), config.Password, url.QueryEscape(config.Password), url.PathEscape(config.Password)}
}
