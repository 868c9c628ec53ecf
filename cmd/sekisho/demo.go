package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sekisho/admin"
	"sekisho/directory"
	"sekisho/operator"
	"sekisho/token"
)

func (a *app) demoCommand() *cobra.Command {
	var program bool
	cmd := &cobra.Command{
		Use: "demo [--exec CMD...]", Short: "Run everything on loopback in a temporary folder, with users to try",
		Long: "Without --exec it stays up and prints what to try. With --exec it runs CMD with SEKISHO_RADIUS_HOST, _RADIUS_PORT,\n" +
			"_RADIUS_ACCT_PORT, _RADIUS_SECRET, _ADMIN_URL, _ADMIN_TOKEN, _SELFSERVICE_URL, _METRICS_URL, _CONFIG, _BIN and, for each user NAME, SEKISHO_PASSWORD_NAME (frank's\n" +
			"is his PIN) and SEKISHO_OTPAUTH_NAME, and ends with CMD's status: a throw-away instance for anybody's tests.",
		Example: "  sekisho demo\n  sekisho demo --exec sh -c 'radtest dave 123456 $SEKISHO_RADIUS_HOST:$SEKISHO_RADIUS_PORT 0 $SEKISHO_RADIUS_SECRET'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if program != (len(args) > 0) {
				return usageError{errors.New("give a command behind --exec, or neither")}
			}
			return a.demo(cmd.Context(), args)
		},
	}
	cmd.Flags().BoolVar(&program, "exec", false, "run the command that follows, and end with it")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// demoUser is one of the people of the demo.
type demoUser struct {
	name, group string
	how         string // what they type, for people
	hardware    bool
	noToken     bool
	pin         bool   // the directory has no password of theirs
	secret      string // what they know: the password, or the PIN
	seed        token.Seed
	token       token.Token
}

const demoIssuer = "Sekisho demo"

func demoUsers() []*demoUser {
	users := []*demoUser{
		{name: "alice", group: "exempt", how: "password alone; her group needs no code", noToken: true},
		{name: "bob", group: "joined", how: "password and code in one field"},
		{name: "carol", group: "challenge", how: "password, then the code when asked"},
		{name: "dave", group: "code-only", how: "code alone"},
		{name: "erin", group: "joined", how: "password and code of a hardware token in one field", hardware: true},
		{name: "frank", group: "pin", how: "PIN and code in one field", pin: true},
	}
	for _, u := range users {
		u.secret = u.name + "-" + strings.ToLower(rand.Text()[:8])
		if u.pin {
			u.secret = demoPIN
		}
		if u.noToken {
			continue
		}
		u.seed = token.NewSeed(token.SeedSize)
		u.token = token.Token{Form: token.Software, Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30, Last: token.NoStep}
		if u.hardware {
			u.token = token.Token{Form: token.Hardware, Serial: "DEMO0001", Mode: token.HOTP, Hash: token.SHA1, Digits: 6, Last: token.NoStep}
		}
	}
	return users
}

// demoPIN is short and fixed, as something to remember.
const demoPIN = "7391"

const demoConfig = `# Written by 'sekisho demo'; gone when it ends.
storage:
  path: %[1]s/data/sekisho.db
  mark: %[1]s/mark
  free_space: -1
keys:
  file: %[1]s/sealing.key
radius:
  listen: 127.0.0.1:%[2]d
  listen_accounting: 127.0.0.1:%[3]d
  clients:
    - name: demo
      addresses: 127.0.0.1
      secret: %[4]s
      message_authenticator: "off"
      challenge: plain
directory:
  type: file
  file:
    file: %[1]s/users.yaml
policies:
  - name: exempt
    groups: [exempt]
    exempt_groups: [exempt]
  - name: joined
    groups: [joined]
  - name: challenge
    groups: [challenge]
    code: challenge
  - name: code-only
    groups: [code-only]
    first_factor: none
    accept_one_factor: this is a demonstration on one machine
  - name: pin
    groups: [pin]
    first_factor: pin
enroll:
  issuer: ` + demoIssuer + `
admin:
  socket: %[1]s/admin.sock
  listen: 127.0.0.1:%[7]d
  url: http://127.0.0.1:%[7]d
self_service:
  listen: 127.0.0.1:%[8]d
  url: http://127.0.0.1:%[8]d
  organization: ` + demoIssuer + `
metrics:
  listen: 127.0.0.1:%[5]d
log:
  level: %[6]s
`

