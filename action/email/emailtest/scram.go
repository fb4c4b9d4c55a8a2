package emailtest

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// scram is SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding.
type scram struct {
	login func(user, proof string, right bool) error

	step         int
	first, reply string // what was said by the client, less its header, and by the server
	signature    string
}

const (
	scramSalt       = "c2FsdHNhbHRzYWx0"
	scramIterations = 4096
)

func (s *scram) Next(response []byte) (challenge []byte, done bool, err error) {
	s.step++
	switch said := string(response); s.step {
	case 1:
		return nil, false, nil
	case 2:
		s.first = strings.TrimPrefix(said, "n,,")
		s.reply = fmt.Sprintf("%ss,s=%s,i=%d", s.first[strings.Index(s.first, "r="):], scramSalt, scramIterations)
		return []byte(s.reply), false, nil
	case 3:
		if err := s.prove(said); err != nil {
			return nil, true, err
		}
		return []byte("v=" + s.signature), false, nil
	}
	return nil, true, nil
}

// prove checks that the client knows the password, and makes the proof that the server
// knows it.
func (s *scram) prove(final string) error {
	without, proof, _ := strings.Cut(final, ",p=")
	message := []byte(s.first + "," + s.reply + "," + without)
	salt, err := base64.StdEncoding.DecodeString(scramSalt)
	if err != nil {
		return err
	}
	salted, err := pbkdf2.Key(sha256.New, Password, salt, scramIterations, sha256.Size)
	if err != nil {
		return err
	}
	client := mac(salted, []byte("Client Key"))
	stored := sha256.Sum256(client)
	for i, b := range mac(stored[:], message) {
		client[i] ^= b
	}
	s.signature = base64.StdEncoding.EncodeToString(mac(mac(salted, []byte("Server Key")), message))
	right := proof == base64.StdEncoding.EncodeToString(client) && without == "c=biws,"+s.reply[:strings.Index(s.reply, ",")]
	return s.login(strings.TrimPrefix(s.first[:strings.Index(s.first, ",")], "n="), proof, right)
}

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}
