package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/rad"
)

const (
	secret    = "testing123"
	seed      = "bench"
	startTime = time.Minute // a server that answers nothing after it has failed
)

// firstAccept logs a user in who has never been used before and gives the time from the start of the server, parts[0], to
// the Access-Accept. One request is sent again and again, byte by byte the same, until the server is there to answer it:
// no code is used twice. A TOTP code whose step is over gives way to the next one.
func firstAccept(port int, parts []*process, u otpgen.User, kind, layout string, counter uint64) (time.Duration, error) {
	c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	p := &probe{ctx: rad.NewCtx([]byte(secret)), coder: otpgen.NewCoder(), user: u, kind: kind, layout: layout, counter: counter, first: counter}
	p.build()
	answer, begin := make([]byte, rad.MaxPacket), parts[0].begun
	for time.Since(begin) < startTime {
		for _, part := range parts {
			if err := part.ended(); err != nil {
				return 0, err
			}
		}
		if p.counter != p.present() {
			p.build()
		}
		_, _ = c.Write(p.request) // refused while nobody listens
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
			return 0, err
		}
		n, err := c.Read(answer)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			continue
		}
		if err != nil {
			time.Sleep(2 * time.Millisecond)
			continue
		}
		if answer[1] != p.id {
			continue // about the code before
		}
		if _, err := p.ctx.CheckResponse(answer[:n], &p.auth); err != nil {
			return 0, fmt.Errorf("the first answer: %w", err)
		}
		if answer[0] == rad.CodeAccept {
			return time.Since(begin), nil
		}
		if p.counter == p.present() {
			return 0, fmt.Errorf("the first login, %s, got code %d instead of an Access-Accept\n%s", u.Name, answer[0], parts[0].tail())
		}
	}
	return 0, fmt.Errorf("no answer within %v\n%s", startTime, parts[0].tail())
}

// probe is the login of one user.
type probe struct {
	ctx          *rad.Ctx
	coder        *otpgen.Coder
	user         otpgen.User
	kind, layout string

	id      byte
	auth    [16]byte
	first   uint64 // counter of an event-based token
	counter uint64
	request []byte
}

// present is the counter that the user's token shows just now.
func (p *probe) present() uint64 {
	if p.kind == "totp" {
		return uint64(time.Now().Unix() / 30)
	}
	return p.first
}

// build makes a new request with the present code.
func (p *probe) build() {
	p.id++
	p.counter = p.present()
	_, _ = rand.Read(p.auth[:]) // never fails
	var text []byte
	if p.layout == "passotp" {
		text = append(text, p.user.Password[:]...)
	}
	text = p.coder.Append(text, p.user.Secret[:], p.counter, 6)
	b := rad.Begin(nil, rad.CodeRequest, p.id, &p.auth)
	b = rad.AppendAttr(b, rad.AttrUserName, []byte(p.user.Name))
	b = rad.AppendAttr(b, rad.AttrNASIPAddress, []byte{127, 0, 0, 1})
	b = p.ctx.AppendPAP(b, &p.auth, text)
	p.ctx.FinishRequest(b)
	p.request = b
}
