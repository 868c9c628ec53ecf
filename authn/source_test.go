package authn

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestSourceOf(t *testing.T) {
	for in, want := range map[string]string{
		"198.51.100.7":              "198.51.100.7/32",
		" 198.51.100.7 ":            "198.51.100.7/32",
		"198.51.100.7:4500":         "198.51.100.7/32",
		"198.51.100.7[4500]":        "198.51.100.7/32",
		"::ffff:198.51.100.7":       "198.51.100.7/32",
		"2001:db8:1:2:3:4:5:6":      "2001:db8:1:2::/64",
		"2001:db8:1:2::1":           "2001:db8:1:2::/64",
		"[2001:db8:1:2::1]:4500":    "2001:db8:1:2::/64",
		"2001:db8:1:2::1[4500]":     "2001:db8:1:2::/64",
		"fe80::1%eth0":              "fe80::/64",
		"":                          "",
		"0.0.0.0":                   "",
		"::":                        "",
		"00-11-22-33-44-55":         "",
		"00:11:22:33:44:55":         "",
		"0011.2233.4455":            "",
		"001122334455":              "",
		"198.51.100":                "",
		"198.51.100.07":             "",
		"198.51.100.7[":             "198.51.100.7/32",
		"[4500]":                    "",
		"gateway.example":           "",
		"198.51.100.7 198.51.100.8": "",
		strings.Repeat("1", 253):    "",
	} {
		p, ok := sourceOf([]byte(in))
		if got := p.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %v %v, want %q", in, p, ok, want)
		}
	}
}

func FuzzSourceOf(f *testing.F) {
	for _, s := range []string{"198.51.100.7", "2001:db8::1[4500]", "[2001:db8::1]:1", "00-11-22-33-44-55", "::ffff:1.2.3.4", "fe80::1%eth0", "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, ok := sourceOf(in)
		if !ok {
			return
		}
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" || p.Addr().IsUnspecified() && p.Bits() == 32 {
			t.Errorf("%q: %v", in, p)
		}
		if again, ok := sourceOf([]byte(p.Addr().String())); p.Addr() != netip.IPv6Unspecified() && (!ok || again != p) {
			t.Errorf("%q: %v reads back as %v", in, p, again)
		}
	})
}

func TestTally(t *testing.T) {
	var c tally
	for i := 1; i <= 7; i++ {
		if got := c.add([16]byte{1}, noon); got != i {
			t.Errorf("count %d: %d", i, got)
		}
	}
	if got := c.get([16]byte{1}, noon.Add(59*time.Second)); got != 7 {
		t.Errorf("59 s later: %d", got)
	}
	if got := c.get([16]byte{1}, noon.Add(time.Minute)); got != 0 {
		t.Errorf("a minute later: %d", got)
	}
	for i := range sourceEntries + 100 {
		c.add([16]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}, noon)
	}
	if len(c.counts) != sourceEntries {
		t.Errorf("%d keys are counted, want %d", len(c.counts), sourceEntries)
	}
}
