package mail

import (
	"context"
	"fmt"
	"time"

	"sekisho/authn"
)

// Try sends one message at once and past the outbox, for `test mail` and probes. The message that comes back says how far it
// came and what the server answered; an error is a config or a template that cannot work.
func (c Config) Try(ctx context.Context, m authn.Message, now time.Time) (authn.Message, error) {
	templates, faults := c.settle()
	if len(faults) > 0 {
		return m, faults
	}
	text, err := templates.Render(m)
	if err != nil {
		return m, err
	}
	conn, out := c.dial(ctx)
	if conn != nil {
		out = conn.send(ctx, m, text, now)
		conn.close()
	}
	return out.apply(m, now), nil
}

// Preview renders a message with the texts of the site.
func (c Config) Preview(m authn.Message) (Text, error) {
	templates, faults := c.settle()
	if len(faults) > 0 {
		return Text{}, faults
	}
	return templates.Render(m)
}

// Probe says how far a conversation with the mail server comes: connection, TLS and sign-in, no message.
func (c Config) Probe(ctx context.Context) error {
	conn, out := c.dial(ctx)
	if conn == nil {
		return fmt.Errorf("%s: %s", c.Server, out.answer)
	}
	conn.close()
	return nil
}
