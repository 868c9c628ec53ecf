package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"sekisho/bench/internal/ldaprelay"
	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/slapd"
)

// sekisho is the product with everything on: policy, events, metrics, limits, SQLite. Its tokens and, without a directory,
// its accounts are imported by its own command, as an operator would.
type sekisho struct {
	path  string // of the program
	name  string // where it is another one than usual
	users int    // where it is not the row's number
	ldap  bool   // passwords are checked by slapd; else the gateway has proved one
	old   bool   // it has a long journal
	// second: beside the directory of the gateway's people there is one of the realm secondRealm, a slapd.
	second bool
	// relayed: the directory is asked through relay.
	relayed bool
	relay   *ldaprelay.Relay

	port      int
	config    string
	directory *directory
}

func (s *sekisho) Name() string {
	switch {
	case s.name != "":
		return s.name
	case s.ldap:
		return nameSekishoLDAP
	}
	return nameSekisho
}

func (s *sekisho) Users(ofRow int) int {
	if s.users > 0 {
		return s.users
	}
	return ofRow
}

func (s *sekisho) Forgets() bool { return false }

// sekishoConfig is complete but for defaults.
var sekishoConfig = template.Must(template.New("sekisho.yaml").Parse(`storage:
  path: {{.Dir}}/data/sekisho.db
  mark: {{.Dir}}/mark/mark
keys:
  file: {{.Dir}}/sealing.key
admin:
  socket: {{.Dir}}/admin.sock
log:
  level: warn
radius:
  listen: ["127.0.0.1:{{.Port}}"]
  listen_accounting: ["127.0.0.1:{{.Accounting}}"]
  clients:
    - name: bench
      addresses: ["127.0.0.1"]
      secret: "{{.Secret}}"
{{- if not .LDAP}}
      first_factor: gateway
directory:
  type: none
{{- if .URL}}
directories:
  - name: second
    type: ldap
    realms: [{{.Realm}}]
    ldap:
      urls: ["{{.URL}}"]
      bind_dn: "{{.ReaderDN}}"
      bind_password: "{{.ReaderPassword}}"
      base_dn: "{{.People}}"
      user_filter: "(uid=%s)"
{{- end}}
policies:
{{- if .URL}}
  - name: second
    directories: [second]
    first_factor: password
    code: joined
{{- end}}
  - name: code-only
    first_factor: gateway
{{- else}}
directory:
  type: ldap
  ldap:
    urls: ["{{.URL}}"]
    bind_dn: "{{.ReaderDN}}"
    bind_password: "{{.ReaderPassword}}"
    base_dn: "{{.People}}"
    user_filter: "(uid=%s)"
policies:
  - name: password-and-code
    first_factor: password
    code: joined
{{- end}}
login:
  hotp_lookahead: {{.Lookahead}}
`))

// secondRealm is what stands behind the names of people of the second directory.
const secondRealm = "SECOND"

func (s *sekisho) Prepare(ctx context.Context, dir string, r *row, users int) (err error) {
	for _, folder := range []string{"data", "mark"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			return err
		}
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	accounting, err := freePort()
	if err != nil {
		return err
	}
	url := ""
	if s.ldap || s.second {
		if s.directory, err = newDirectory(dir, users); err != nil {
			return err
		}
		url = s.directory.URL()
	}
	if s.relayed {
		if s.relay, err = ldaprelay.New(s.directory.Addr()); err != nil {
			return err
		}
		url = s.relay.URL()
	}
	lookahead := 5
	if r.unanswered {
		lookahead = 50
	}
	s.config = filepath.Join(dir, "sekisho.yaml")
	if err := writeFile(s.config, func(w io.Writer) error {
		return sekishoConfig.Execute(w, map[string]any{
			"Dir": dir, "Port": s.port, "Accounting": accounting, "Secret": secret, "LDAP": s.ldap, "URL": url,
			"Realm": secondRealm, "Lookahead": lookahead,
			"People": otpgen.People, "ReaderDN": slapd.ReaderDN, "ReaderPassword": slapd.ReaderPassword,
		})
	}); err != nil {
		return err
	}
	if err := s.command(ctx, "keys", "new", filepath.Join(dir, "sealing.key")); err != nil {
		return err
	}
	if err := s.command(ctx, "check-config", s.config); err != nil {
		return err
	}
	return s.fill(ctx, dir, r.kind, users)
}

// fill imports the tokens into a server that runs for this alone.
func (s *sekisho) fill(ctx context.Context, dir, kind string, users int) error {
	tokens := filepath.Join(dir, "tokens.csv")
	if err := writeFile(tokens, func(w io.Writer) error { return otpgen.WriteCSV(w, seed, kind, users) }); err != nil {
		return err
	}
	_, parts, err := s.Start(dir)
	if err == nil {
		err = s.healthy(ctx, parts)
	}
	if err == nil {
		err = s.command(ctx, "token", "import", tokens, "--config", s.config)
	}
	_, stopErr := stopAll(parts)
	if err != nil {
		return err
	}
	return stopErr
}

// healthy waits until the server says that it is well.
func (s *sekisho) healthy(ctx context.Context, parts []*process) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		if err := parts[0].ended(); err != nil {
			return err
		}
		err := s.command(ctx, "health", "--config", s.config)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("after %v: %w\n%s", startTime, err, parts[0].tail())
		}
		wait(ctx, warmup)
	}
}

// command runs the product's command to its end.
func (s *sekisho) command(ctx context.Context, args ...string) error {
	said, err := exec.CommandContext(ctx, s.path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("sekisho %s: %w\n%s", strings.Join(args, " "), err, said)
	}
	return nil
}

func (s *sekisho) Start(dir string) (int, []*process, error) {
	start := func() (*process, error) { return launch("sekisho", dir, true, s.path, "serve", "--config", s.config) }
	if s.directory == nil {
		return startBehind(s.port, start)
	}
	return startBehind(s.port, start, s.directory.start)
}
