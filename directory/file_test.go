package directory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
)

// cheap is a hash under the smallest parameters; nobody knows a password for it.
const cheap = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$CKqGsOQvX0tA/s8bTKGlhYmBuQAAGIyR"

func hashOf(t testing.TB, password string) string {
	t.Helper()
	h, err := HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func writeUsers(t testing.TB, text string, mode os.FileMode) FileConfig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users.yaml")
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return FileConfig{File: file}
}

func openFile(t testing.TB, text string) *File {
	t.Helper()
	f, err := OpenFile("local", writeUsers(t, text, 0o640))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFile(t *testing.T) {
	f := openFile(t, `
users:
  - name: Alice
    id: "7"
    password: `+hashOf(t, "Passw0rd.1")+`
    groups: [VPN, "CN=Admins, DC=Lab", vpn]
    mail: alice@lab.test
    attributes: {name: Alice Smith, phone: ["1", "2"]}
  - name: bob
    password: "`+hashOf(t, "with blanks and ほげ")+`"
    disabled: true
  - {name: 田中}
`)
	u := lookup(t, f, "ａＬｉｃｅ ")
	if u.ID != "7" || u.Name != "Alice" || u.Directory != "local" || u.Barred != 0 || u.DN != "" ||
		!slices.Equal(u.Groups, []string{"cn=admins,dc=lab", "vpn"}) {
		t.Errorf("%+v", u)
	}
	if a := u.Attributes; len(a) != 3 || a["mail"][0] != "alice@lab.test" || a["name"][0] != "Alice Smith" || len(a["phone"]) != 2 {
		t.Errorf("attributes %q", a)
	}
	if p, ok := f.Peek([]byte("alice"), time.Now()); !ok || p != u {
		t.Errorf("%+v %v", p, ok)
	}
	for _, s := range spellings("alice") {
		got, err := f.Lookup(t.Context(), []byte(s))
		if err == nil && got != u || err != nil && !errors.Is(err, authn.ErrUnknownUser) {
			t.Errorf("%q: %+v %v", s, got, err)
		}
		room := authn.User{Barred: authn.UserLocked, Groups: []string{"of another one"}}
		if found, known := f.PeekInto([]byte(s), time.Now(), &room); !known || found != (err == nil) || found && !reflect.DeepEqual(room, *u) {
			t.Errorf("%q: %v %v %+v", s, found, known, room)
		}
	}
	for _, s := range []string{"", "*", "alicex", "\x00", "7"} {
		if _, err := f.Lookup(t.Context(), []byte(s)); !errors.Is(err, authn.ErrUnknownUser) {
			t.Errorf("%q: %v", s, err)
		}
		if got, ok := f.Peek([]byte(s), time.Now()); ok {
			t.Errorf("%q: %+v", s, got)
		}
	}
	for _, c := range []struct {
		name, password string
		want           authn.BindResult
	}{
		{"alice", "Passw0rd.1", authn.BindResult{OK: true}},
		{"alice", "passw0rd.1", authn.BindResult{}},
		{"alice", "Passw0rd.1 ", authn.BindResult{}},
		{"alice", "", authn.BindResult{}},
		{"alice", "  ", authn.BindResult{}},
		{"alice", "Passw0rd.1\x00", authn.BindResult{}},
		{"bob", "with blanks and ほげ", authn.BindResult{Barred: authn.UserDisabled}},
		{"bob", "wrong", authn.BindResult{Barred: authn.UserDisabled}},
		{"田中", "anything", authn.BindResult{}},
	} {
		if r, err := f.Authenticate(t.Context(), lookup(t, f, c.name), secret(c.password)); err != nil || r != c.want {
			t.Errorf("%s %q: %+v %v", c.name, c.password, r, err)
		}
	}
	for _, stranger := range []*authn.User{nil, {Directory: "corp", ID: "7"}} {
		if r, err := f.Authenticate(t.Context(), stranger, secret("Passw0rd.1")); err == nil || r.OK {
			t.Errorf("%+v: %+v %v", stranger, r, err)
		}
	}
	if r, err := f.Authenticate(t.Context(), &authn.User{Directory: "local", ID: "gone"}, secret("x")); err != nil || r.OK {
		t.Errorf("user who left the file: %+v %v", r, err)
	}
	if f.FailureLimit() != (authn.Lockout{}) || f.BindTime() < 250*time.Millisecond {
		t.Errorf("%v %v", f.FailureLimit(), f.BindTime())
	}
}

func TestFileHashesTwoAtATime(t *testing.T) {
	f := openFile(t, "users: [{name: alice, password: "+fmt.Sprintf("%q", cheap)+"}]")
	u := lookup(t, f, "alice")
	hashing <- struct{}{}
	hashing <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if r, err := f.Authenticate(ctx, u, secret("right")); err == nil || r.OK {
				t.Errorf("a third computation: %+v %v", r, err)
			}
		})
	}
	cancel()
	wg.Wait()
	<-hashing
	<-hashing
	if r, err := f.Authenticate(t.Context(), u, secret("wrong")); err != nil || r.OK {
		t.Errorf("afterwards: %+v %v", r, err)
	}
}