// demo makes a throw-away installation through the same doors that operators use, and runs it.
func (a *app) demo(ctx context.Context, command []string) (err error) {
	dir, err := os.MkdirTemp("", "sekisho-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, unregister := signal.NotifyContext(ctx, syscall.SIGHUP) // a terminal that closes leaves no folder behind
	defer unregister()
	users := demoUsers()
	ports, err := freePorts(5)
	if err != nil {
		return err
	}
	secret := strings.ToLower(rand.Text())
	level := "info"
	if len(command) > 0 {
		level = "error"
	}
	configFile := filepath.Join(dir, "sekisho.yaml")
	config := fmt.Sprintf(demoConfig, dir, ports[0], ports[1], secret, ports[2], level, ports[3], ports[4])
	if err := demoFiles(dir, configFile, config, users); err != nil {
		return err
	}
	c, _, err := loadConfig(configFile, nil)
	if err != nil {
		return err
	}
	s, err := open(ctx, c, newLog(a.err, c.Log))
	if err != nil {
		return err
	}
	inner, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.run(inner) }()
	link, key, err := a.demoLife(ctx, c, users)
	if err == nil {
		client := radiusClient{address: fmt.Sprintf("127.0.0.1:%d", ports[0]), method: "pap", secret: c.Radius.Clients[0].Secret, retry: time.Second, tries: 5}
		if len(command) > 0 {
			err = a.demoExec(ctx, command, demoEnvironment(users, ports, secret, key, configFile))
		} else {
			err = a.demoShow(ctx, &client, users, configFile, secret, c.SelfService.URL, link)
		}
	}
	stop()
	return errors.Join(err, <-ended)
}

func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for len(ports) < n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // held until all are found, so that they differ
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue
		}
		_ = u.Close()
		ports = append(ports, port)
	}
	return ports, nil
}

func demoFiles(dir, configFile, config string, users []*demoUser) error {
	if err := token.NewOuterKeyFile(filepath.Join(dir, "sealing.key")); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	var b strings.Builder
	b.WriteString("users:\n")
	for _, u := range users {
		fmt.Fprintf(&b, "  - name: %s\n    groups: [%s]\n", u.name, u.group)
		if u.pin {
			continue
		}
		hash, err := directory.HashPassword(u.secret)
		if err != nil {
			return fmt.Errorf("hashing a password of the demo: %w", err)
		}
		fmt.Fprintf(&b, "    password: %q\n", hash)
	}
	if err := os.WriteFile(filepath.Join(dir, "users.yaml"), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("writing the users of the demo: %w", err)
	}
	if err := os.WriteFile(configFile, []byte(config), 0o600); err != nil {
		return fmt.Errorf("writing the configuration of the demo: %w", err)
	}
	return nil
}

// demoLife imports the tokens, sets the PIN and makes alice a master through the admin API. link opens the console to her, once;
// key opens the API to programs.
func (a *app) demoLife(ctx context.Context, c *Config, users []*demoUser) (link, key string, err error) {
	a.socket = c.Admin.Socket
	api := a.api()
	var csv strings.Builder
	csv.WriteString("serial,secret_base32,mode,period,form,user\n")
	for _, u := range users {
		if u.noToken {
			continue
		}
		period := ""
		if u.token.Period > 0 {
			period = fmt.Sprint(u.token.Period)
		}
		fmt.Fprintf(&csv, "%s,%s,%s,%s,%s,%s\n", u.token.Serial, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(u.seed),
			u.token.Mode, period, u.token.Form, u.name)
	}
	if err := api.call(ctx, http.MethodPost, "/api/v1/tokens/import?source=demo", strings.NewReader(csv.String()), nil); err != nil {
		return "", "", fmt.Errorf("giving the demo its tokens: %w", err)
	}
	for _, u := range users {
		if !u.pin {
			continue
		}
		if err := api.call(ctx, http.MethodPut, "/api/v1/users/"+u.name+"/pin", map[string]string{"pin": u.secret}, nil); err != nil {
			return "", "", fmt.Errorf("giving the demo its PIN: %w", err)
		}
	}
	var made admin.OperatorLink
	err = api.call(ctx, http.MethodPost, "/api/v1/operators", map[string]string{"name": "alice", "role": operator.Master.String()}, nil)
	if err == nil {
		err = api.call(ctx, http.MethodPost, "/api/v1/operators/alice/link", struct{}{}, &made)
	}
	if err != nil {
		return "", "", fmt.Errorf("giving the demo its operator: %w", err)
	}
	rights := slices.DeleteFunc(operator.Rights(), func(r operator.Right) bool { // these are for people alone
		return r == operator.Operators || r == operator.ExportSeeds || r == operator.Keys
	})
	var program admin.APIKey
	err = api.call(ctx, http.MethodPost, "/api/v1/keys", map[string]any{
		"name": "demo", "role": operator.Master.String(), "rights": rights, "expires": time.Now().Add(24 * time.Hour),
	}, &program)
	if err != nil {
		return "", "", fmt.Errorf("giving the demo its API key: %w", err)
	}
	return made.Link, program.Secret, nil
}

