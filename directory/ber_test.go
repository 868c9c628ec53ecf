package directory

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// TestRequestsAreReadByOthers has go-ldap's decoder read what is written here, with values of every form of length.
func TestRequestsAreReadByOthers(t *testing.T) {
	for _, length := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20} {
		text := strings.Repeat("x", length)
		for _, id := range []int{1, 127, 128, 255, 256, 32767, 32768, 1 << 23, maxMessageID} {
			q := query{base: text, scope: 2, sizeLimit: 2, seconds: 200, filter: anything, attributes: attributeSelection([]string{"a", "b"}),
				controls: pagingControl(500, []byte(text))}
			p, err := ber.DecodePacketErr(appendQuery([]byte("before")[:6], id, &q)[6:])
			if err != nil || p.Children[0].Value != int64(id) {
				t.Fatalf("length %d, id %d: %v", length, id, err)
			}
			op := p.Children[1]
			if op.Children[0].Data.String() != text || op.Children[3].Value != int64(2) || op.Children[4].Value != int64(200) ||
				len(op.Children[7].Children) != 2 || op.Children[7].Children[1].Data.String() != "b" {
				t.Errorf("length %d, id %d: %v", length, id, op)
			}
			paging, err := ldap.DecodeControl(p.Children[2].Children[0])
			if err != nil || string(paging.(*ldap.ControlPaging).Cookie) != text || paging.(*ldap.ControlPaging).PagingSize != 500 {
				t.Errorf("length %d: paging %v %v", length, paging, err)
			}
			p, err = ber.DecodePacketErr(appendBind(nil, id, text, []byte(text), true))
			if err != nil || p.Children[1].Children[1].Data.String() != text || p.Children[1].Children[2].Data.String() != text {
				t.Errorf("length %d, id %d: bind %v %v", length, id, p, err)
			}
			if oid := p.Children[2].Children[0].Children[0].Data.String(); oid != ldap.ControlTypeBeheraPasswordPolicy {
				t.Error(oid)
			}
		}
	}
	p, err := ber.DecodePacketErr(appendStartTLS(nil, 1))
	if err != nil || p.Children[1].Children[0].Data.String() != startTLS {
		t.Errorf("%v %v", p, err)
	}
}

// FuzzUserFilter puts any name into filters: what is sent says the same as the library's for the escaped name.
func FuzzUserFilter(f *testing.F) {
	for _, name := range []string{"alice", "*", "al*", "a)(uid=*", "\\2a", "\x00", namePlace, "ä", "\xff", strings.Repeat("x", 300)} {
		f.Add(name)
	}
	filters := []string{"(uid=%s)", presets["ad"].userFilter, "(&(objectClass=*)(!(cn=x*y))(|(mail=%s)(sn>=1)(member:1.2.3:=x)))"}
	f.Fuzz(func(t *testing.T, name string) {
		for _, text := range filters {
			ours, err := compileFilter(userFilter(text, namePlace))
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := ldap.CompileFilter(userFilter(text, name))
			if err != nil {
				return
			}
			if got, want := ours.append(nil, name), theirs.Bytes(); !bytes.Equal(got, want) {
				t.Errorf("%s for %q: %x, want %x", text, name, got, want)
			}
		}
	})
}

