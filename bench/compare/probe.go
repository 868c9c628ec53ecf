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

// firstAccept logs a user in who has never been used before and gives the time from the start of the server, parts[0], to the Access-Accept. One
// request is sent again and again, byte by byte the same, until the server is there to answer it: no code is used twice.
func firstAccept(port int, parts []*process, u otpgen.User, kind, layout string) (time.Duration, error) {
	c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	var counter uint64
	if kind == "totp" {
		counter = uint64(time.Now().Unix() / 30)
	}
	var text []byte
	if layout == "passotp" {
		text = append(text, u.Password[:]...)
	}
	text = otpgen.NewCoder().Append(text, u.Secret[:], counter, 6)
	ctx := rad.NewCtx([]byte(secret))
	var auth [16]byte
	_, _ = rand.Read(auth[:])
	request := rad.Begin(nil, rad.CodeRequest, 0, &auth)
	request = rad.AppendAttr(request, rad.AttrUserName, []byte(u.Name))
	request = rad.AppendAttr(request, rad.AttrNASIPAddress, []byte{127, 0, 0, 1})
	request = ctx.AppendPAP(request, &auth, text)
	ctx.FinishRequest(request)

	answer, begin := make([]byte, rad.MaxPacket), parts[0].begun
	for time.Since(begin) < startTime {
		for _, p := range parts {
			if err := p.ended(); err != nil {
				return 0, err
			}
		}
		_, _ = c.Write(request) // refused while nobody listens
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
		if _, err := ctx.CheckResponse(answer[:n], &auth); err != nil {
			return 0, fmt.Errorf("the first answer: %w", err)
		}
		if answer[0] != rad.CodeAccept {
			return 0, fmt.Errorf("the first login, %s, got code %d instead of an Access-Accept\n%s", u.Name, answer[0], parts[0].tail())
		}
		return time.Since(begin), nil
	}
	return 0, fmt.Errorf("no answer within %v\n%s", startTime, parts[0].tail())
}
