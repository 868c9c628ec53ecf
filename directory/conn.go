package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
)

// What a server sends is read by this package alone; the library's decoder reads filters of the configuration. Its limit
// belongs to the whole program and is kept low all the same.
func init() { ber.MaxNestingDepth = 16 }

var (
	// errAnswerTooLong ends an exchange that brought more octets than max_answer.
	errAnswerTooLong = errors.New("the answer is longer than max_answer")
	errOtherQuestion = errors.New("the server answered a question that was not asked")
	errSaidFarewell  = errors.New("the server ended the connection")
)

// conn is one LDAP connection, on which one question at a time is asked. After an error it is of no more use.
type conn struct {
	net.Conn          // TLS, or raw
	raw      net.Conn // the TCP connection
	server   int      // index in the config
	url      string
	next     int       // id of the next question
	in       inbox     // what was read and not used yet
	out      []byte    // for the next question
	used     time.Time // when it was last given back
	cut      bool      // its time was over during an exchange
}

// id gives the next message id. None is used twice on a connection.
func (c *conn) id() int {
	c.next++
	return c.next
}

// exchange sends one request and waits for its answer, until the context's end or the given moment. The message lies in
// the connection's buffer. The request is overwritten: it can hold a password.
func (c *conn) exchange(ctx context.Context, until time.Time, id int, request []byte) (m envelope, err error) {
	if ctx.Err() != nil {
		clear(request)
		return m, fmt.Errorf("asking %s: %w: %w", c.url, authn.ErrNotSent, ctx.Err()) // too late
	}
	if end, ok := ctx.Deadline(); ok && end.Before(until) {
		until = end
	}
	if id > maxMessageID {
		return m, fmt.Errorf("asking %s: %w: the connection has no more message ids", c.url, authn.ErrNotSent)
	}
	_ = c.raw.SetDeadline(until)
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() })
	n, err := c.Write(request)
	clear(request)
	if err == nil {
		m, err = c.answer(id)
	} else if n == 0 && c.Conn == c.raw {
		err = fmt.Errorf("%w: %w", authn.ErrNotSent, err)
	}
	ended := !stop()
	switch {
	case err == nil:
		c.cut = c.cut || ended
		return m, nil
	case ended && ctx.Err() != nil:
		c.cut = true
		err = ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.cut = true
		err = context.DeadlineExceeded
	default:
		return m, fmt.Errorf("asking %s: %w", c.url, err)
	}
	return m, fmt.Errorf("waiting for the answer of %s: %w", c.url, err)
}

// answer reads until the answer to a question has come.
func (c *conn) answer(id int) (envelope, error) {
	for {
		octets, err := c.in.next(c.Conn, maxBindAnswer)
		if err != nil {
			return envelope{}, err
		}
		m, err := readMessage(octets)
		switch {
		case err != nil:
			return envelope{}, err
		case m.id == id:
			return m, nil
		case m.id != noticeDisconnection:
			return envelope{}, errOtherQuestion
		}
		if err := notice(&m); err != nil {
			return envelope{}, err
		}
	}
}

// notice reads what a server says without being asked. Of that only the notice of disconnection is known (RFC 4511 section
// 4.4); whatever else there may be is to be passed over.
func notice(m *envelope) error {
	if m.op != opExtendedResponse {
		return errOtherQuestion
	}
	err := readResult(m.body)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errBER):
		return err
	}
	return fmt.Errorf("%w: %v", errSaidFarewell, err) //nolint:errorlint // its code is no answer to the question
}

// alive tells an idle connection on which nothing has come in: neither its end nor anything else that nobody asked for.
func (c *conn) alive() bool {
	if c.cut || c.in.waiting() > 0 {
		return false
	}
	sys, ok := c.raw.(syscall.Conn)
	if !ok {
		return true
	}
	control, err := sys.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = control.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
	})
	return err == nil && quiet
}

// drop closes the socket without a farewell, which could wait for a peer that does not read.
func (c *conn) drop() { _ = c.raw.Close() }

// inbox is what came over a connection and was not used yet.
type inbox struct {
	buf  []byte
	from int
}

const (
	inboxLeast = 4 << 10
	inboxKept  = 64 << 10 // a larger one is not kept for the next answer
)

func (in *inbox) waiting() int { return len(in.buf) - in.from }

