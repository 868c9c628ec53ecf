package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"sekisho/admin"
)

// api calls the service over its local socket, or over the network with an API key. There is no timeout of its own: the
// service bounds what it does, and a signal ends the command.
type api struct {
	socket string
	base   string // URL of the service; of the local socket, a name for it
	key    string // API key; empty: the kernel says who calls
	http   *http.Client
}

func (a *app) api() *api {
	if server := cmp.Or(a.server, os.Getenv("SEKISHO_SERVER")); server != "" {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		if a.caFile != "" {
			transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities(a.caFile)}
		}
		return &api{base: strings.TrimSuffix(server, "/"), key: os.Getenv("SEKISHO_API_KEY"), http: &http.Client{Transport: transport, CheckRedirect: noRedirect}}
	}
	socket := socketOf(a.socket, a.config)
	return &api{socket: socket, base: "http://sekisho", http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// noRedirect follows none: an API key goes nowhere but to the server that was named.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// authorities reads a file of certificates; one that cannot be read trusts nobody, and the connection says so.
func authorities(path string) *x509.CertPool {
	pool := x509.NewCertPool()
	if pem, err := os.ReadFile(path); err == nil {
		pool.AppendCertsFromPEM(pem)
	}
	return pool
}

// call sends body as JSON (or as it is, when it is a reader) and decodes the answer into reply, which may be nil.
func (c *api) call(ctx context.Context, method, path string, body, reply any) error {
	res, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("the service broke off its answer: %w", err)
	}
	if reply == nil {
		return nil
	}
	if raw, ok := reply.(*json.RawMessage); ok {
		*raw = text
		return nil
	}
	err = json.Unmarshal(text, reply)
	if err != nil {
		return fmt.Errorf("the service gave an answer that this program does not understand (another version?): %w", err)
	}
	return nil
}

// upload is a body that is not JSON.
type upload struct {
	kind string // its media type
	io.Reader
}

func (c *api) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case upload:
		reader, kind = b, b.kind
	case io.Reader:
		reader, kind = b, "text/csv"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	if err := c.safe(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return nil, err
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if reader != nil {
		req.Header.Set("Content-Type", kind)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	return nil, refusal(res)
}

// safe refuses to send a key, or anything that an operator types, in the clear.
func (c *api) safe() error {
	if c.socket != "" {
		return nil
	}
	u, err := url.Parse(c.base)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return usageError{fmt.Errorf("--server %q is no address; write it like https://otp-admin.example.com:8443", c.base)}
	case u.Scheme == "http" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
		return usageError{fmt.Errorf("--server %s would carry the key in the clear; give an https:// address", c.base)}
	case c.key == "":
		return errors.New("no API key: put one that 'sekisho operator key make' showed into SEKISHO_API_KEY")
	}
	return nil
}

// unreachable says why nobody answered and what to do.
func (c *api) unreachable(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return statusError(1)
	case c.socket != "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)):
		return fmt.Errorf(wordNoService, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf(wordNoSocketRight, c.socket)
	}
	return fmt.Errorf("speaking to the service on %s: %w", cmp.Or(c.socket, c.base), err)
}

// refusal reads a problem as sentences for people.
func refusal(res *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("the service broke off its answer: %w", err)
	}
	var p admin.Problem
	if json.Unmarshal(text, &p) != nil || p.Detail == "" {
		return fmt.Errorf("the service answered %s", res.Status)
	}
	return sentences(&p)
}

// sentences makes an error for people of a problem.
func sentences(p *admin.Problem) error {
	var b strings.Builder
	b.WriteString(p.Detail)
	for _, e := range p.Errors {
		b.WriteString("\n  " + strings.TrimPrefix(e.Where+": ", ": ") + e.Problem)
	}
	return errors.New(b.String())
}