func TestFileFaults(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string // parts of the error, each with place
	}{
		"unknown key":       {"users:\n  - name: a\n    pasword: x\n", []string{":3:5:", "password"}},
		"wrong type":        {"users:\n  - name: a\n    disabled: perhaps\n", []string{":3:15:"}},
		"no name":           {"users:\n  - id: a\n", []string{":2:5:", "blank"}},
		"blank name":        {"users:\n  - name: ' '\n", []string{":2:5:", "blank"}},
		"long name":         {"users:\n  - name: " + strings.Repeat("x", 254) + "\n", []string{":2:5:", "253"}},
		"same name":         {"users:\n  - name: alice\n  - name: ＡＬＩＣＥ\n    id: x\n", []string{":3:5:", "same name"}},
		"same id":           {"users:\n  - name: alice\n    id: x\n  - name: bob\n    id: x\n", []string{":5:5:", "same id"}},
		"name is an id":     {"users:\n  - name: alice\n  - name: bob\n    id: alice\n", []string{":4:5:", "same id"}},
		"long id":           {"users:\n  - name: alice\n    id: " + strings.Repeat("x", 129) + "\n", []string{":3:5:", "128"}},
		"plain password":    {"users:\n  - name: alice\n    password: hunter2\n", []string{":3:5:", "argon2id"}},
		"bcrypt":            {"users:\n  - name: alice\n    password: $2y$10$abcdefghijklmnopqrstuv\n", []string{":3:5:", "argon2id"}},
		"not a mail":        {"users:\n  - name: alice\n    mail: alice\n", []string{":3:5:", "mail"}},
		"odd attribute":     {"users:\n  - name: alice\n    attributes: {Name: x, phone: ''}\n", []string{":3:18:", "small letters", ":3:27:", "octets"}},
		"mail twice":        {"users:\n  - name: alice\n    mail: a@x\n    attributes: {mail: b@x}\n", []string{":3:5:", "once"}},
		"all at once":       {"users:\n  - name: ''\n  - name: x\n    password: y\n    colour: z\n", []string{":2:5:", ":4:5:", ":5:5:"}},
		"not YAML":          {"users: [\n", []string{"users.yaml"}},
		"not a list":        {"users: alice\n", []string{":1:8:"}},
		"too many":          {"users:\n" + strings.Repeat("  - {name: x}\n", 1001), []string{":1:1:", "1001 users"}},
		"secret in excerpt": {"users:\n  - name: alice\n    password: [canary]\n", []string{":3:15:"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenFile("local", writeUsers(t, c.text, 0o600))
			if err == nil {
				t.Fatal("taken")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("no %q in:\n%v", part, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "canary") {
				t.Errorf("a secret in:\n%v", err)
			}
		})
	}
	for _, mode := range []os.FileMode{0o644, 0o604, 0o602, 0o666} {
		_, err := OpenFile("local", writeUsers(t, "users: []", mode))
		if err == nil || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	for _, file := range []string{"", t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if faults := (FileConfig{File: file}).Check(); len(faults) != 1 || faults[0].Key != "file" {
			t.Errorf("%q: %v", file, faults)
		}
	}
	if faults := writeUsers(t, "", 0o600).Check(); faults != nil {
		t.Errorf("empty file: %v", faults)
	}
}

func TestParseHash(t *testing.T) {
	good := hashOf(t, "secret")
	h, err := parseHash(good)
	if err != nil || h.String() != good || !h.matches([]byte("secret")) || h.matches([]byte("Secret")) {
		t.Errorf("%s: %v", good, err)
	}
	if !strings.HasPrefix(good, "$argon2id$v=19$m=19456,t=2,p=1$") || good == hashOf(t, "secret") {
		t.Errorf("%s: other parameters, or the same salt twice", good)
	}
	// Made by the reference program: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e
	reference := "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if h, err := parseHash(reference); err != nil || !h.matches([]byte("password")) {
		t.Errorf("reference vector: %v", err)
	}
	for _, bad := range []string{
		"", "$", "secret", "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", strings.Replace(cheap, "v=19", "v=16", 1),
		strings.Replace(cheap, "m=8", "m=7", 1), strings.Replace(cheap, "m=8", "m=65537", 1), strings.Replace(cheap, "m=8", "m=4294967304", 1),
		strings.Replace(cheap, "t=1", "t=0", 1), strings.Replace(cheap, "t=1", "t=11", 1), strings.Replace(cheap, "p=1", "p=0", 1),
		strings.Replace(cheap, "p=1", "p=5", 1), strings.Replace(cheap, "p=1", "p=2", 1), strings.Replace(cheap, "m=8,", "m=08,", 1),
		strings.Replace(cheap, "m=8,t=1", "t=1,m=8", 1), strings.Replace(cheap, ",p=1", "", 1), strings.Replace(cheap, "m=8", "m=+8", 1),
		strings.Replace(cheap, "c2FsdHNhbHQ", "c2FsdA", 1), strings.Replace(cheap, "c2FsdHNhbHQ", "c2FsdHNhbHQ=", 1),
		strings.Replace(cheap, "c2FsdHNhbHQ", "c2FsdHNhbHR", 1), cheap + "$", cheap + "\n", cheap[:len(cheap)-20],
		"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + strings.Repeat("A", 100),
	} {
		if h, err := parseHash(bad); err == nil {
			t.Errorf("%q is taken: %+v", bad, h)
		} else if len(bad) > 30 && strings.Contains(err.Error(), bad[len(bad)-10:]) {
			t.Errorf("the hash is in the error: %v", err)
		}
	}
	for _, p := range []string{"", " ", "\x00", "a\x00b"} {
		if h, err := HashPassword(p); err == nil {
			t.Errorf("%q: %s", p, h)
		}
	}
}

