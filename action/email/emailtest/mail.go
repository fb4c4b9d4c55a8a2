package emailtest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// Mail is one that the server has accepted.
type Mail struct {
	From      string
	To        []string // whom it was accepted for
	Data      []byte
	Encrypted bool
	Hello     string // how the client introduced itself
	UTF8      bool   // the client asked for SMTPUTF8
}

// Header returns a header's value, its encoded words decoded.
func (m Mail) Header(name string) string {
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		return fmt.Sprintf("not a mail: %v", err)
	}
	value := parsed.Header.Get(name)
	decoded, err := new(mime.WordDecoder).DecodeHeader(value)
	if err != nil {
		return fmt.Sprintf("not decoded: %v: %q", err, value)
	}
	return decoded
}

// Text returns the body in plain text, and HTML that in HTML; empty without one.
func (m Mail) Text() string { return m.part("text/plain") }
func (m Mail) HTML() string { return m.part("text/html") }

func (m Mail) part(want string) string {
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		return fmt.Sprintf("not a mail: %v", err)
	}
	kind, parameters, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Sprintf("no content type: %v", err)
	}
	if kind == want {
		return decode(parsed.Body, parsed.Header.Get("Content-Transfer-Encoding"))
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return ""
	}
	parts := multipart.NewReader(parsed.Body, parameters["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return ""
		}
		if err != nil {
			return fmt.Sprintf("not a part: %v", err)
		}
		if kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); kind == want {
			return decode(p, p.Header.Get("Content-Transfer-Encoding"))
		}
	}
}

// decode also takes the line breaks of mails back to those of Unix.
func decode(r io.Reader, encoding string) string {
	switch encoding {
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return fmt.Sprintf("not decoded: %v", err)
	}
	return strings.ReplaceAll(string(body), "\r\n", "\n")
}
