package storage

import (
	"bytes"
	"testing"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// TestFoldASCII compares the short way with the tables of Unicode, for every octet it takes.
func TestFoldASCII(t *testing.T) {
	for c := range 0x80 {
		name := []byte{'A', byte(c), 'z'}
		got, ok := foldASCII(name)
		want := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(string(name))))
		if !ok || got != want {
			t.Errorf("%q became %q, %v; want %q", name, got, ok, want)
		}
	}
	if _, ok := foldASCII([]byte("Stra\xc3\x9fe")); ok {
		t.Error("a name beyond ASCII went the short way")
	}
	longest := bytes.Repeat([]byte("X"), maxName)
	if got, ok := foldASCII(longest); !ok || got != string(bytes.ToLower(longest)) {
		t.Errorf("the longest name became %q, %v", got, ok)
	}
}
