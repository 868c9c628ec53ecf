package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

// signedReply answers a request as RFC 3579 §3.2 wants it: Message-Authenticator first, under the request's
// authenticator. spoil may change the packet after the Message-Authenticator was made.
func signedReply(r *radius.Packet, code radius.Code, spoil func([]byte), attributes func(*radius.Packet)) []byte {
	reply := r.Response(code)
	reply.Add(rfc2869.MessageAuthenticator_Type, make([]byte, 16))
	if attributes != nil {
		attributes(reply)
	}
	raw, _ := reply.MarshalBinary()
	copy(raw[4:20], r.Authenticator[:])
	mac := hmac.New(md5.New, r.Secret)
	mac.Write(raw)
	copy(raw[22:], mac.Sum(nil))
	if spoil != nil {
		spoil(raw)
	}
	sum := md5.New()
	sum.Write(raw)
	sum.Write(r.Secret)
	copy(raw[4:20], sum.Sum(nil))
	return raw
}

// peer is a RADIUS server in a few lines; answer gives the datagrams for one request.
func peer(t *testing.T, answer func(n int, p *radius.Packet) [][]byte) (address string, requests *atomic.Int32) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	requests = &atomic.Int32{}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			p, err := radius.Parse(bytes.Clone(buffer[:n]), []byte("s3cret"))
			if err != nil {
				continue
			}
			for _, reply := range answer(int(requests.Add(1)), p) {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return conn.LocalAddr().String(), requests
}

func testRun(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var o, e strings.Builder
	status = run(ctx, append([]string{"test", "radius"}, args...), strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

func TestRadiusClientBelievesOnlySignedAnswers(t *testing.T) {
	accept := func(spoil func([]byte), attributes func(*radius.Packet)) func(int, *radius.Packet) [][]byte {
		return func(_ int, p *radius.Packet) [][]byte {
			return [][]byte{signedReply(p, radius.CodeAccessAccept, spoil, attributes)}
		}
	}
	tests := []struct {
		name   string
		answer func(int, *radius.Packet) [][]byte
		status int
		want   string
	}{
		{"right", accept(nil, func(p *radius.Packet) {
			_ = rfc2865.FramedIPAddress_Set(p, net.IPv4(198, 51, 100, 7))
			_ = rfc2865.ReplyMessage_SetString(p, "hello\x1b[2Jthere")
		}), 0, "Framed-IP-Address = 198.51.100.7\n  Reply-Message = \"hello\\x1b[2Jthere\""},
		{"wrong Message-Authenticator", accept(func(b []byte) { b[23] ^= 1 }, nil), 1, "wrong signatures"},
		{"no Message-Authenticator", func(_ int, p *radius.Packet) [][]byte {
			raw, _ := p.Response(radius.CodeAccessAccept).Encode()
			return [][]byte{raw}
		}, 1, "wrong signatures"},
		{"another secret", func(_ int, p *radius.Packet) [][]byte {
			p.Secret = []byte("another")
			return [][]byte{signedReply(p, radius.CodeAccessAccept, nil, nil)}
		}, 1, "wrong signatures"},
		{"rubbish, then the answer", func(_ int, p *radius.Packet) [][]byte {
			return [][]byte{{1, 2, 3}, signedReply(p, radius.CodeAccessAccept, func(b []byte) { b[23] ^= 1 }, nil), signedReply(p, radius.CodeAccessAccept, nil, nil)}
		}, 0, "Access-Accept"},
		{"reject", func(_ int, p *radius.Packet) [][]byte {
			return [][]byte{signedReply(p, radius.CodeAccessReject, nil, nil)}
		}, 1, "Access-Reject after"},
		{"silence", func(int, *radius.Packet) [][]byte { return nil }, 1, "does not answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address, _ := peer(t, tt.answer)
			status, out, errs := testRun(t, "alice", "pw", address, "s3cret", "--retry", "80ms", "--tries", "2")
			if status != tt.status || !strings.Contains(out+errs, tt.want) {
				t.Errorf("status %d, want %d: %s%s", status, tt.status, out, errs)
			}
		})
	}
}

func TestRadiusClientSendsTheSameOctetsAgain(t *testing.T) {
	var first []byte
	address, requests := peer(t, func(n int, p *radius.Packet) [][]byte {
		raw, _ := p.Encode()
		if n == 1 {
			first = raw
			return nil
		}
		if !bytes.Equal(raw, first) {
			return nil
		}
		if rfc2865.UserPassword_GetString(p) != "pw" || len(rfc2869.MessageAuthenticator_Get(p)) != 16 || p.Attributes[0].Type != rfc2869.MessageAuthenticator_Type {
			return nil
		}
		return [][]byte{signedReply(p, radius.CodeAccessAccept, nil, nil)}
	})
	status, out, errs := testRun(t, "alice", "pw", address, "s3cret", "--retry", "100ms")
	if status != 0 || !strings.Contains(out, "sent 2 times") || requests.Load() != 2 {
		t.Errorf("status %d, %d requests: %s%s", status, requests.Load(), out, errs)
	}
}

func TestRadiusClientAnswersChallenges(t *testing.T) {
	address, _ := peer(t, func(_ int, p *radius.Packet) [][]byte {
		switch state := rfc2865.State_GetString(p); {
		case state == "" && rfc2865.UserPassword_GetString(p) == "pw":
			return [][]byte{signedReply(p, radius.CodeAccessChallenge, nil, func(r *radius.Packet) { _ = rfc2865.State_SetString(r, "one") })}
		case state == "one":
			return [][]byte{signedReply(p, radius.CodeAccessChallenge, nil, func(r *radius.Packet) { _ = rfc2865.State_SetString(r, "two") })}
		case state == "two" && rfc2865.UserPassword_GetString(p) == "222222":
			return [][]byte{signedReply(p, radius.CodeAccessAccept, nil, nil)}
		}
		return [][]byte{signedReply(p, radius.CodeAccessReject, nil, nil)}
	})
	if status, out, errs := testRun(t, "carol", "pw", address, "s3cret", "--code", "111111", "--code", "222222"); status != 0 || strings.Count(out, "Access-Challenge") != 2 {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	// Without --challenge the question is the end.
	if status, out, _ := testRun(t, "carol", "pw", address, "s3cret"); status != 1 || strings.Count(out, "after") != 1 {
		t.Errorf("status %d: %s", status, out)
	}
}
