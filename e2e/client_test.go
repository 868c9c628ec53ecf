package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// nas is a gateway in a few lines: it signs its requests, repeats the same octets until an answer comes, and believes
// only answers whose Response Authenticator and Message-Authenticator are right.
type nas struct {
	addr    string
	secret  []byte
	station string
	retry   time.Duration // before the same octets are sent again
	tries   int
	conn    net.Conn // kept from request to request; nil: a port of its own for each request
}

// answer is what came back for one request.
type answer struct {
	code  radius.Code
	text  string
	state []byte
	raw   []byte
	sent  int // datagrams
}

var errSilence = errors.New("no answer")

// request makes a signed Access-Request and its octets.
func (n *nas) request(name, password string, state []byte) ([]byte, *radius.Packet, error) {
	p := radius.New(radius.CodeAccessRequest, n.secret)
	// Message-Authenticator first, zero while it is computed (RFC 3579 §3.2).
	p.Add(80, make([]byte, 16))
	_ = rfc2865.UserName_SetString(p, name)
	if err := rfc2865.UserPassword_SetString(p, password); err != nil {
		return nil, nil, err
	}
	_ = rfc2865.NASIdentifier_SetString(p, "e2e")
	if n.station != "" {
		_ = rfc2865.CallingStationID_SetString(p, n.station)
	}
	if state != nil {
		_ = rfc2865.State_Set(p, state)
	}
	raw, err := signed(p, n.secret)
	return raw, p, err
}

// signed gives the octets of a packet whose first attribute is a Message-Authenticator of zeros, with the right one.
func signed(p *radius.Packet, secret []byte) ([]byte, error) {
	raw, err := p.Encode()
	if err != nil {
		return nil, err
	}
	mac := hmac.New(md5.New, secret)
	mac.Write(raw)
	copy(raw[22:38], mac.Sum(nil))
	return raw, nil
}

// login sends one request until it is answered.
func (n *nas) login(ctx context.Context, name, password string, state []byte) (answer, error) {
	raw, p, err := n.request(name, password, state)
	if err != nil {
		return answer{}, err
	}
	return n.exchange(ctx, raw, p)
}

func (n *nas) exchange(ctx context.Context, raw []byte, p *radius.Packet) (answer, error) {
	conn := n.conn
	if conn == nil {
		var err error
		if conn, err = net.Dial("udp", n.addr); err != nil {
			return answer{}, err
		}
		defer func() { _ = conn.Close() }()
	}
	retry, tries := n.retry, n.tries
	if retry == 0 {
		retry = 2 * time.Second
	}
	if tries == 0 {
		tries = 5
	}
	var a answer
	buf := make([]byte, 4096)
	for range tries {
		if ctx.Err() != nil {
			break
		}
		if _, err := conn.Write(raw); err != nil {
			return a, errSilence // refused: nobody listens just now
		}
		a.sent++
		end := time.Now().Add(retry)
		for {
			_ = conn.SetReadDeadline(end)
			k, err := conn.Read(buf)
			if err != nil {
				if time.Now().Before(end) {
					time.Sleep(time.Until(end)) // the port was closed for a moment
				}
				break
			}
			if got, ok := n.believe(buf[:k], p); ok {
				got.sent = a.sent
				return got, nil
			}
		}
	}
	return a, errSilence
}

// believe checks an answer against its request and takes it apart.
func (n *nas) believe(b []byte, req *radius.Packet) (answer, bool) {
	if len(b) < 38 || b[1] != req.Identifier || b[20] != 80 || b[21] != 18 {
		return answer{}, false // the Message-Authenticator has to come first
	}
	c := append([]byte(nil), b...)
	copy(c[4:20], req.Authenticator[:])
	sum := append([]byte(nil), c[22:38]...)
	clear(c[22:38])
	mac := hmac.New(md5.New, n.secret)
	mac.Write(c)
	if !hmac.Equal(mac.Sum(nil), sum) {
		return answer{}, false
	}
	whole := append([]byte(nil), b...)
	copy(whole[4:20], req.Authenticator[:])
	h := md5.New()
	h.Write(whole)
	h.Write(n.secret)
	if !hmac.Equal(h.Sum(nil), b[4:20]) {
		return answer{}, false
	}
	p, err := radius.Parse(append([]byte(nil), b...), n.secret)
	if err != nil {
		return answer{}, false
	}
	return answer{code: p.Code, text: rfc2865.ReplyMessage_GetString(p), state: rfc2865.State_Get(p), raw: append([]byte(nil), b...)}, true
}

// dial opens a port of its own to a server, for packets that come again from the same place.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// each runs f for 0 to n-1 on a number of goroutines.
func each(workers, n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range workers {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
