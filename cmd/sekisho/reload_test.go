package main

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"sekisho/admin"
	"sekisho/authn"
	"sekisho/internal/conf"
	"sekisho/internal/testenv"
	"sekisho/storage"
	"sekisho/token"
)

// reloadSite is a service with a file directory whose configuration a test rewrites.
type reloadSite struct {
	t    *testing.T
	dir  string
	auth int
	*service
	lines *logBuffer
	stop  func() // begins the stop, which the end of the test waits for
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// configuration is the site's file: keys and sections beside those that keep it apart from other tests.
func (r *reloadSite) configuration(clients, policies, more string) string {
	return fmt.Sprintf(`storage: {path: %[1]s/data/sekisho.db, mark: %[1]s/mark, free_space: -1, ballast: -1}
keys: {file: %[1]s/sealing.key}
radius:
  listen: 127.0.0.1:%[2]d
  listen_accounting: 127.0.0.1:0
  clients:
%[3]s
directory: {type: file, file: {file: %[1]s/users.yaml}}
policies:
%[4]s
admin: {socket: %[1]s/admin.sock}
%[5]s
`, r.dir, r.auth, clients, policies, more)
}

const (
	reloadGW     = "    - {name: gw, addresses: 127.0.0.1, secret: reload-secret-0123456789abcdef, first_factor: gateway, reject_delay: 100ms}"
	reloadPolicy = "  - {name: all, first_factor: gateway}"
)

func newReloadSite(t *testing.T) *reloadSite {
	t.Helper()
	r := &reloadSite{t: t, dir: t.TempDir(), auth: testenv.Port(t), lines: &logBuffer{}}
	if err := token.NewOuterKeyFile(filepath.Join(r.dir, "sealing.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.users("annie")
	r.write(reloadGW, reloadPolicy, "")
	config, _, err := loadConfig(filepath.Join(r.dir, "sekisho.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	log, level := newLeveledLog(r.lines, config.Log)
	ctx, stop := context.WithCancel(context.Background())
	if r.service, err = open(ctx, config, log); err != nil {
		stop()
		t.Fatal(err)
	}
	r.level, r.stop = level, stop
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	return r
}

func (r *reloadSite) write(clients, policies, more string) {
	r.t.Helper()
	writeConfig(r.t, r.dir, r.configuration(clients, policies, more))
}

func (r *reloadSite) users(names ...string) {
	r.t.Helper()
	text := "users:\n"
	for _, n := range names {
		text += "  - name: " + n + "\n"
	}
	if err := os.WriteFile(filepath.Join(r.dir, "users.yaml"), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reloadSite) knows(name string) bool {
	_, err := r.parts.Load().directories[0].Directory.Lookup(r.t.Context(), []byte(name))
	return err == nil
}

// must reloads and gives the changes as text.
func (r *reloadSite) must() (string, admin.Reloaded) {
	r.t.Helper()
	done, err := r.reload(r.t.Context(), "tester")
	if err != nil {
		r.t.Fatalf("%v: %v", err, faultsOf(err))
	}
	var lines []string
	for _, c := range done.Changes {
		lines = append(lines, conf.Change(c).String())
	}
	return strings.Join(lines, "\n"), done
}

// TestReload changes one thing after the other; each holds at once and is named, and nothing else is.
func TestReload(t *testing.T) {
	r := newReloadSite(t)
	if text, _ := r.must(); text != "" {
		t.Errorf("nothing was changed, and yet: %s", text)
	}
	before := r.parts.Load()

	r.write(strings.Replace(reloadGW, "reload-secret", "another-secret", 1)+"\n    - {name: b, addresses: 127.0.0.2, secret: reload-secret-0123456789abcdef, first_factor: gateway}",
		reloadPolicy+"\n  - {name: rest, deny: true}", "limits: {preset: strict}\nlog: {level: debug, format: json}\nmetrics: {listen: 127.0.0.1:1}\nenroll: {issuer: Example}")
	text, done := r.must()
	for _, want := range []string{
		"radius.clients: [gw] -> [gw, b]", "radius.clients[gw].secret: [hidden] -> [changed]", "radius.clients[b]: (none) -> [an entry]",
		"policies: [all] -> [all, rest]", "policies[rest]: (none) -> [an entry]", "limits.preset: normal -> strict", "log.level: info -> debug",
		"enroll.issuer: Sekisho -> Example",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the changes\n%s\nlack %q", text, want)
		}
	}
	if len(done.Changes) != 8 || !slices.Equal(done.Restart, []string{"metrics.listen", "log.format"}) {
		t.Errorf("%d changes:\n%s\nand for a restart: %q", len(done.Changes), text, done.Restart)
	}
	after := r.parts.Load()
	if len(after.login.Policies) != 2 || after.login.Limits != after.config.limits() || after.api.Issuer != "Example" || r.level.Level() != slog.LevelDebug {
		t.Error("not everything of the new configuration holds")
	}
	if &after.directories[0] != &before.directories[0] {
		t.Error("directories that did not change were opened anew")
	}
	if after.config.Metrics.Listen != "" || after.config.Log.Format != "text" {
		t.Error("a key that needs a restart holds already")
	}
	if text, done := r.must(); text != "" || len(done.Restart) != 2 {
		t.Errorf("the same again: %q, restart %q", text, done.Restart)
	}
	if strings.Contains(r.lines.String(), "secret-0123") {
		t.Error("the log holds a secret")
	}

	r.users("annie", "bert")
	if text, _ := r.must(); !strings.Contains(text, "users.yaml [its content has changed]") || !r.knows("bert") {
		t.Errorf("a changed file of users: %q", text)
	}
	events, err := r.db.Logins(t.Context(), storage.LoginFilter{Acts: true, Limit: 1})
	if err != nil || len(events) == 0 || events[0].Act != "config.reload" || events[0].Actor != "tester" {
		t.Errorf("the reload is not in the journal: %v %v", events, err)
	}
}

// TestReloadAllOrNothing breaks the configuration in one place after the other, the last ones where only building shows it.
func TestReloadAllOrNothing(t *testing.T) {
	r := newReloadSite(t)
	for _, tt := range []struct{ name, clients, policies, more, want string }{
		{"no YAML", "    - {name: [", reloadPolicy, "", "sekisho.yaml:"},
		{"an unknown key", reloadGW, reloadPolicy, "limit: {preset: strict}", `unknown key "limit"; did you mean "limits"?`},
		{"two faults", strings.Replace(reloadGW, "127.0.0.1", "127.0.0.300", 1), reloadPolicy, "log: {level: loud}", "log.level"},
		{"a policy without its client", reloadGW, "  - {name: all, first_factor: gateway, clients: [nobody]}", "", `no client or service "nobody"`},
		{"a secret file that is gone", strings.Replace(reloadGW, "secret: reload-secret-0123456789abcdef", "secret_file: /nonexistent", 1), reloadPolicy, "", "secret_file"},
		{"a directory that cannot be opened", reloadGW, reloadPolicy, "directories: [{type: ldap, name: x, realms: [x], ldap: {urls: [ldaps://d.example], base_dn: dc=x, ca_file: /nonexistent}}]", "ca_file"},
	} {
		before := r.parts.Load()
		r.write(tt.clients, tt.policies, tt.more)
		_, err := r.reload(t.Context(), "tester")
		if text := fmt.Sprint(faultsOrNil(err)); !strings.Contains(text, tt.want) {
			t.Errorf("%s: %s lacks %q", tt.name, text, tt.want)
		}
		if r.parts.Load() != before {
			t.Errorf("%s: something was replaced", tt.name)
		}
	}
	// What check has passed and building meets: the file is gone between the two.
	r.write(reloadGW, reloadPolicy, "")
	running := r.parts.Load()
	broken := *running.config
	broken.Directory.File.File = filepath.Join(r.dir, "gone.yaml")
	if _, err := r.build(&broken, running, false); err == nil {
		t.Error("a directory without its file was opened")
	}
	if !strings.Contains(r.lines.String(), "the configuration was not reloaded; the former one goes on") {
		t.Error("the log does not tell")
	}
}

func faultsOrNil(err error) []admin.Place {
	bad, _ := errors.AsType[admin.BadConfig](err)
	return bad
}

// TestReloadUnderLoad reloads 50 times, every fifth time with a fault, while people log in over UDP. Each gets an answer,
// and each answer is of one configuration: Class and policy change together.
func TestReloadUnderLoad(t *testing.T) {
	r := newReloadSite(t)
	api := (&app{socket: r.parts.Load().config.Admin.Socket}).api()
	t.Cleanup(api.http.CloseIdleConnections)
	const workers, each = 3, 40
	names := make([]string, workers)
	for i := range names {
		names[i] = fmt.Sprintf("user%d", i)
	}
	r.users(names...)
	if _, err := r.reload(t.Context(), "tester"); err != nil {
		t.Fatal(err)
	}
	hotp := token.Token{Mode: token.HOTP, Hash: token.SHA1, Digits: 6, Last: token.NoStep}
	seeds := make([]token.Seed, workers)
	file := "serial,secret_base32,mode,user\n"
	for i, name := range names {
		seeds[i] = token.NewSeed(token.SeedSize)
		file += fmt.Sprintf("L%d,%s,hotp,%s\n", i, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seeds[i]), name)
	}
	if err := api.call(t.Context(), http.MethodPost, "/api/v1/tokens/import", strings.NewReader(file), nil); err != nil {
		t.Fatal(err)
	}

	r.write(reloadGW, "  - {name: first, first_factor: gateway, reply: {Class: first, Filter-Id: first}}", "")
	r.must()
	var load sync.WaitGroup
	for i, name := range names {
		load.Go(func() {
			c := &radiusClient{address: fmt.Sprintf("127.0.0.1:%d", r.auth), user: name, method: "pap",
				secret: authn.NewSecret([]byte("reload-secret-0123456789abcdef")), retry: 5 * time.Second, tries: 5}
			for n := range each {
				reply, _, err := c.exchange(t.Context(), hotp.Code(seeds[i], int64(n)), nil)
				if err != nil || reply.Code != layeh.CodeAccessAccept {
					t.Errorf("%s, login %d: %v %v", name, n, reply, err)
					return
				}
				class, filter := string(rfc2865.Class_Get(reply)), rfc2865.FilterID_GetString(reply)
				if class == "" || class != filter {
					t.Errorf("an answer of two configurations: Class %q, Filter-Id %q", class, filter)
				}
			}
		})
	}
	for n := range 50 {
		policy := fmt.Sprintf("  - {name: v%d, first_factor: gateway, reply: {Class: v%d, Filter-Id: v%d}}", n, n, n)
		if n%5 == 4 {
			policy = "  - {name: broken, first_factor: gateway, reply: {Clas: x}}"
		}
		r.write(reloadGW, policy, "")
		if _, err := r.reload(t.Context(), "tester"); (err != nil) != (n%5 == 4) {
			t.Errorf("reload %d: %v", n, err)
		}
	}
	load.Wait()
}

// TestFixedKeys: keepFixed and the list of fixed keys name the same keys.
func TestFixedKeys(t *testing.T) {
	r := newReloadSite(t)
	running := r.parts.Load().config
	other := *running
	other.Storage.Path, other.Keys.File, other.Metrics.Listen, other.Log.Format = "x", "x", "x", "json"
	other.Radius.Listen, other.Radius.ListenAccounting, other.Admin.Socket = []string{"x"}, []string{"x"}, "x"
	other.Log.Level, other.Enroll.Issuer = "debug", "x"
	doc := conf.Parse(&Config{}, "x", nil)
	was := doc.Values(running)
	var changed []string
	for _, c := range conf.Diff(was, doc.Values(&other)) {
		changed = append(changed, c.Key)
	}
	if len(changed) != 9 {
		t.Fatalf("changed: %q", changed)
	}
	other.keepFixed(running)
	for _, c := range conf.Diff(was, doc.Values(&other)) {
		if below(c.Key, fixed...) {
			t.Errorf("%s is to hold until a restart, but keepFixed lets it go", c.Key)
		}
	}
}

// TestFollowersLetGo: whoever follows logins does not hold up the stop.
func TestFollowersLetGo(t *testing.T) {
	r := newReloadSite(t)
	api := (&app{socket: r.parts.Load().config.Admin.Socket}).api()
	t.Cleanup(api.http.CloseIdleConnections)
	res, err := api.send(t.Context(), http.MethodGet, "/api/v1/logins?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	_, err = io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Errorf("the stream was broken off: %v", err)
	}
}
