package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"sekisho/authn"
)

// conversation is one connection to the mail server.
type conversation struct {
	client *gomail.Client
	conn   net.Conn
	from   *netmail.Address
	reply  string
	broken bool // whatever comes next needs another connection
}

// Times of a conversation that is to end.
const (
	lastWords = 5 * time.Second // for the message under way when the program is stopped
	goodbye   = 2 * time.Second // for the answer to QUIT, on which nothing hangs
)

// dial opens a conversation. Without one the outcome says why, and every message may be tried again.
func (c Config) dial(ctx context.Context) (*conversation, outcome) {
	host, port, err := c.address()
	if err != nil {
		return nil, outcome{authn.MessageWaiting, err.Error()}
	}
	secure, err := c.tls(host)
	if err != nil {
		return nil, outcome{authn.MessageWaiting, err.Error()}
	}
	from, err := netmail.ParseAddress(c.From)
	if err != nil {
		return nil, outcome{authn.MessageWaiting, err.Error()}
	}
	v := &conversation{from: from, reply: c.ReplyTo}
	mode := c.mode(host)
	options := []gomail.Option{
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			if mode == "tls" {
				conn, err = (&tls.Dialer{Config: secure}).DialContext(ctx, network, address)
			} else {
				conn, err = new(net.Dialer).DialContext(ctx, network, address)
			}
			v.conn = conn
			return conn, err
		}),
		gomail.WithPort(port), gomail.WithTimeout(c.timeout()), gomail.WithTLSConfig(secure),
		gomail.WithHELO(domain(from.Address)), gomail.WithoutNoop(),
	}
	switch mode {
	case "tls":
		options = append(options, gomail.WithSSL())
	case "none":
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if c.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(c.User), gomail.WithPassword(string(c.Password.Reveal())))
	}
	v.client, err = gomail.NewClient(host, options...)
	if err != nil {
		return nil, outcome{authn.MessageWaiting, err.Error()}
	}
	within, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	if err := v.client.DialWithContext(within); err != nil {
		return nil, outcome{authn.MessageWaiting, words(err)}
	}
	return v, outcome{}
}

func (v *conversation) close() {
	if v != nil {
		_ = v.conn.SetDeadline(time.Now().Add(goodbye))
		_ = v.client.Close()
	}
}

// send hands one message over. What it comes to follows from how far the conversation got: before the final dot nothing was
// taken over; an answer with a number is the server's word; a final dot without an answer leaves it open.
//
// When ctx ends a server that is silent is left after a few seconds.
func (v *conversation) send(ctx context.Context, m authn.Message, text Text, now time.Time) outcome {
	letter, err := v.compose(m, text, now)
	if err != nil {
		return outcome{authn.MessageRefused, err.Error()}
	}
	answered := make(chan struct{})
	go func() {
		select {
		case <-answered:
			return
		case <-ctx.Done():
		}
		select {
		case <-answered:
		case <-time.After(lastWords):
			_ = v.conn.Close()
		}
	}()
	err = v.client.Send(letter)
	close(answered)
	if letter.IsDelivered() {
		v.broken = err != nil
		return outcome{authn.MessageSent, "250 " + letter.ServerResponse()} // the library keeps the words alone
	}
	if err == nil {
		err = errors.New("the mail library reports neither success nor an error")
	}
	fault, known := errors.AsType[*gomail.SendError](err)
	code := 0
	if known {
		code = fault.ErrorCode()
	}
	// The library resets the conversation after a refused sender or recipient; any other end leaves it in doubt.
	v.broken = !known || code == 0 || code == 421 || fault.Reason != gomail.ErrSMTPRcptTo && fault.Reason != gomail.ErrSMTPMailFrom
	switch {
	case known && fault.Reason == gomail.ErrSMTPDataClose && code == 0:
		return outcome{authn.MessageUnknown, words(err)}
	case code >= 500 && !aboutUs[code]:
		return outcome{authn.MessageRefused, words(err)}
	}
	return outcome{authn.MessageWaiting, words(err)}
}

// aboutUs are permanent answers that a change of the configuration mends, so that the message may still go: bad sequence
// of commands, sign-in wanted, sign-in too weak, sign-in wrong (RFC 5321 §4.2.3, RFC 4954 §6).
var aboutUs = map[int]bool{503: true, 530: true, 534: true, 535: true, 538: true}

// compose makes the message: text and HTML in base64, because other encodings cut links at column 76; nothing that names
// the program or this machine.
func (v *conversation) compose(m authn.Message, text Text, now time.Time) (*gomail.Msg, error) {
	letter := gomail.NewMsg(gomail.WithEncoding(gomail.EncodingB64), gomail.WithNoDefaultUserAgent())
	letter.FromMailAddress(v.from)
	if v.reply != "" {
		if err := letter.ReplyTo(v.reply); err != nil {
			return nil, err
		}
	}
	// Parsed here, and only the address goes on: one address is one recipient, whatever the directory says (CVE-2025-59937).
	to, err := netmail.ParseAddress(m.To)
	if err != nil || strings.ContainsAny(to.Address, "\r\n<>,;\" ") {
		return nil, errors.New("the address is none a mail can go to")
	}
	letter.ToMailAddress(&netmail.Address{Address: to.Address})
	letter.Subject(text.Subject)
	letter.SetDateWithValue(now)
	letter.SetMessageIDWithValue(messageID(domain(v.from.Address)))
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	letter.SetGenHeader("Content-Language", text.Language)
	letter.SetBodyString(gomail.TypeTextPlain, text.Plain)
	letter.AddAlternativeString(gomail.TypeTextHTML, text.HTML)
	return letter, nil
}

func messageID(domain string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:]) + "@" + domain
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// words is the server's answer word for word where there is one, else what went wrong with the connection.
func words(err error) string {
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		return answer.Error()
	}
	if fault, ok := errors.AsType[*gomail.SendError](err); ok {
		text, _, _ := strings.Cut(fault.Error(), ", affected ") // whom it was for stands beside it already
		if _, said, ok := strings.Cut(text, strconv.Itoa(fault.ErrorCode())+" "); ok && fault.ErrorCode() > 0 {
			if plain, err := strconv.Unquote(said); err == nil {
				said = plain
			}
			return strconv.Itoa(fault.ErrorCode()) + " " + said
		}
		return text
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return "no answer in time: " + err.Error()
	}
	return err.Error()
}
