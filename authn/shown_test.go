package authn

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "日本 太郎": "日本 太郎", "a\nb\r\x00": `a\x0ab\x0d\x00`, "\x1b[31m": `\x1b[31m`, "a\xffb": `a\xffb`,
		`a\x41`: `a\\x41`, "\u202eevil": `\xe2\x80\xaeevil`, "": "",
	} {
		if got := Shown([]byte(in)); got != want {
			t.Errorf("Shown(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzShown(f *testing.F) {
	f.Add([]byte("alice\n\x1b]0;x\a"))
	f.Fuzz(func(t *testing.T, name []byte) {
		s := Shown(name)
		if !utf8.ValidString(s) || strings.ContainsAny(s, "\n\r\t\x00\x1b\u2028\u202e") {
			t.Errorf("Shown(%q) = %q", name, s)
		}
	})
}
