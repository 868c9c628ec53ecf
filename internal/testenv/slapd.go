package testenv

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What every directory made here has.
const (
	SlapdBase           = "dc=lab,dc=test"
	SlapdReaderDN       = "cn=reader," + SlapdBase
	SlapdReaderPassword = "readerpw"
	SlapdAdminDN        = "cn=admin," + SlapdBase
	SlapdAdminPassword  = "adminpw"
	SlapdPassword       = "Passw0rd.1" // of every user
)

// SlapdOptions asks for more than the fixed users.
type SlapdOptions struct {
	Users int           // user0001 to userNNNN; the first half is in the group vpn
	LDIF  string        // entries to add, after ou=people, ou=groups and all users
	PKI   *Certificates // made when nil
}

// SlapdServer is a running OpenLDAP server with throw-away data. The account SlapdReaderDN may read everything but
// passwords.
type SlapdServer struct {
	URL   string // ldap://127.0.0.1:port, with StartTLS
	LDAPS string // ldaps://127.0.0.1:port
	CA    string
	Log   string // file
	PKI   *Certificates

	stop func()
}

// Slapd starts an OpenLDAP server on loopback with TLS and the overlays memberOf and ppolicy; it ends with the test. Three
// wrong passwords within 60 s lock a user for 5 s.
//
// Users (ou=people): alice in vpn and vpn-admins; bob in vpn-admins; carol in vpn; ringo in ring-a; locked (for good by an
// administrator), expired (password too old), mustchange (password was reset), disabled (userAccountControl 514), left
// (shadowExpire in the past); twin exists twice. All have mail NAME@lab.test.
//
// Groups (ou=groups): vpn-admins is a member of vpn, vpn of everything; ring-a and ring-b are members of each other.
func Slapd(t testing.TB, o SlapdOptions) *SlapdServer {
	t.Helper()
	slapd, slapadd := Need(t, "slapd"), Need(t, "slapadd")
	if o.PKI == nil {
		o.PKI = PKI(t)
	}
	dir := t.TempDir()
	s := &SlapdServer{CA: o.PKI.CA, PKI: o.PKI, Log: filepath.Join(dir, "slapd.log")}
	config := filepath.Join(dir, "slapd.conf")
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(config, slapdConfig(t, dir, o.PKI))
	write(filepath.Join(dir, "data.ldif"), slapdData(o))
	load := exec.Command(slapadd, "-q", "-f", config, "-l", filepath.Join(dir, "data.ldif"))
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(s.Log)
			t.Logf("end of slapd's log:\n%s", text[max(0, len(text)-4000):])
		}
	})
	// A free port may be taken by somebody else before slapd has it.
	for try := 1; ; try++ {
		plain, secure := fmt.Sprintf("127.0.0.1:%d", Port(t)), fmt.Sprintf("127.0.0.1:%d", Port(t))
		s.URL, s.LDAPS = "ldap://"+plain, "ldaps://"+secure
		if s.start(t, exec.Command(slapd, "-d", "256", "-f", config, "-h", s.URL+"/ "+s.LDAPS+"/"), secure) {
			return s
		}
		if try == 3 {
			t.Fatal("slapd does not start")
		}
	}
}

// Stop ends the server before the test does.
func (s *SlapdServer) Stop() { s.stop() }

// UserDN is where a user's entry stands.
func (s *SlapdServer) UserDN(name string) string { return "uid=" + name + ",ou=people," + SlapdBase }

// GroupDN is where a group's entry stands.
func (s *SlapdServer) GroupDN(name string) string { return "cn=" + name + ",ou=groups," + SlapdBase }

