package config

import (
	"strings"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/email"
	"github.com/journald-router/journald-router/action/exec"
	"github.com/journald-router/journald-router/action/file"
	"github.com/journald-router/journald-router/action/metrics"
	"github.com/journald-router/journald-router/action/nats"
	"github.com/journald-router/journald-router/action/s3"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/sql"
	"github.com/journald-router/journald-router/action/stdout"
	"github.com/journald-router/journald-router/action/webhook"
	"github.com/journald-router/journald-router/internal/strict"
)

// kinds are what an action can be. A new one is a line here.
var kinds = []kind{
	newKind("slack", slack.New),
	newKind("webhook", webhook.New),
	newKind("email", email.New),
	newKind("file", file.New),
	newKind("stdout", stdout.New),
	newKind("exec", exec.New),
	newKind("sql", sql.New),
	newKind("nats", nats.New),
	newKind("s3", s3.New),
	newKind("metrics", metrics.New),
}

// A kind reads the section that bears its name into the action's Config, and
// makes the action of that.
type kind struct {
	name   string
	decode func(v strict.Value) (settings any, ok bool, construct func() (action.Action, error))
}

func newKind[Config any, Action action.Action](name string, construct func(Config) (Action, error)) kind {
	return kind{name, func(v strict.Value) (any, bool, func() (action.Action, error)) {
		var c Config
		ok := v.Decode(&c)
		return c, ok, func() (action.Action, error) {
			a, err := construct(c)
			if err != nil {
				return nil, err
			}
			return a, nil
		}
	}}
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

// kindOf returns the kind of an action that may be wrong in other ways.
func kindOf(v strict.Value) string {
	for _, k := range kinds {
		if _, ok := v.Find(k.name); ok {
			return k.name
		}
	}
	return ""
}
