package action_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action"
	"gopkg.in/yaml.v3"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	const value = "hunter2"
	secret := action.Secret(value)
	config := struct {
		Token   action.Secret            `yaml:"token"`
		Pointer *action.Secret           `yaml:"pointer"`
		Headers map[string]action.Secret `yaml:"headers"`
		List    []action.Secret          `yaml:"list"`
	}{secret, &secret, map[string]action.Secret{"a": secret}, []action.Secret{secret}}

	var printed []string
	// Not %p, which asks no type how it wants to be printed; go vet refuses it here.
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%5.1s"} {
		printed = append(printed, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, config), fmt.Sprintf(verb, config.List))
	}
	asJSON, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("text", "secret", secret, "config", config)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("json", "secret", secret, "config", config)
	printed = append(printed, string(asJSON), string(asYAML), logged.String(),
		fmt.Sprint(secret), fmt.Sprintln(secret), secret.String(), fmt.Errorf("bad: %w %v", errors.New("x"), secret).Error())

	for _, s := range printed {
		if strings.Contains(s, value) || strings.Contains(s, fmt.Sprintf("%x", value)) || strings.Contains(s, fmt.Sprintf("%X", value)) {
			t.Errorf("the secret is in %q", s)
		}
	}
	if fmt.Sprint(secret) != "[secret]" {
		t.Errorf("Sprint = %q", fmt.Sprint(secret))
	}
	if secret.Reveal() != value {
		t.Errorf("Reveal = %q", secret.Reveal())
	}
}

func TestFieldError(t *testing.T) {
	tests := []struct {
		err  action.FieldError
		want string
	}{
		{action.FieldError{Key: "url", Problem: "is missing", Hint: "add it"}, "url: is missing (add it)"},
		{action.FieldError{Key: "url", Problem: "is missing"}, "url: is missing"},
		{action.FieldError{Problem: "needs one of a, b"}, "needs one of a, b"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestAppendLine(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", "\n"},
		{"plain\ttext é 漢", "plain\ttext é 漢\n"},
		{"one\ntwo\r\nthree\n", `one\ntwo\r\nthree\n` + "\n"},
		{"\x1b[31mred\x00\x7f", `\x1b[31mred\x00\x7f` + "\n"},
		{`{"json":"a\nb\\"}`, `{"json":"a\nb\\"}` + "\n"},
		{"broken \xff", "broken \xff\n"},
	}
	for _, tt := range tests {
		if got := string(action.AppendLine([]byte(">"), tt.in)); got != ">"+tt.want {
			t.Errorf("AppendLine(%q) = %q, want %q", tt.in, got, ">"+tt.want)
		}
	}
}