// start runs slapd until it accepts connections; false when it ended before.
func (s *SlapdServer) start(t testing.TB, cmd *exec.Cmd, address string) bool {
	t.Helper()
	log, err := os.Create(s.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(3 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	t.Cleanup(s.stop)
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			_ = c.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatal("slapd does not accept connections")
	return false
}

func slapdConfig(t testing.TB, dir string, pki *Certificates) string {
	t.Helper()
	modules := ""
	for _, pattern := range []string{"/usr/lib/ldap", "/usr/lib/*/ldap", "/usr/lib/openldap", "/usr/lib/*/openldap", "/usr/libexec/openldap"} {
		if found, _ := filepath.Glob(pattern + "/back_mdb*"); len(found) > 0 {
			modules = filepath.Dir(found[0])
			break
		}
	}
	if modules == "" {
		LeaveOut(t, "slapd's module back_mdb is missing (Debian package slapd)")
	}
	return strings.NewReplacer("@DIR", dir, "@MODULES", modules, "@CA", pki.CA, "@CERT", pki.ServerCert, "@KEY", pki.ServerKey,
		"@BASE", SlapdBase, "@ADMINPW", SlapdAdminPassword, "@ADMIN", SlapdAdminDN, "@READER", SlapdReaderDN).Replace(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.4203.666.11.99 NAME 'labAccount' SUP top AUXILIARY MAY ( userAccountControl ) )
modulepath @MODULES
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile @DIR/slapd.pid
argsfile @DIR/slapd.args
TLSCACertificateFile @CA
TLSCertificateFile @CERT
TLSCertificateKeyFile @KEY
TLSVerifyClient never
sizelimit 500
database mdb
maxsize 268435456
dbnosync
suffix "@BASE"
rootdn "@ADMIN"
rootpw @ADMINPW
directory @DIR/db
index objectClass,uid,member,memberOf,mail eq
access to attrs=userPassword by anonymous auth by self write by * none
access to * by dn.exact="@READER" read by self read by anonymous auth by * none
limits dn.exact="@READER" size.prtotal=unlimited
overlay memberof
memberof-refint TRUE
overlay ppolicy
ppolicy_default "cn=default,ou=policies,@BASE"
ppolicy_use_lockout
`)
}

// slapdData is the content. slapadd runs no overlay, so memberOf is written out.
func slapdData(o SlapdOptions) string {
	var b bytes.Buffer
	entry := func(dn string, lines ...string) {
		fmt.Fprintf(&b, "dn: %s,%s\n%s\n\n", dn, SlapdBase, strings.Join(lines, "\n"))
	}
	fmt.Fprintf(&b, "dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: Lab\ndc: lab\n\n", SlapdBase)
	for _, ou := range []string{"people", "branch", "groups", "policies"} {
		entry("ou="+ou, "objectClass: organizationalUnit", "ou: "+ou)
	}
	entry("cn=reader", "objectClass: organizationalRole", "objectClass: simpleSecurityObject", "cn: reader",
		"userPassword: "+SlapdReaderPassword)
	entry("cn=default,ou=policies", "objectClass: device", "objectClass: pwdPolicy", "cn: default",
		"pwdAttribute: userPassword", "pwdLockout: TRUE", "pwdMaxFailure: 3", "pwdFailureCountInterval: 60",
		"pwdLockoutDuration: 5", "pwdMustChange: TRUE")
	entry("cn=aging,ou=policies", "objectClass: device", "objectClass: pwdPolicy", "cn: aging",
		"pwdAttribute: userPassword", "pwdLockout: TRUE", "pwdMaxAge: 86400")

	members := map[string][]string{}
	person := func(ou, name string, groups []string, more ...string) {
		dn := "uid=" + name + ",ou=" + ou
		// slapadd wants the values of objectClass side by side.
		lines := append([]string{"objectClass: inetOrgPerson"}, more...)
		lines = append(lines, "uid: "+name, "cn: "+name, "sn: "+name, "mail: "+name+"@lab.test",
			"telephoneNumber: +15550100", "userPassword: "+SlapdPassword)
		for _, g := range groups {
			lines = append(lines, "memberOf: cn="+g+",ou=groups,"+SlapdBase)
			members[g] = append(members[g], dn)
		}
		entry(dn, lines...)
	}
	person("people", "alice", []string{"vpn", "vpn-admins"})
	person("people", "bob", []string{"vpn-admins"})
	person("people", "carol", []string{"vpn"})
	person("people", "ringo", []string{"ring-a"})
	person("people", "locked", nil, "pwdAccountLockedTime: 000001010000Z")
	person("people", "mustchange", nil, "pwdReset: TRUE")
	person("people", "expired", nil, "pwdChangedTime: 20200101000000Z", "pwdPolicySubentry: cn=aging,ou=policies,"+SlapdBase)
	person("people", "disabled", nil, "objectClass: labAccount", "userAccountControl: 514")
	person("people", "left", nil, "objectClass: shadowAccount", "shadowExpire: 18262")
	person("people", "twin", nil)
	person("branch", "twin", nil)
	for i := 1; i <= o.Users; i++ {
		var groups []string
		if i <= (o.Users+1)/2 {
			groups = []string{"vpn"}
		}
		person("people", fmt.Sprintf("user%04d", i), groups)
	}
	groups := []struct{ name, within string }{{"vpn-admins", "vpn"}, {"vpn", "everything"}, {"everything", ""},
		{"ring-a", "ring-b"}, {"ring-b", "ring-a"}}
	for _, g := range groups {
		if g.within != "" {
			members[g.within] = append(members[g.within], "cn="+g.name+",ou=groups")
		}
	}
	for _, g := range groups {
		lines := []string{"objectClass: groupOfNames", "cn: " + g.name}
		if g.within != "" {
			lines = append(lines, "memberOf: cn="+g.within+",ou=groups,"+SlapdBase)
		}
		for _, m := range members[g.name] {
			lines = append(lines, "member: "+m+","+SlapdBase)
		}
		entry("cn="+g.name+",ou=groups", lines...)
	}
	b.WriteString(o.LDIF)
	return b.String()
}
