package e2e

import (
	"context"
	"encoding/base32"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// TestFirstAfternoon runs the commands of docs/first-afternoon.md in their order, as a new administrator types them, with
// the page's names and addresses replaced by those of a real directory and of free ports.
func TestFirstAfternoon(t *testing.T) {
	directory := testenv.Slapd(t, testenv.SlapdOptions{})
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"lib", "lib-mark"} {
		if err := os.Mkdir(in(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("directory.password", testenv.SlapdReaderPassword)
	radius, metrics := testenv.Port(t), testenv.Port(t)
	box := newKeys(t, token.TOTP, "BOX", 20)
	seeds, handedOut := "serial,secret_base32,period,expiry\n", ""
	for i, k := range box {
		seeds += fmt.Sprintf("%s,%s,30,2030-03-31\n", k.serial, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(k.seed))
		if i < 2 {
			handedOut += k.serial + "," + []string{"bob", "carol"}[i] + "\n"
		}
	}
	write("seeds.csv", seeds)
	write("handed-out.csv", handedOut)

	page, err := os.ReadFile("../docs/first-afternoon.md")
	if err != nil {
		t.Fatal(err)
	}
	place := []string{
		"sudo ", "", "/etc/sekisho", in("etc"), "/root/directory.password", in("directory.password"),
		"ldaps://ldap.example.com", directory.LDAPS, "cn=sekisho,dc=example,dc=com", testenv.SlapdReaderDN,
		"dc=example,dc=com", testenv.SlapdBase, "192.0.2.10", "127.0.0.1", " 127.0.0.1 ", fmt.Sprintf(" 127.0.0.1:%d ", radius),
	}
	var last string // what the last command said
	sh := func(command string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "SEKISHO_SOCKET="+in("admin.sock"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v:\n%s", command, err, out)
		}
		last = string(out)
	}
	says := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(last, text) {
				t.Errorf("the answer has no %q:\n%s", text, last)
			}
		}
	}
	var phone *key
	commands := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(page, -1) {
		for line := range strings.Lines(string(block[1])) {
			commands++
			command := strings.NewReplacer(place...).Replace(strings.TrimSpace(line))
			switch {
			case strings.HasPrefix(command, "sekisho init"):
				sh(command + " --data " + in("lib"))
				says("check-config", "client show ocserv")
				ca, err := os.ReadFile(directory.CA)
				if err != nil {
					t.Fatal(err)
				}
				write("etc/directory-ca.pem", string(ca))
				// What a machine of its own has by itself: free ports, and /run.
				write("etc/conf.d/machine.yaml", fmt.Sprintf("radius: {listen: 127.0.0.1:%d, listen_accounting: 127.0.0.1:%d}\nadmin: {socket: %s}\nmetrics: {listen: 127.0.0.1:%d}\n"+
					"directory: {ldap: {failure_limit: 10}}\n", // the test directory locks after 3, which asks for two codes
					radius, testenv.Port(t), in("admin.sock"), metrics))
			case strings.HasPrefix(command, "systemctl"):
				background(t, in("log"), nil, program, "serve", "--config", in("etc/sekisho.yaml"))
				waitFor(t, 20*time.Second, "the service listens", func() bool { _, err := os.Stat(in("admin.sock")); return err == nil })
			case strings.Contains(command, "test ldap"):
				sh(command)
				says("alice", "vpn-admins")
			case strings.HasPrefix(command, "sekisho token enroll"):
				sh(command)
				name := regexp.MustCompile(`Token (\S+) of alice`).FindStringSubmatch(last)
				typed := regexp.MustCompile(`(?m)^ +((?:[A-Z2-7]{1,4} ?)+)$`).FindStringSubmatch(last)
				if name == nil || typed == nil {
					t.Fatalf("enroll names no token and key:\n%s", last)
				}
				seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(typed[1], " ", ""))
				if err != nil {
					t.Fatal(err)
				}
				phone = &key{serial: name[1], seed: seed, tok: token.Token{Mode: token.TOTP, Hash: token.SHA1, Digits: 6, Period: 30, Last: token.NoStep}}
			case strings.Contains(command, "TOKEN CODE"):
				var used int64
				sh(strings.NewReplacer("TOKEN", phone.serial, "CODE", freshCode(phone, &used)).Replace(command))
			case strings.Contains(command, "PASSWORDCODE"):
				secret, err := os.ReadFile(in("etc/secrets/ocserv.secret"))
				if err != nil {
					t.Fatal(err)
				}
				// confirm has used the code of this step, so the person waits for the next one; its window is open already.
				code := phone.code(phone.tok.StepAt(time.Now()) + 1)
				sh(strings.NewReplacer("PASSWORDCODE", testenv.SlapdPassword+code, "SECRET", string(secret)).Replace(command))
				says("Access-Accept")
			case strings.HasPrefix(command, "sekisho logins"):
				sh(command)
				says("accept", "alice")
			case strings.HasSuffix(command, "--dry-run"):
				sh(command)
				says("20", "2030-03-31")
			case strings.HasPrefix(command, "sekisho token list"):
				sh(command)
				says("BOX000000", "bob")
			default:
				sh(command)
			}
		}
	}
	if commands < 15 {
		t.Errorf("the page has %s commands; the test found too few", strconv.Itoa(commands))
	}
}
