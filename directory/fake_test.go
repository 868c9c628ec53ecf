package directory

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"sekisho/authn"
	"sekisho/internal/testenv"
)

// fake is an LDAP server that misbehaves as it is told. It serves from the first call of config on.
type fake struct {
	ln   net.Listener
	url  string
	tls  *tls.Config // for ldaps, or for StartTLS
	ca   string
	once sync.Once // of close
	runs sync.Once

	accept func(net.Conn) bool                              // false: the connection is not served but stays open
	search func(c *fakeConn, id int64, base, filter string) // nil: one entry for every user search
	bind   func(c *fakeConn, id int64, dn, password string) // of users; nil: the password "right" is right
	start  func(c *fakeConn, id int64)                      // StartTLS; nil: done

	userBinds, searches, conns atomic.Int32

	mu   sync.Mutex
	open []net.Conn
	wg   sync.WaitGroup
}

type fakeConn struct {
	net.Conn
	fake *fake
	asks []string // attributes of the search that is being answered
}

const fakeReader = "cn=reader,dc=fake"

// newFake listens; scheme is ldap, ldaps or starttls.
func newFake(t testing.TB, scheme string) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{ln: ln, url: strings.Replace(scheme, "starttls", "ldap", 1) + "://" + ln.Addr().String()}
	if scheme != "ldap" {
		pki := testenv.PKI(t)
		cert, err := tls.LoadX509KeyPair(pki.ServerCert, pki.ServerKey)
		if err != nil {
			t.Fatal(err)
		}
		f.tls, f.ca = &tls.Config{Certificates: []tls.Certificate{cert}}, pki.CA
	}
	t.Cleanup(f.close)
	return f
}

// run accepts connections; what accept is to do has to be told before.
func (f *fake) run() {
	for {
		c, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.conns.Add(1)
		f.mu.Lock()
		f.open = append(f.open, c)
		f.mu.Unlock()
		if f.accept != nil && !f.accept(c) {
			continue
		}
		f.wg.Go(func() { f.serve(c, strings.HasPrefix(f.url, "ldaps:")) })
	}
}

// hangUp closes every connection of the moment.
func (f *fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.open {
		_ = c.Close()
	}
	f.open = nil
}

func (f *fake) close() {
	f.once.Do(func() {
		_ = f.ln.Close()
		f.hangUp()
		f.wg.Wait()
	})
}

// config asks the fake with short deadlines.
func (f *fake) config() LDAPConfig {
	f.runs.Do(func() { f.wg.Go(f.run) })
	return LDAPConfig{
		URLs: []string{f.url}, StartTLS: f.tls != nil && strings.HasPrefix(f.url, "ldap:"), CAFile: f.ca,
		BindDN: fakeReader, BindPassword: secret("reader"), BaseDN: "dc=fake", FailureLimit: 5,
		ConnectTimeout: 150 * time.Millisecond, Timeout: 150 * time.Millisecond, GroupWalk: walkMember,
	}
}

func (f *fake) serve(raw net.Conn, secure bool) {
	defer func() { _ = raw.Close() }()
	c := &fakeConn{Conn: raw, fake: f}
	if secure {
		c.Conn = tls.Server(raw, f.tls)
	}
	in := bufio.NewReader(c.Conn)
	for {
		p, err := ber.ReadPacket(in)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, _ := p.Children[0].Value.(int64)
		op := p.Children[1]
		switch op.Tag {
		case ldap.ApplicationBindRequest:
			dn, password := op.Children[1].Value.(string), op.Children[2].Data.String()
			switch {
			case dn == fakeReader:
				c.result(id, ldap.ApplicationBindResponse, 0, "")
			case f.bind != nil:
				f.userBinds.Add(1)
				f.bind(c, id, dn, password)
			default:
				f.userBinds.Add(1)
				code := int64(ldap.LDAPResultInvalidCredentials)
				if password == "right" {
					code = 0
				}
				c.result(id, ldap.ApplicationBindResponse, code, "")
			}
		case ldap.ApplicationSearchRequest:
			f.searches.Add(1)
			base, _ := op.Children[0].Value.(string)
			filter, _ := ldap.DecompileFilter(op.Children[6])
			c.asks = nil
			for _, a := range op.Children[7].Children {
				c.asks = append(c.asks, a.Data.String())
			}
			if f.search != nil {
				f.search(c, id, base, filter)
				continue
			}
			if name, ok := strings.CutPrefix(filter, "(uid="); ok {
				c.user(id, strings.TrimSuffix(name, ")"))
			}
			c.done(id)
		case ldap.ApplicationExtendedRequest:
			if f.start != nil {
				f.start(c, id)
				continue
			}
			c.result(id, ldap.ApplicationExtendedResponse, 0, "")
			c.Conn = tls.Server(raw, f.tls)
			in = bufio.NewReader(c.Conn)
		case ldap.ApplicationUnbindRequest:
			return
		}
	}
}

func (c *fakeConn) send(id int64, op *ber.Packet, controls ...*ber.Packet) {
	_, _ = c.Write(message(id, op, controls...).Bytes())
}

func message(id int64, op *ber.Packet, controls ...*ber.Packet) *ber.Packet {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	if len(controls) > 0 {
		all := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, ctl := range controls {
			all.AppendChild(ctl)
		}
		p.AppendChild(all)
	}
	return p
}

func resultOp(tag ber.Tag, code int64, text string) *ber.Packet {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text, ""))
	return op
}

func (c *fakeConn) result(id int64, tag ber.Tag, code int64, text string) {
	c.send(id, resultOp(tag, code, text))
}

func (c *fakeConn) done(id int64) { c.result(id, ldap.ApplicationSearchResultDone, 0, "") }

// entry sends an entry; attrs are name and values in turn, values parted by "|".
func (c *fakeConn) entry(id int64, dn string, attrs ...string) {
	c.send(id, entryOp(dn, attrs...))
}

func entryOp(dn string, attrs ...string) *ber.Packet {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, dn, ""))
	list := ber.NewSequence("")
	for i := 0; i+1 < len(attrs); i += 2 {
		attr := ber.NewSequence("")
		attr.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, attrs[i], ""))
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for v := range strings.SplitSeq(attrs[i+1], "|") {
			values.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, ""))
		}
		attr.AppendChild(values)
		list.AppendChild(attr)
	}
	op.AppendChild(list)
	return op
}

func (c *fakeConn) user(id int64, name string) {
	c.entry(id, "uid="+name+",dc=fake", "uid", name, "entryUUID", "id-of-"+name)
}

// fakeUser is a user of the fake as a look-up would give it.
func fakeUser(name string) *authn.User {
	return &authn.User{Directory: "corp", ID: "id-of-" + name, Name: name, DN: "uid=" + name + ",dc=fake"}
}
