package testenv

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ScriptedSMTP is a mail server for faults that a real one cannot be made to show. Answer is asked for each command (its
// verb in capitals, "." for the end of a message, "CONNECT" for the greeting) and gives the reply without line end; "" keeps
// to the usual one, Hang says nothing for as long as the test runs, Drop closes the connection. It is called from several
// goroutines.
type ScriptedSMTP struct {
	Address string
	Answer  func(verb, argument string) string

	mu       sync.Mutex
	messages []string
	commands []string
	done     chan struct{}
}

// What a script may answer instead of a line.
const (
	Hang = "\x00hang"
	Drop = "\x00drop"
)

// SMTP starts a scripted server on loopback that ends with the test.
func SMTP(t testing.TB, answer func(verb, argument string) string) *ScriptedSMTP {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &ScriptedSMTP{Address: l.Addr().String(), Answer: answer, done: make(chan struct{})}
	var open sync.WaitGroup
	t.Cleanup(func() {
		close(s.done)
		_ = l.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { s.talk(c) })
		}
	})
	return s
}

// Messages gives what was taken over so far, as it came.
func (s *ScriptedSMTP) Messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.messages...)
}

// Commands gives every command so far.
func (s *ScriptedSMTP) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}

func (s *ScriptedSMTP) talk(c net.Conn) {
	stop := make(chan struct{})
	defer close(stop)
	defer func() { _ = c.Close() }()
	go func() {
		select {
		case <-s.done:
			_ = c.Close()
		case <-stop:
		}
	}()
	usual := map[string]string{
		"CONNECT": "220 mail.lab.test ESMTP", "EHLO": "250-mail.lab.test\r\n250 8BITMIME", "HELO": "250 mail.lab.test",
		"DATA": "354 go on", ".": "250 2.0.0 taken as 1", "QUIT": "221 bye",
	}
	reply := func(verb, argument string) (string, bool) {
		a := ""
		if s.Answer != nil {
			a = s.Answer(verb, argument)
		}
		switch a {
		case "":
			if a = usual[verb]; a == "" {
				a = "250 ok"
			}
		case Hang:
			<-s.done
			return "", false
		case Drop:
			return "", false
		}
		_, err := fmt.Fprintf(c, "%s\r\n", a)
		return a, err == nil
	}
	if _, ok := reply("CONNECT", ""); !ok {
		return
	}
	in := bufio.NewReader(c)
	for {
		text, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, argument, _ := strings.Cut(strings.TrimSpace(text), " ")
		verb = strings.ToUpper(verb)
		s.mu.Lock()
		s.commands = append(s.commands, strings.TrimSpace(text))
		s.mu.Unlock()
		answer, ok := reply(verb, argument)
		if !ok {
			return
		}
		if verb == "DATA" && strings.HasPrefix(answer, "354") {
			var b strings.Builder
			for {
				l, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if strings.TrimRight(l, "\r\n") == "." {
					break
				}
				b.WriteString(strings.TrimPrefix(l, "."))
			}
			answer, ok := reply(".", "")
			if !ok {
				return
			}
			if strings.HasPrefix(answer, "250") {
				s.mu.Lock()
				s.messages = append(s.messages, b.String())
				s.mu.Unlock()
			}
		}
		if verb == "QUIT" {
			return
		}
	}
}

// RealSMTP starts aiosmtpd with mandatory STARTTLS on loopback and gives its address and what reads the messages it has
// printed so far.
func RealSMTP(t testing.TB, pki *Certificates) (address string, messages func() string) {
	t.Helper()
	python := Need(t, "/usr/bin/python3")
	if err := exec.Command(python, "-c", "import aiosmtpd").Run(); err != nil {
		LeaveOut(t, "aiosmtpd is missing (Debian package python3-aiosmtpd); `make setup` installs it")
	}
	address = net.JoinHostPort("127.0.0.1", strconv.Itoa(Port(t)))
	out, err := os.CreateTemp(t.TempDir(), "mail")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-u", "-m", "aiosmtpd", "-n", "-l", address, "--tlscert", pki.ServerCert, "--tlskey", pki.ServerKey)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = out.Close()
	})
	messages = func() string {
		b, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return address, messages
		}
		if time.Now().After(deadline) {
			t.Fatalf("aiosmtpd does not answer on %s:\n%s", address, messages())
		}
	}
}
