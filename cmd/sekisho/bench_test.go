package main

import (
	"context"
	"encoding/base32"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// BenchmarkLogin is one login over all that a login passes in the running service: datagram, checks, look-up, decision
// under the locks, commit to disk, answer. 64 are in flight, each by another person.
func BenchmarkLogin(b *testing.B) {
	b.Run("CodeOnly", func(b *testing.B) {
		const window = 64
		r := startService(b, "log: {level: warn}")
		tok := token.Token{Mode: token.HOTP, Hash: token.SHA1, Digits: 6, Last: token.NoStep}
		var file strings.Builder
		file.WriteString("serial,secret_base32,mode,user\n")
		var seeds [window]token.Seed
		for i := range seeds {
			seeds[i] = token.NewSeed(token.SeedSize)
			fmt.Fprintf(&file, "B%d,%s,hotp,b%d\n", i, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seeds[i]), i)
		}
		if err := r.call(context.Background(), http.MethodPost, "/api/v1/tokens/import", strings.NewReader(file.String()), nil); err != nil {
			b.Fatal(err)
		}
		// What is used again and again is made by the first logins: they are not counted.
		const warm = 128 * window
		total := warm + b.N
		requests := make([][]byte, total)
		for i := range requests {
			requests[i] = benchRequest(b, byte(i%window), fmt.Sprintf("b%d", i%window), tok.Code(seeds[i%window], int64(i/window)))
		}
		conn, err := net.Dial("udp", r.address)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		answer := make([]byte, 4096)
		b.ReportAllocs()
		for i := range window {
			if _, err := conn.Write(requests[i]); err != nil {
				b.Fatal(err)
			}
		}
		next := [window]int{}
		for n := range total {
			if n == warm {
				b.ResetTimer()
			}
			if _, err := conn.Read(answer); err != nil {
				b.Fatal(err)
			}
			if answer[0] != 2 {
				b.Fatalf("code %d to request %d of user %d", answer[0], next[answer[1]], answer[1])
			}
			id := answer[1]
			next[id]++
			if i := next[id]*window + int(id); i < total {
				if _, err := conn.Write(requests[i]); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.StopTimer()
	})
}

// benchRequest is a signed Access-Request with an identifier of the caller's choice.
func benchRequest(b *testing.B, id byte, user, code string) []byte {
	b.Helper()
	client := &radiusClient{user: user, method: "pap", secret: authn.NewSecret([]byte(serveSecret))}
	_, raw, err := client.request(code, nil)
	if err != nil {
		b.Fatal(err)
	}
	raw[1] = id
	clear(raw[22:38])
	copy(raw[22:], client.messageAuthenticator(raw))
	return raw
}
