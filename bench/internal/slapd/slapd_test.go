package slapd

import (
	"net"
	"os/exec"
	"testing"
	"time"

	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/realpart"

	"github.com/go-ldap/ldap/v3"
)

func TestDirectory(t *testing.T) {
	if err := Installed(); err != nil {
		realpart.LeaveOut(t, err.Error())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &Directory{Dir: t.TempDir(), Port: l.Addr().(*net.TCPAddr).Port}
	_ = l.Close()
	if err := d.Fill("bench", 20); err != nil {
		t.Fatal(err)
	}
	args := d.Args()
	server := exec.Command(args[0], args[1:]...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	var c *ldap.Conn
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err = ldap.DialURL(d.URL()); err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
	defer func() { _ = c.Close() }()
	u := otpgen.Derive("bench", 19)
	for _, tt := range []struct {
		dn, password string
		ok           bool
	}{
		{"uid=" + u.Name + "," + otpgen.People, string(u.Password[:]), true},
		{"uid=" + u.Name + "," + otpgen.People, "wrong", false},
		{ReaderDN, ReaderPassword, true},
	} {
		if err := c.Bind(tt.dn, tt.password); (err == nil) != tt.ok {
			t.Errorf("bind as %s: %v", tt.dn, err)
		}
	}
	found, err := c.Search(&ldap.SearchRequest{BaseDN: otpgen.People, Scope: ldap.ScopeWholeSubtree,
		Filter: "(uid=" + u.Name + ")", Attributes: []string{"entryUUID", "userPassword"}})
	if err != nil || len(found.Entries) != 1 {
		t.Fatalf("%d entries: %v", len(found.Entries), err)
	}
	if e := found.Entries[0]; e.GetAttributeValue("entryUUID") == "" || e.GetAttributeValue("userPassword") != "" {
		t.Errorf("entryUUID %q; the password hash must not be readable", e.GetAttributeValue("entryUUID"))
	}
}