// FuzzBER reads any octets and compares what is taken with what the library makes of it.
func FuzzBER(f *testing.F) {
	f.Add(message(1, entryOp("uid=alice,dc=fake", "uid", "alice|a|", "entryUUID", "1")).Bytes())
	f.Add(message(1, entryOp("", "", "")).Bytes())
	f.Add(message(1<<31-1, resultOp(1, 49, adText("52e"))).Bytes())
	f.Add(message(7, resultOp(5, 10, "")).Bytes())
	f.Add(append(message(1, resultOp(5, 0, "")).Bytes()[:14], policyControl...))
	f.Add([]byte{0x30, 0x84, 0, 0, 0, 12, 2, 1, 1, 0x65, 7, 10, 1, 0, 4, 0, 4, 0})
	f.Add([]byte{0x30, 0x80, 2, 1, 1, 0x65, 0x80, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, octets []byte) {
		if n, length, err := header(octets); err == nil && n > 0 && (n > maxHeader || length < 0) {
			t.Fatalf("header %d, length %d", n, length)
		}
		_, _ = readSearch(octets)
		m, err := readMessage(octets)
		if id, ok := questionOf(octets); err == nil && (!ok || id != m.id) {
			t.Errorf("id %d, at first sight %d", m.id, id)
		}
		if err != nil {
			return
		}
		_, _ = policyReason(m.controls)
		_, _ = pagingCookie(m.controls)
		_, _ = bindAnswer(0, readResult(m.body))
		p, err := ber.DecodePacketErr(octets)
		if err != nil {
			return // it looks into values that we leave alone
		}
		if len(p.Children) < 2 || p.Children[0].Value != int64(m.id) {
			t.Fatalf("id %d, the library says %v", m.id, p.Children)
		}
		if m.op == opSearchEntry {
			sameEntry(t, m.body, p.Children[1])
		}
		if err := readResult(m.body); err == nil && p.Children[1].TagType == ber.TypeConstructed {
			if code := p.Children[1].Children[0]; fmt.Sprint(code.Value) != "0" {
				t.Errorf("success, the library says %v", code.Value)
			}
		}
	})
}

func sameEntry(t *testing.T, body []byte, p *ber.Packet) {
	t.Helper()
	e, err := readEntry(body)
	if err != nil {
		return
	}
	if e.DN != p.Children[0].Data.String() || len(e.Attributes) != len(p.Children[1].Children) {
		t.Fatalf("%+v, the library says %v", e, p)
	}
	for i, a := range e.Attributes {
		theirs := p.Children[1].Children[i]
		var values []string
		for _, v := range theirs.Children[1].Children {
			values = append(values, v.Data.String())
		}
		if a.Name != theirs.Children[0].Data.String() || !slices.Equal(a.Values, values) {
			t.Errorf("%q %q, the library says %q %q", a.Name, a.Values, theirs.Children[0].Data.String(), values)
		}
		for j, v := range a.ByteValues {
			if string(v) != a.Values[j] {
				t.Errorf("%q and %q", v, a.Values[j])
			}
		}
	}
}

// TestResults: what a result says, or that it says nothing.
func TestResults(t *testing.T) {
	op := func(fields ...[]byte) []byte { return slices.Concat(fields...) }
	code := func(octets ...byte) []byte { return appendText(nil, tagEnumerated, octets) }
	text := func(s string) []byte { return appendText(nil, tagOctets, s) }
	for name, c := range map[string]struct {
		body []byte
		want uint16 // 0: success
		bad  bool
	}{
		"success":             {op(code(0), text(""), text("")), 0, false},
		"wrong":               {op(code(49), text(""), text("x")), 49, false},
		"two octets":          {op(code(0x10, 0x92), text(""), text("")), 4242, false},
		"more behind it":      {op(code(0), text(""), text(""), text("later versions")), 0, false},
		"negative":            {op(code(0xff), text(""), text("")), 0, true},
		"five octets":         {op(code(0, 0, 0, 0, 0), text(""), text("")), 0, true},
		"no octet":            {op(code(), text(""), text("")), 0, true},
		"beyond two octets":   {op(code(1, 0, 0), text(""), text("")), 0, true},
		"the library's own":   {op(code(0, 200), text(""), text("")), 0, true},
		"an integer":          {op(appendInt(nil, tagInteger, 0), text(""), text("")), 0, true},
		"no text":             {op(code(0), text("")), 0, true},
		"success, cut off":    {op(code(0), text(""), []byte{tagOctets, 5, 'x'}), 0, true},
		"nothing":             {nil, 0, true},
		"success of no codes": {op(code(0)), 0, true},
	} {
		err := readResult(c.body)
		switch {
		case c.bad && (err == nil || !isNetwork(err)):
			t.Errorf("%s: %v", name, err)
		case !c.bad && c.want == 0 && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != 0 && !ldap.IsErrorWithCode(err, c.want):
			t.Errorf("%s: %v, want %d", name, err, c.want)
		}
	}
}