// next gives the octets of the next message, which are good until the following call. The buffer grows with what came, not
// with what was announced.
func (in *inbox) next(r io.Reader, limit int) ([]byte, error) {
	for {
		have := in.buf[in.from:]
		if len(have) > 0 && have[0] != tagSequence {
			return nil, errBER
		}
		n, length, err := header(have)
		switch {
		case err != nil:
			return nil, err
		case n > 0 && n+length > limit:
			return nil, errAnswerTooLong
		case n > 0 && len(have) >= n+length:
			in.from += n + length
			return have[:n+length], nil
		}
		if err := in.fill(r); err != nil {
			return nil, err
		}
	}
}

// fill reads once.
func (in *inbox) fill(r io.Reader) error {
	if in.from == len(in.buf) {
		if cap(in.buf) > inboxKept {
			in.buf = nil
		}
		in.buf, in.from = in.buf[:0], 0
	}
	if len(in.buf) == cap(in.buf) {
		have := in.buf[in.from:]
		if in.from < inboxLeast/2 {
			in.buf = append(make([]byte, 0, max(inboxLeast, 2*cap(in.buf))), have...)
		} else {
			in.buf = append(in.buf[:0], have...)
		}
		in.from = 0
	}
	n, err := r.Read(in.buf[len(in.buf):cap(in.buf)])
	in.buf = in.buf[:len(in.buf)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
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
	until := time.Now().Add(d.ConnectTimeout)
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.url, err)
	}
	c := &conn{Conn: raw, raw: raw, server: number, url: s.url}
	if secrecy == nil {
		return c, nil
	}
	if !s.atOnce {
		if err := c.startTLS(ctx, until); err != nil {
			c.drop()
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
	}
	secure := tls.Client(raw, secrecy)
	if err := secure.HandshakeContext(ctx); err != nil {
		c.drop()
		return nil, fmt.Errorf("TLS with %s: %w", s.url, err)
	}
	c.Conn = secure
	return c, nil
}

// startTLS asks the server to begin TLS (RFC 4511 section 4.14). What it sent in the clear behind its answer could be
// taken for a part of the secured connection, so it ends the connection.
func (c *conn) startTLS(ctx context.Context, until time.Time) error {
	id := c.id()
	m, err := c.exchange(ctx, until, id, appendStartTLS(nil, id))
	if err != nil {
		return err
	}
	if m.op != opExtendedResponse {
		return fmt.Errorf("asking %s: %w", c.url, errBER)
	}
	if err := readResult(m.body); err != nil {
		return fmt.Errorf("asking %s: %w", c.url, err)
	}
	if c.in.waiting() > 0 {
		return fmt.Errorf("asking %s: %w: octets in the clear before TLS", c.url, errBER)
	}
	return nil
}

// tlsState is the state of TLS; ok is false in the clear.
func (c *conn) tlsState() (state tls.ConnectionState, ok bool) {
	if secure, is := c.Conn.(*tls.Conn); is {
		return secure.ConnectionState(), true
	}
	return state, false
}

// maxBindAnswer bounds the answer to a bind and to everything before the first search, in octets.
const maxBindAnswer = 16 << 10

// bind is one simple bind; policy has the server say what its password policy says. The answer's controls lie in the
// connection's buffer.
func (c *conn) bind(ctx context.Context, until time.Time, dn string, password []byte, policy bool) (controls []byte, err error) {
	id := c.id()
	c.out = appendBind(c.out[:0], id, dn, password, policy)
	m, err := c.exchange(ctx, until, id, c.out)
	if err != nil {
		return nil, err
	}
	if m.op != opBindResponse {
		return nil, fmt.Errorf("asking %s: %w", c.url, errBER)
	}
	if err := readResult(m.body); err != nil {
		return m.controls, fmt.Errorf("asking %s: %w", c.url, err)
	}
	return m.controls, nil
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
	if _, err := c.bind(ctx, time.Now().Add(d.Timeout), d.BindDN, d.BindPassword.Reveal(), false); err != nil {
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
	if err := d.signIn(ctx, c); err != nil {
		c.drop()
		return err
	}
	l := newLine(c, d.MaxAnswer, d.Timeout)
	defer l.retire()
	q := query{scope: ldap.ScopeBaseObject, seconds: d.seconds(), filter: anything, attributes: attributeSelection([]string{"1.1"})}
	_, err = l.ask(ctx, time.Now().Add(d.Timeout), &q)
	return err
}