func demoEnvironment(users []*demoUser, ports []int, secret, key, config string) []string {
	bin, err := os.Executable()
	if err != nil {
		bin = os.Args[0]
	}
	env := []string{
		"SEKISHO_RADIUS_HOST=127.0.0.1", fmt.Sprintf("SEKISHO_RADIUS_PORT=%d", ports[0]), fmt.Sprintf("SEKISHO_RADIUS_ACCT_PORT=%d", ports[1]),
		"SEKISHO_RADIUS_SECRET=" + secret, fmt.Sprintf("SEKISHO_ADMIN_URL=http://127.0.0.1:%d", ports[3]), "SEKISHO_ADMIN_TOKEN=" + key,
		fmt.Sprintf("SEKISHO_SELFSERVICE_URL=http://127.0.0.1:%d", ports[4]),
		fmt.Sprintf("SEKISHO_METRICS_URL=http://127.0.0.1:%d/metrics", ports[2]), "SEKISHO_CONFIG=" + config, "SEKISHO_BIN=" + bin,
		"SEKISHO_SOCKET=" + filepath.Join(filepath.Dir(config), "admin.sock"),
	}
	for _, u := range users {
		name := strings.ToUpper(u.name)
		env = append(env, "SEKISHO_PASSWORD_"+name+"="+u.secret)
		uri := ""
		if !u.noToken {
			uri = token.FormatURI(&u.token, u.seed, demoIssuer, u.name)
		}
		env = append(env, "SEKISHO_OTPAUTH_"+name+"="+uri)
	}
	return env
}

func (a *app) demoExec(ctx context.Context, command, environment []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out, a.err
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return statusError(exit.ExitCode())
	case errors.As(err, &exit):
		return statusError(128 + int(exit.Sys().(syscall.WaitStatus).Signal()))
	case err != nil:
		return fmt.Errorf("running %s: %w", command[0], err)
	}
	return nil
}

// demoShow prints what to try, logs one user in over UDP to show that it is real, and shows live codes until it ends.
func (a *app) demoShow(ctx context.Context, client *radiusClient, users []*demoUser, config, secret, pages, link string) error {
	bin := os.Args[0]
	fmt.Fprintf(a.out, "\nSekisho runs on this machine alone. RADIUS is at %s, the shared secret is %s.\n\n", client.address, secret)
	var rows strings.Builder
	for _, u := range users {
		fmt.Fprintf(&rows, "  %-6s %-16s %s\n", u.name, u.secret, u.how)
	}
	fmt.Fprintf(a.out, "%s\nPages for people: %s (bob, with his password and a code)\n", rows.String(), pages)
	fmt.Fprintf(a.out, "Console: %s\n  opens once, for alice: it gives her a token, with which she signs in as a master\n", link)
	fmt.Fprint(a.out, "\nTry, in another terminal:\n")
	fmt.Fprintf(a.out, "  %s test radius alice %s %s %s\n", bin, users[0].secret, client.address, secret)
	fmt.Fprintf(a.out, "  %s test radius bob %sCODE %s %s\n", bin, users[1].secret, client.address, secret)
	fmt.Fprintf(a.out, "  %s test radius carol %s %s %s --challenge\n", bin, users[2].secret, client.address, secret)
	for _, c := range []string{"logins --follow", "token list", "user show bob", "token enroll alice"} {
		fmt.Fprintf(a.out, "  %s %s --config %s\n", bin, c, config)
	}
	erin := users[4]
	client.user = erin.name
	fmt.Fprintf(a.out, "\nOne real login over UDP, %s with the first code of her token:\n", erin.name)
	if _, err := a.dialogue(ctx, client, erin.secret+erin.token.Code(erin.seed, 0), nil); err != nil {
		return err
	}
	fmt.Fprintln(a.out, "\nCodes now (each opens once; Ctrl-C ends everything):")
	for {
		now := time.Now()
		line := now.Format("15:04:05")
		for _, u := range users {
			if !u.noToken && !u.hardware {
				line += "   " + u.name + " " + u.token.Code(u.seed, u.token.StepAt(now))
			}
		}
		fmt.Fprintln(a.out, line)
		next := now.Truncate(30 * time.Second).Add(30 * time.Second)
		if !wait(ctx, time.Until(next)) {
			return nil
		}
	}
}
