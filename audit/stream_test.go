package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/internal/testenv"
	"sekisho/token"
)

// book is a journal in memory.
type book struct {
	mu     sync.Mutex
	events []authn.Event
	more   chan struct{}
}

func newBook(n int) *book {
	b := &book{more: make(chan struct{})}
	b.add(n)
	return b
}

var begin = time.Date(2026, 4, 1, 9, 0, 0, 123456000, time.UTC)

func (b *book) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		seq := uint64(len(b.events) + 1)
		b.events = append(b.events, authn.Event{
			Seq: seq, At: begin.Add(time.Duration(seq) * time.Second), Kind: authn.LoginEvent, Account: 7, Verdict: authn.Accept,
			Reason: authn.OK, Client: "vpn", Token: 9, Step: int64(seq), Burnt: []authn.Burnt{{Token: 9, Last: int64(seq)}},
			Personal: authn.Personal{Name: []byte("hana\nko\\"), Source: netip.MustParseAddrPort("192.0.2.1:1024")},
		})
	}
	close(b.more)
	b.more = make(chan struct{})
}

func (b *book) Position() (uint64, []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return uint64(len(b.events)), []byte{0xab, 0xcd}
}

func (b *book) Follow(ctx context.Context, seq uint64) iter.Seq2[authn.Event, error] {
	return func(yield func(authn.Event, error) bool) {
		for ctx.Err() == nil {
			b.mu.Lock()
			rest, more := b.events[min(int(seq), len(b.events)):], b.more // events are numbered from 1
			b.mu.Unlock()
			for _, e := range rest {
				seq = e.Seq
				if !yield(e, nil) {
					return
				}
			}
			if len(rest) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
			case <-more:
			}
		}
	}
}

