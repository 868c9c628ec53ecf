package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// The decoder keeps a copy of an element's octets at every level of nesting, so depth multiplies what an answer costs. LDAP
// answers nest six deep. The limit is the library's only one and belongs to the whole program; nothing else in it reads
// BER by this library.
func init() { ber.MaxNestingDepth = 16 }

// errAnswerTooLong ends an exchange that brought more octets than max_answer.
var errAnswerTooLong = errors.New("the answer is longer than max_answer")

// wire is the connection below TLS and LDAP. It lets a limited number of octets through.
type wire struct {
	net.Conn
	left atomic.Int64
	over atomic.Bool // the limit was reached
}

// Read reads until the limit; then it fails, which makes the LDAP library give the connection up.
func (w *wire) Read(p []byte) (int, error) {
	left := w.left.Load()
	if left <= 0 {
		w.over.Store(true)
		return 0, errAnswerTooLong
	}
	n, err := w.Conn.Read(p[:min(int64(len(p)), left)])
	w.left.Add(-int64(n))
	return n, err
}

// conn is one LDAP connection.
type conn struct {
	*ldap.Conn
	wire   *wire
	server int // index in the config
	url    string
	limit  int64
	used   time.Time // when it was last given back
	cut    bool      // it was closed under an exchange
}

// within runs one exchange. At the context's end the socket is closed, which ends every wait in the library; so nothing
// here needs the library's own time limits.
func (c *conn) within(ctx context.Context, exchange func() error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("asking %s: %w: %w", c.url, authn.ErrNotSent, ctx.Err()) // too late
	}
	c.wire.left.Store(c.limit)
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
	err := exchange()
	c.cut = c.cut || !stop()
	switch {
	case err == nil:
		return nil
	case c.wire.over.Load():
		return fmt.Errorf("asking %s: %w", c.url, errAnswerTooLong)
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for the answer of %s: %w", c.url, ctx.Err())
	}
	return fmt.Errorf("asking %s: %w%s", c.url, err, referral(err))
}

// dead reports that the server closed the connection or that an exchange was cut off.
func (c *conn) dead() bool { return c.cut || c.IsClosing() }

// drop closes the socket first, so that no farewell can wait for a peer that does not read.
func (c *conn) drop() {
	_ = c.wire.Close()
	_ = c.Close()
}

// dialer opens connections to the servers of one directory.
type dialer struct {
	settled
	breaker breaker
}

// dial connects to the server that answered last, or to the next one that answers.
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	var faults []error
	for _, n := range d.breaker.order() {
		c, err := d.dialServer(ctx, n)
		if err == nil {
			d.breaker.connected(n)
			return c, nil
		}
		faults = append(faults, err)
		if ctx.Err() != nil {
			break // too late for another one, and this one may be well
		}
		d.breaker.failed(n, err)
	}
	return nil, errors.Join(faults...)
}

// dialServer connects to one server.
func (d *dialer) dialServer(ctx context.Context, number int) (*conn, error) {
	return d.connect(ctx, number, d.servers[number].tls)
}

func (d *dialer) connect(ctx context.Context, number int, secrecy *tls.Config) (*conn, error) {
	s := d.servers[number]
	ctx, cancel := context.WithTimeout(ctx, d.ConnectTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.url, err)
	}
	c := &conn{wire: &wire{Conn: raw}, server: number, url: s.url, limit: int64(d.MaxAnswer)}
	c.wire.left.Store(c.limit)
	if !s.atOnce {
		c.Conn = ldap.NewConn(c.wire, false)
		c.Start()
		if secrecy == nil {
			return c, nil
		}
		if err := c.within(ctx, func() error { return c.StartTLS(secrecy) }); err != nil {
			c.drop()
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
		return c, nil
	}
	secure := tls.Client(c.wire, secrecy)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS with %s: %w", s.url, err)
	}
	c.Conn = ldap.NewConn(secure, true)
	c.Start()
	return c, nil
}

// maxBindAnswer bounds what may come back on a connection for binds, in octets. The answer to a bind is short; decoding a
// hostile one takes up to a hundred times its length of memory, and many binds run at once.
const maxBindAnswer = 16 << 10

// dialBind connects for binds of users.
func (d *dialer) dialBind(ctx context.Context) (*conn, error) {
	c, err := d.dial(ctx)
	if err == nil {
		c.limit = maxBindAnswer
	}
	return c, err
}

// dialService connects and signs the service account in. A server that refuses it is left for the next one too.
func (d *dialer) dialService(ctx context.Context) (*conn, error) {
	c, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.signIn(ctx, c); err != nil {
		c.drop()
		if ctx.Err() == nil {
			d.breaker.failed(c.server, err)
		}
		return nil, err
	}
	return c, nil
}

// signIn binds as the service account; without one there is nothing to do.
func (d *dialer) signIn(ctx context.Context, c *conn) error {
	if d.BindDN == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	err := c.within(ctx, func() error { return c.Bind(d.BindDN, string(d.BindPassword.Reveal())) })
	if err != nil {
		return fmt.Errorf("signing in the service account: %w", err)
	}
	return nil
}

// probeServer asks one server for its root entry as the service account.
func (d *dialer) probeServer(ctx context.Context, server int) error {
	c, err := d.dialServer(ctx, server)
	if err != nil {
		return err
	}
	defer c.drop()
	if err := d.signIn(ctx, c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	return c.within(ctx, func() error {
		_, err := c.Search(&ldap.SearchRequest{Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{"1.1"}})
		return err
	})
}