// TestBreakGlassSize: the largest file is read, and quickly found in.
func TestBreakGlassSize(t *testing.T) {
	var b strings.Builder
	b.WriteString("users:\n")
	for i := range maxFileUsers {
		fmt.Fprintf(&b, "  - {name: user%04d, password: %q, groups: [vpn]}\n", i, cheap)
	}
	f := openFile(t, b.String())
	if u := lookup(t, f, "USER0999"); u.ID != "user0999" {
		t.Errorf("%+v", u)
	}
}

func BenchmarkPeek(b *testing.B) {
	f := openFile(b, "users: [{name: alice}, {name: 田中}]")
	for _, name := range []string{"alice", "Alice", "田中"} {
		b.Run(name, func(b *testing.B) {
			now := time.Now()
			for b.Loop() {
				if _, ok := f.Peek([]byte(name), now); !ok {
					b.Fatal("unknown")
				}
			}
		})
	}
}

func FuzzParseHash(f *testing.F) {
	for _, s := range []string{cheap, "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$argon2id$$$$", "$$$$$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			return
		}
		if h.String() != text {
			t.Fatalf("%q became %q", text, h.String())
		}
		if h.memory < 8 || h.memory > mostMemory || h.time < 1 || h.time > mostTime || h.threads < 1 || h.threads > mostThreads {
			t.Fatalf("%q: out of bounds", text)
		}
	})
}

func FuzzFile(f *testing.F) {
	for _, s := range []string{"users: []", "users:\n  - name: alice\n    password: " + cheap, "users: [{name: a, groups: [x, y]}]", "users:\n- &a {name: x}\n- *a",
		"users: {", "\x00", "users:\n  - name: [a]", "? [users]\n: x", "users: !!binary aGk="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseFile("local", "users.yaml", text)
		if err != nil {
			if !strings.Contains(err.Error(), "users.yaml") {
				t.Fatalf("an error without place: %v", err)
			}
			return
		}
		for key, u := range d.byName {
			if got, err := d.Lookup(t.Context(), []byte(u.Name)); err != nil || got != u || key == "" || u.ID == "" {
				t.Fatalf("%q: %+v is not found under its name: %v", text, u, err)
			}
		}
	})
}
