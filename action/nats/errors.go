package nats

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/journald-router/journald-router/action"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	hintCredentials = "check user and password, token, nkey or creds, and that the server knows them"
	hintPublish     = "let the user publish to it: permissions, publish, allow"
	hintInbox       = "let the user subscribe to _INBOX.>, or set inbox_prefix to what it may subscribe to"
	hintStream      = "make a stream that takes the subject: nats stream add; or check that JetStream is on"
	hintSilence     = "if that lasts: only a stream acknowledges, and not one with no_ack, nor a subscriber; check --connect asks whether there is one"
	hintFull        = "raise its limits, or let it discard old messages"
	hintStranger    = "something that is no stream answers there, too: take a subject that only the stream has"
	hintSmaller     = "send less by a text"
)

// refusedConnection says what an error in connecting means. What the server says of
// the credentials is final until somebody changes them, as for every action; all
// else passes.
func refusedConnection(err error) error {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired),
		errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		return action.Permanent(fmt.Errorf("%w (%s)", clean(err), hintCredentials))
	case errors.Is(err, nats.ErrPermissionViolation):
		return action.Permanent(fmt.Errorf("%w (%s)", clean(err), hintInbox))
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return action.Permanent(fmt.Errorf("%w (the server asks for no key: leave out nkey and creds)", clean(err)))
	case errors.Is(err, nats.ErrSecureConnRequired):
		return fmt.Errorf("%w (set tls, or write the url with tls://)", clean(err))
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("%w (the server speaks no TLS: leave out tls, and write the url with nats://)", clean(err))
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return clean(action.Untrusted(untrusted))
	}
	said := clean(err)
	if strings.Contains(said.Error(), "certificate required") || strings.Contains(said.Error(), "closed by remote after TLS handshake") {
		return fmt.Errorf("%w (the server may want a certificate: set cert and key in tls)", said)
	}
	return said
}

// final are the errors of JetStream's that say that a stream will never take the
// message as it is. All others pass, or somebody can make them.
// https://github.com/nats-io/nats-server/blob/main/server/errors.json
var final = map[jetstream.ErrorCode]string{
	10054: "raise the stream's max_msg_size, or send less by a text",            // message size exceeds maximum allowed
	10060: "set stream to the one that takes the subject, or leave it out",      // expected stream does not match
	10097: "headers of 64 KiB are too long",                                     // header size exceeds maximum allowed of 64k
	10109: "a sealed stream takes nothing any more: publish to another subject", // invalid operation on sealed stream
	10165: "Nats-TTL is a time like 1h, or a number of seconds",                 // invalid per-message TTL
	10166: "let the stream have it: nats stream edit --allow-msg-ttl",           // per-message TTL is disabled
}

// refusedMessage says what an error for one message means.
func refusedMessage(err error) error {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		hint, isFinal := final[api.ErrorCode]
		// What a file of the server's cannot hold has no code of its own. Older servers
		// write "message to large".
		if api.ErrorCode == 10077 && strings.HasPrefix(api.Description, "message to") {
			hint, isFinal = hintSmaller, true
		}
		if strings.Contains(api.Description, "maximum") && hint == "" {
			hint = hintFull
		}
		err := fmt.Errorf("JetStream answered %q, error %d", action.OneLine(api.Description, len(api.Description)), api.ErrorCode)
		if hint != "" {
			err = fmt.Errorf("%w (%s)", err, hint)
		}
		if isFinal {
			err = action.Permanent(err)
		}
		return err
	}
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		return action.Permanent(fmt.Errorf("%w (%s)", clean(err), hintPublish))
	case errors.Is(err, nats.ErrBadHeaderMsg), errors.Is(err, nats.ErrHeadersNotSupported), errors.Is(err, nats.ErrBadSubject):
		return action.Permanent(clean(err))
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("no stream answered (%s)", hintStream)
	case errors.Is(err, jetstream.ErrInvalidJSAck):
		return fmt.Errorf("%w (%s)", clean(err), hintStranger)
	}
	return clean(err)
}

// clean is an error less what the client puts before its own, on a line. Nothing is cut,
// as half of a secret would not be found by what takes secrets out.
func clean(err error) error {
	said := err.Error()
	short := strings.TrimPrefix(action.OneLine(said, len(said)), "nats: ")
	if short == said {
		return err
	}
	return errors.New(short)
}

// deniedSubject reads the subject out of the error by which a server refuses a
// message that the user may not publish.
func deniedSubject(err error) (subject string, ok bool) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return "", false
	}
	_, quoted, found := strings.Cut(err.Error(), "Permissions Violation for Publish to ")
	if !found {
		return "", false
	}
	subject, err = strconv.Unquote(quoted)
	return subject, err == nil
}
