package main

import (
	"bytes"
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/internal/testenv"
	"sekisho/token"
)

const serveSecret = "serve-test-secret-0123456789abcdef"

// running is a whole service in this process, with one user annie who holds token H1 and types its code alone.
type running struct {
	*api
	address string
	hotp    token.Token
	seed    token.Seed
}

func startService(t testing.TB, more ...string) *running {
	t.Helper()
	return startSite(t, "first_factor: gateway", "first_factor: gateway", more...)
}

// startSite is startService with the keys of its one client and its one policy.
func startSite(t testing.TB, client, policy string, more ...string) *running {
	t.Helper()
	dir := t.TempDir()
	r := &running{seed: token.NewSeed(token.SeedSize), hotp: token.Token{Mode: token.HOTP, Hash: token.SHA1, Digits: 6, Last: token.NoStep}}
	if err := token.NewOuterKeyFile(filepath.Join(dir, "sealing.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	auth, acct := testenv.Port(t), testenv.Port(t)
	path := writeConfig(t, dir, fmt.Sprintf(`storage: {path: %[1]s/data/sekisho.db, mark: %[1]s/mark, free_space: -1, ballast: -1}
keys: {file: %[1]s/sealing.key}
radius:
  listen: 127.0.0.1:%[2]d
  listen_accounting: 127.0.0.1:%[3]d
  clients: [{name: gw, addresses: 127.0.0.1, secret: %[4]s, %[6]s, reject_delay: 100ms}]
directory: {type: none}
policies: [{name: all, %[7]s}]
admin: {socket: %[1]s/admin.sock}
%[5]s
`, dir, auth, acct, serveSecret, strings.Join(more, "\n"), client, policy))
	r.api = serving(t, path).api
	r.address = fmt.Sprintf("127.0.0.1:%d", auth)
	file := "serial,secret_base32,mode,user\nH1," + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(r.seed) + ",hotp,annie\n"
	if err := r.call(t.Context(), http.MethodPost, "/api/v1/tokens/import", strings.NewReader(file), nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// inProcess is a service that runs in this process until the test ends.
type inProcess struct {
	*service
	api *api
}

// serving starts the service of a configuration file.
func serving(t testing.TB, path string) *inProcess {
	t.Helper()
	config, _, err := loadConfig(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s, err := open(ctx, config, newLog(io.Discard, config.Log))
	if err != nil {
		stop()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	api := (&app{socket: config.Admin.Socket}).api()
	t.Cleanup(api.http.CloseIdleConnections)
	return &inProcess{s, api}
}

// gateway sends octets from one port, as a gateway does that repeats a request.
type gateway struct{ conn net.Conn }

func (g gateway) ask(t *testing.T, raw []byte, most time.Duration) []byte {
	t.Helper()
	if _, err := g.conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	_ = g.conn.SetReadDeadline(time.Now().Add(most))
	buffer := make([]byte, 4096)
	n, err := g.conn.Read(buffer)
	if err != nil {
		return nil
	}
	return buffer[:n]
}

// TestNothingOpensAfterRevocation sends the packet of an accepted login again (S13): before the revocation the same
// octets come back; once the revocation is acknowledged there is silence.
func TestNothingOpensAfterRevocation(t *testing.T) {
	r := startService(t)
	client := &radiusClient{user: "annie", method: "pap", secret: authn.NewSecret([]byte(serveSecret))}
	_, raw, err := client.request(r.hotp.Code(r.seed, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	g := gateway{conn}
	first := g.ask(t, raw, 10*time.Second)
	if len(first) == 0 || first[0] != 2 {
		t.Fatalf("no Access-Accept: %x", first)
	}
	if again := g.ask(t, raw, 10*time.Second); !bytes.Equal(first, again) {
		t.Fatalf("the repeated packet got %x, not %x", again, first)
	}
	if err := r.call(t.Context(), http.MethodPost, "/api/v1/tokens/H1/revoke", map[string]string{}, nil); err != nil {
		t.Fatal(err)
	}
	if again := g.ask(t, raw, 500*time.Millisecond); again != nil {
		t.Errorf("after the revocation the same packet got code %d", again[0])
	}
}
