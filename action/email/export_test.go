package email

import (
	"context"
	"net"

	"github.com/journald-router/journald-router/action"
)

// Open makes raw a connection on which mails can be sent, as connect does.
func (a *Action) Open(ctx context.Context, raw net.Conn) error {
	c := a.newConn(raw)
	defer c.bind(ctx)()
	return a.open(ctx, c)
}

// PartlyAccepted is the memory of what some recipients have, up to n of them.
func PartlyAccepted(n int) *partlyAccepted { return &partlyAccepted{most: n} }

func (p *partlyAccepted) Add(id string, taken ...string) { p.add(id, taken) }
func (p *partlyAccepted) Forget(id string)               { p.forget(id) }
func (p *partlyAccepted) Without(id string, recipients ...string) []string {
	return p.without(id, recipients)
}

// Keep is Open, and keeps the connection for the next mail.
func (a *Action) Keep(ctx context.Context, raw net.Conn) error {
	c := a.newConn(raw)
	release := c.bind(ctx)
	err := a.open(ctx, c)
	release()
	a.kept.put(c)
	return err
}

// Compose makes the mail of a message: whom it goes to, and what it is.
func (a *Action) Compose(m action.Message) (to []string, data []byte, err error) {
	l, err := a.letter(m)
	if err != nil {
		return nil, nil, err
	}
	e, err := a.envelope([]letter{l})
	return e.to, e.data, err
}
