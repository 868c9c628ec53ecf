// Package freeradius writes configurations of FreeRADIUS 3.2 to measure against: its good side, with a minimal virtual
// server, no delay of rejects and up to 16 threads. All that it takes from the distribution are the dictionaries, the
// modules and, for SQL, the queries.
package freeradius

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// Kind is what the server checks.
type Kind string

// The kinds. Debian's rlm_totp takes no options: the current step alone, and it forgets which codes were used.
const (
	TOTP     Kind = "totp"      // rlm_totp
	LDAPTOTP Kind = "ldap+totp" // rlm_ldap search and bind, then rlm_totp
	SQLTOTP  Kind = "sql+totp"  // rlm_totp, and each login inserted into PostgreSQL's radpostauth
	PAM      Kind = "pam"       // rlm_pam: one-time password modules of PAM
)

// Config is one instance. Its secret is testing123.
type Config struct {
	Dir      string // where everything goes
	Port     int    // on 127.0.0.1
	Kind     Kind
	Users    string // users file as otpgen.WriteFreeRADIUS writes it; not for PAM
	LDAPURL  string
	LDAPBase string // of users, found by uid
	Service  string // PAM's
	Postgres struct {
		Host, User, Database string
		Port                 int
	}
}

// Places of Debian's packages.
const (
	libDir     = "/usr/lib/freeradius"
	dictionary = "/usr/share/freeradius/dictionary"
	sqlFiles   = "/etc/freeradius/3.0/mods-config/sql/main/postgresql/"
	queries    = sqlFiles + "queries.conf"
)

// Schema is the file that makes the tables of FreeRADIUS in PostgreSQL.
const Schema = sqlFiles + "schema.sql"

// Installed says what is missing for a kind.
func Installed(k Kind) error {
	need := map[string]string{dictionary: "freeradius-common", libDir + "/rlm_totp.so": "freeradius"}
	switch k {
	case LDAPTOTP:
		need[libDir+"/rlm_ldap.so"] = "freeradius-ldap"
	case SQLTOTP:
		need[libDir+"/rlm_sql_postgresql.so"], need[Schema] = "freeradius-postgresql", "freeradius-postgresql"
	}
	for path, pkg := range need {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is missing: install Debian's package %s", path, pkg)
		}
	}
	return nil
}

// Args is the command that runs what [Config.Write] wrote in the foreground.
func (c *Config) Args() []string {
	return []string{"/usr/sbin/freeradius", "-f", "-l", "stdout", "-d", c.Dir}
}

// Write makes the files.
func (c *Config) Write() error {
	for _, dir := range []string{"log", "run"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	view, err := c.view()
	if err != nil {
		return err
	}
	var conf strings.Builder
	if err := server.Execute(&conf, view); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "dictionary"), []byte("$INCLUDE "+dictionary+"\n"), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, "radiusd.conf"), []byte(conf.String()), 0o640)
}

// view is what the template shows.
type view struct {
	*Config
	Lib, Queries string
	Modules      []string
	Authorize    []string
	Authenticate []string
	PostAuth     []string
}

const (
	splitCode = `if (&User-Password =~ /^(.*)([0-9]{6})$/) {
				update request {
					&TOTP-Password := "%{2}"
					&User-Password := "%{1}"
				}
			}`
	wholeCode = `update request {
				&TOTP-Password := &User-Password
			}`
	authType = `update control {
				&Auth-Type := bench
			}`
)

func (c *Config) view() (view, error) {
	v := view{Config: c, Lib: libDir, Queries: queries}
	switch c.Kind {
	case TOTP:
		v.Modules = []string{"files", "totp"}
		v.Authorize = []string{"files", wholeCode, authType}
		v.Authenticate = []string{"totp"}
	case LDAPTOTP:
		if c.LDAPURL == "" || c.LDAPBase == "" {
			return v, errors.New("freeradius: ldap+totp wants LDAPURL and LDAPBase")
		}
		v.Modules = []string{"files", "ldap", "totp"}
		v.Authorize = []string{"files", "ldap", splitCode, authType}
		v.Authenticate = []string{"ldap", "totp"}
	case SQLTOTP:
		if c.Postgres.Host == "" {
			return v, errors.New("freeradius: sql+totp wants Postgres")
		}
		v.Modules = []string{"expr", "files", "totp", "sql"} // the queries want tolower of expr
		v.Authorize = []string{"files", wholeCode, authType}
		v.Authenticate = []string{"totp"}
		v.PostAuth = []string{"sql"}
	case PAM:
		if c.Service == "" {
			return v, errors.New("freeradius: pam wants Service")
		}
		v.Modules = []string{"pam"}
		v.Authorize = []string{authType}
		v.Authenticate = []string{"pam"}
	default:
		return v, fmt.Errorf("freeradius: unknown kind %q", c.Kind)
	}
	return v, nil
}

var server = template.Must(template.New("radiusd.conf").Parse(`prefix = {{.Dir}}
localstatedir = {{.Dir}}
libdir = {{.Lib}}
logdir = {{.Dir}}/log
raddbdir = {{.Dir}}
confdir = {{.Dir}}
run_dir = {{.Dir}}/run
db_dir = {{.Dir}}
name = radiusd
pidfile = {{.Dir}}/run/radiusd.pid
cleanup_delay = 5
max_requests = 65536
log {
	destination = stdout
}
security {
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}
client localhost {
	ipaddr = 127.0.0.1
	secret = testing123
}
thread pool {
	start_servers = 4
	max_servers = 16
	min_spare_servers = 2
	max_spare_servers = 10
	max_requests_per_server = 0
}
modules {
{{- range .Modules}}
{{- if eq . "expr"}}
	expr {
	}
{{- else if eq . "files"}}
	files {
		usersfile = {{$.Users}}
	}
{{- else if eq . "totp"}}
	totp {
	}
{{- else if eq . "ldap"}}
	ldap {
		server = '{{$.LDAPURL}}'
		base_dn = '{{$.LDAPBase}}'
		user {
			base_dn = "${..base_dn}"
			filter = "(uid=%{User-Name})"
		}
{{template "pool" 5}}
	}
{{- else if eq . "pam"}}
	pam {
		pam_auth = {{$.Service}}
	}
{{- else if eq . "sql"}}
	sql {
		dialect = "postgresql"
		driver = "rlm_sql_postgresql"
		server = "{{$.Postgres.Host}}"
		port = {{$.Postgres.Port}}
		login = "{{$.Postgres.User}}"
		radius_db = "{{$.Postgres.Database}}"
		acct_table1 = "radacct"
		acct_table2 = "radacct"
		postauth_table = "radpostauth"
		authcheck_table = "radcheck"
		groupcheck_table = "radgroupcheck"
		authreply_table = "radreply"
		groupreply_table = "radgroupreply"
		usergroup_table = "radusergroup"
		client_table = "nas"
		group_attribute = "SQL-Group"
{{template "pool" 8}}
		$INCLUDE {{$.Queries}}
	}
{{- end}}
{{- end}}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = {{.Port}}
	}
	authorize {
{{- range .Authorize}}
			{{.}}
{{- end}}
	}
	authenticate {
		Auth-Type bench {
{{- range .Authenticate}}
			{{.}}
{{- end}}
		}
	}
{{- if .PostAuth}}
	post-auth {
{{- range .PostAuth}}
			{{.}}
{{- end}}
	}
{{- end}}
}
{{define "pool"}}		pool {
			start = {{.}}
			min = 4
			max = 16
			spare = 10
			uses = 0
			lifetime = 0
			idle_timeout = 60
		}{{end}}`))