// start runs a stream until the test ends or stop is called.
func start(t *testing.T, c Config, b *book) (stop func()) {
	t.Helper()
	if c.Position == "" {
		c.Position = filepath.Join(t.TempDir(), "position")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- (&Stream{Config: c, Journal: b, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// seqs gives the numbers of the events among lines of JSON.
func seqs(t *testing.T, text string) (all []uint64) {
	t.Helper()
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var r Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if r.Kind != "head" {
			all = append(all, r.Seq)
		}
	}
	return all
}

// eventually waits until want holds.
func eventually(t *testing.T, what string, want func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !want(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func upTo(n uint64) (all []uint64) {
	for i := uint64(1); i <= n; i++ {
		all = append(all, i)
	}
	return all
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	c := Config{To: "file://" + path, People: true, Position: filepath.Join(t.TempDir(), "position")}
	b := newBook(3)
	stop := start(t, c, b)
	read := func() []uint64 {
		text, _ := os.ReadFile(path)
		return seqs(t, string(text))
	}
	eventually(t, "three events", func() bool { return len(read()) == 3 })
	b.add(2)
	eventually(t, "five events", func() bool { return len(read()) == 5 })
	stop()
	b.add(1)
	stop = start(t, c, b) // goes on where it was
	eventually(t, "six events", func() bool { return len(read()) == 6 })
	stop()
	if got := read(); fmt.Sprint(got) != fmt.Sprint(upTo(6)) {
		t.Errorf("events %v", got)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	for _, want := range []string{`"user":"hana\\x0ako\\\\"`, `"source":"192.0.2.1:1024"`, `"burnt":[{"token":"` + token.ID(9).String() + `","last":1}]`} {
		if !strings.Contains(first, want) {
			t.Errorf("the line lacks %s:\n%s", want, first)
		}
	}
}

// Without people nothing about a person leaves the machine.
func TestWithoutPeople(t *testing.T) {
	b := newBook(1)
	r := NewRecord(&b.events[0], false)
	if line := string(r.Line()); strings.Contains(line, "hana") || strings.Contains(line, "192.0.2") {
		t.Errorf("the line names a person: %s", line)
	}
}

// collector takes framed messages and can be cut off and brought back at the same address.
type collector struct {
	t       *testing.T
	address string
	secure  *tls.Config

	mu    sync.Mutex
	lines []string
	l     net.Listener
	conns map[net.Conn]bool
	open  sync.WaitGroup
}

func (c *collector) up() {
	c.t.Helper()
	var l net.Listener
	var err error
	for range 100 {
		if l, err = net.Listen("tcp", c.address); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.address = l.Addr().String()
	if c.secure != nil {
		l = tls.NewListener(l, c.secure)
	}
	c.mu.Lock()
	c.l, c.conns = l, map[net.Conn]bool{}
	c.mu.Unlock()
	c.open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.conns[conn] = true
			c.mu.Unlock()
			c.open.Go(func() { c.read(conn) })
		}
	})
}

func (c *collector) read(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		length, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSpace(length))
		if err != nil {
			c.t.Errorf("a frame begins with %q", length)
			return
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		c.mu.Lock()
		c.lines = append(c.lines, string(message))
		c.mu.Unlock()
	}
}

func (c *collector) down() {
	c.mu.Lock()
	_ = c.l.Close()
	for conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.open.Wait()
}

// seqs gives the numbers of events in the order they came, each one once.
func (c *collector) seqs() (all []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[uint64]bool{}
	for _, l := range c.lines {
		if strings.Contains(l, `"kind":"head"`) {
			continue
		}
		_, rest, _ := strings.Cut(l, `seq="`)
		text, _, _ := strings.Cut(rest, `"`)
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			c.t.Errorf("%q has no number", l)
		}
		if !seen[n] {
			all = append(all, n)
		}
		seen[n] = true
	}
	return all
}

// A server that is away for a while misses nothing.
func TestServerComesBack(t *testing.T) {
	pki := testenv.PKI(t)
	pair, err := tls.LoadX509KeyPair(pki.ServerCert, pki.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, secure := range map[string]*tls.Config{"tcp": nil, "tls": {Certificates: []tls.Certificate{pair}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &collector{t: t, address: "127.0.0.1:0", secure: secure}
			c.up()
			b := newBook(10)
			cfg := Config{To: name + "://" + c.address}
			if secure != nil {
				cfg.CAFile = pki.CA
			}
			stop := start(t, cfg, b)
			eventually(t, "ten events", func() bool { return len(c.seqs()) == 10 })
			c.down()
			b.add(10)
			c.up()
			b.add(10)
			eventually(t, "all thirty", func() bool { return len(c.seqs()) == 30 })
			stop()
			if got := c.seqs(); fmt.Sprint(got) != fmt.Sprint(upTo(30)) {
				t.Errorf("events %v", got)
			}
			c.down()
		})
	}
}

// A server that nobody vouches for gets nothing.
func TestStrangersCertificate(t *testing.T) {
	pki, other := testenv.PKI(t), testenv.PKI(t)
	pair, err := tls.LoadX509KeyPair(other.ServerCert, other.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{t: t, address: "127.0.0.1:0", secure: &tls.Config{Certificates: []tls.Certificate{pair}}}
	c.up()
	defer c.down()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &Stream{Config: Config{To: "tls://" + c.address, CAFile: pki.CA}, Journal: newBook(1), Log: slog.New(slog.DiscardHandler), Now: time.Now}
	if err := s.send(ctx); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v", err)
	}
	if n := len(c.seqs()); n != 0 {
		t.Errorf("%d events went out", n)
	}
}

// rsyslog reads what we send, and finds number and result in their fields.
func TestRealServer(t *testing.T) {
	rsyslogd := testenv.Need(t, "rsyslogd")
	dir := t.TempDir()
	port := testenv.Port(t)
	out := filepath.Join(dir, "out")
	conf := fmt.Sprintf(`global(workDirectory=%q maxMessageSize="64k")
module(load="imtcp")
module(load="mmpstrucdata")
template(name="fields" type="list") {
  property(name="syslogpriority-text") constant(value=" ") property(name="syslogfacility-text") constant(value=" ")
  property(name="app-name") constant(value=" ") property(name="msgid") constant(value=" ")
  property(name="timereported" dateFormat="rfc3339") constant(value=" ")
  property(name="$!rfc5424-sd!event@32473!seq") constant(value=" ") property(name="$!rfc5424-sd!event@32473!result")
  constant(value="\n")
}
input(type="imtcp" port="%d" address="127.0.0.1")
action(type="mmpstrucdata")
action(type="omfile" file=%q template="fields")
`, dir, port, out)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(rsyslogd, "-n", "-f", filepath.Join(dir, "conf"), "-i", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	defer stopped()
	start(t, Config{To: fmt.Sprintf("tcp://127.0.0.1:%d", port)}, newBook(20))
	var text string
	eventually(t, "rsyslog's twenty lines", func() bool {
		b, _ := os.ReadFile(out)
		text = string(b)
		return strings.Count(text, " login ") >= 20
	})
	stopped()
	if want := "info authpriv sekisho login 2026-04-01T09:00:01.123456Z 1 accept\n"; !strings.HasPrefix(text, want) {
		t.Errorf("rsyslog wrote\n%s\nwant first\n%s\n%s", text, want, log.String())
	}
}

func TestSyslogForm(t *testing.T) {
	r := Record{Kind: "act", Seq: 5, At: begin, Act: `a]b"c\` + "\n"}
	got := string(appendSyslog(nil, &r, "host name\n", 42))
	want := `<85>1 2026-04-01T09:00:00.123456Z hostname sekisho 42 act [event@32473 seq="5" act="a\]b\"c\\?"] {`
	if !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if strings.Contains(got, "\n") {
		t.Error("the message has a line break")
	}
	if got := string(appendSyslog(nil, &Record{Kind: "login", Notices: []string{"theft"}}, "", 1)); !strings.HasPrefix(got, "<84>1 0001") || !strings.Contains(got, " - sekisho ") {
		t.Errorf("an alarm: %s", got)
	}
	if string(frame(nil, []byte("abc"))) != "3 abc" {
		t.Error("frame")
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		c   Config
		key string
	}{
		{Config{}, ""},
		{Config{To: "tcp://logs.example.jp"}, ""},
		{Config{To: "tls://logs.example.jp:6515"}, ""},
		{Config{To: "udp://[2001:db8::1]"}, ""},
		{Config{To: "file:///tmp/events"}, ""},
		{Config{To: "logs.example.jp"}, "to"},
		{Config{To: "http://logs.example.jp"}, "to"},
		{Config{To: "tcp://logs.example.jp/x"}, "to"},
		{Config{To: "file://events"}, "to"},
		{Config{To: "file:///nonexistent/folder/events"}, "to"},
		{Config{To: "tcp://a", CAFile: "/x"}, "ca_file"},
		{Config{To: "tls://a", CAFile: "/nonexistent"}, "ca_file"},
		{Config{To: "tls://a", CertFile: "/x"}, "cert_file"},
	} {
		faults := c.c.Check()
		if c.key == "" && len(faults) > 0 || c.key != "" && (len(faults) == 0 || faults[0].Key != c.key || faults[0].Advice == "") {
			t.Errorf("%+v: %v, want %q", c.c, faults, c.key)
		}
	}
}

// A position that is no number is a fault, not a start from nothing.
func TestPosition(t *testing.T) {
	path := filepath.Join(t.TempDir(), "position")
	if n, err := readPosition(path); n != 0 || err != nil {
		t.Errorf("no file: %d, %v", n, err)
	}
	if err := writePosition(path, 12); err != nil {
		t.Fatal(err)
	}
	if n, err := readPosition(path); n != 12 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readPosition(path); err == nil {
		t.Error("a broken position was taken")
	}
}

// An older database under a target that is ahead sends its new events, although their numbers were seen before.
func TestRestoredDatabase(t *testing.T) {
	dir := t.TempDir()
	c := Config{To: "file://" + filepath.Join(dir, "events"), Position: filepath.Join(dir, "position")}
	if err := writePosition(c.Position, 100); err != nil {
		t.Fatal(err)
	}
	b := newBook(3)
	start(t, c, b)
	// The stream begins at the database's end as it is found; what comes from now on is sent.

	eventually(t, "the first new event", func() bool {
		b.add(1)
		text, _ := os.ReadFile(filepath.Join(dir, "events"))
		got := seqs(t, string(text))
		if len(got) > 0 && got[0] >= 100 {
			t.Fatalf("the first event that was sent is %d; those before it are lost", got[0])
		}
		return len(got) > 0
	})
}
