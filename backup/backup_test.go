package backup

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func pair(t testing.TB) Identity {
	t.Helper()
	i, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func sealed(t testing.TB, to Recipient, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, to, Header{Made: time.Unix(0, 0).UTC(), Host: "vpn", Version: "1", Seq: 42, Size: int64(len(plain))})
	if err != nil {
		t.Fatal(err)
	}
	for rest := plain; len(rest) > 0; { // in odd pieces
		n := min(len(rest), 7777)
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func opened(by Identity, b []byte) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(b), by)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestRoundTrip(t *testing.T) {
	i := pair(t)
	for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3 * chunkSize, 3*chunkSize + 5} {
		plain := make([]byte, n)
		_, _ = rand.Read(plain)
		b := sealed(t, i.Recipient(), plain)
		got, err := opened(i, b)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d octets: %d came back, %v", n, len(got), err)
		}
		if n > 100 && bytes.Contains(b, plain[:100]) {
			t.Errorf("%d octets: they stand in the clear", n)
		}
		if h, err := ReadHeader(bytes.NewReader(b)); err != nil || h.Seq != 42 || h.Recipient != i.Recipient().String() {
			t.Errorf("header %+v, %v", h, err)
		}
	}
}

// Every octet counts: a flipped bit anywhere, and every length but the whole one, opens nothing or ends in an error.
func TestDamage(t *testing.T) {
	i := pair(t)
	plain := bytes.Repeat([]byte("0123456789abcdef"), 2*chunkSize/16+3)
	b := sealed(t, i.Recipient(), plain)
	places := []int{}
	for p := 0; p < len(b); p += 997 {
		places = append(places, p)
	}
	for p := range 700 {
		places = append(places, p)
	}
	for _, p := range append(places, len(b)-1) {
		changed := bytes.Clone(b)
		changed[p] ^= 1
		if got, err := opened(i, changed); err == nil {
			t.Errorf("octet %d changed: opened with %d octets", p, len(got))
		}
	}
	for _, n := range append(places, len(b)-1) {
		if _, err := opened(i, b[:n]); err == nil {
			t.Errorf("cut to %d octets: opened", n)
		}
	}
	if _, err := opened(i, append(bytes.Clone(b), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("an octet behind the end: %v", err)
	}
	// Whole chunks left out, or in another order.
	start := bytes.IndexByte(b[len(magic):], '\n') + len(magic) + 1 + keySize
	chunk := 4 + chunkSize + tagSize
	if _, err := opened(i, append(bytes.Clone(b[:start]), b[start+chunk:]...)); err == nil {
		t.Error("without its first chunk: opened")
	}
	swapped := bytes.Clone(b)
	copy(swapped[start:], b[start+chunk:start+2*chunk])
	copy(swapped[start+chunk:], b[start:start+chunk])
	if _, err := opened(i, swapped); err == nil {
		t.Error("with two chunks swapped: opened")
	}
	if _, err := opened(i, b[:start+2*chunk]); !errors.Is(err, ErrCut) {
		t.Errorf("without its last chunk: %v", err)
	}
}

// What is missing shows without a key too.
func TestCheck(t *testing.T) {
	i := pair(t)
	for _, n := range []int{0, 1, chunkSize, 2*chunkSize + 5} {
		b := sealed(t, i.Recipient(), make([]byte, n))
		if h, err := Check(bytes.NewReader(b)); err != nil || h.Seq != 42 || h.Size != int64(n) {
			t.Errorf("%d octets: %+v, %v", n, h, err)
		}
		start := bytes.IndexByte(b[len(magic):], '\n') + len(magic) + 1
		for cut := start; cut < len(b); cut += 1 + len(b)/50 {
			if _, err := Check(bytes.NewReader(b[:cut])); err == nil && !(n == 0 && cut == start+keySize) {
				t.Errorf("%d octets, cut to %d of %d: taken for whole", n, cut, len(b))
			}
		}
		if n > chunkSize {
			if _, err := Check(bytes.NewReader(b[:start+keySize+4+chunkSize+tagSize])); !errors.Is(err, ErrCut) {
				t.Errorf("cut between two chunks: %v", err)
			}
		}
		if _, err := Check(bytes.NewReader(append(bytes.Clone(b), b[len(b)-4:]...))); err == nil {
			t.Errorf("%d octets and more behind: taken for whole", n)
		}
	}
}

func TestAnotherKey(t *testing.T) {
	i, other := pair(t), pair(t)
	b := sealed(t, i.Recipient(), []byte("x"))
	if _, err := opened(other, b); err == nil || !strings.Contains(err.Error(), i.Recipient().String()) {
		t.Errorf("%v; want it to name the recipient", err)
	}
	// A header that names another recipient does not help.
	forged := bytes.Replace(b, []byte(i.Recipient().String()), []byte(other.Recipient().String()), 1)
	if _, err := opened(other, forged); !errors.Is(err, ErrDamaged) {
		t.Errorf("forged header: %v", err)
	}
	if _, err := opened(i, []byte("PK\x03\x04")); !errors.Is(err, ErrNotBackup) {
		t.Errorf("another file: %v", err)
	}
}

func TestKeys(t *testing.T) {
	i := pair(t)
	s := i.Recipient().String()
	for _, ok := range []string{s, strings.ToUpper(s), " " + s[:30] + " " + s[30:] + "\n"} {
		if r, err := ParseRecipient(ok); err != nil || r.String() != s {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for p := range len(s) { // one mistyped character
		wrong := []byte(s)
		wrong[p] ^= 1
		if r, err := ParseRecipient(string(wrong)); err == nil && r.String() != s {
			t.Errorf("%q is taken for another recipient", wrong)
		}
	}
	for _, bad := range []string{"", "x", s[:len(s)-1], s + "a", recipientPrefix} {
		if _, err := ParseRecipient(bad); err == nil {
			t.Errorf("%q: taken", bad)
		}
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := WriteIdentity(path, i); err != nil {
		t.Fatal(err)
	}
	if err := WriteIdentity(path, i); err == nil {
		t.Error("an existing key was replaced")
	}
	got, err := LoadIdentity(path)
	if err != nil || got.Recipient().String() != s {
		t.Fatalf("%v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", i, i, i, i); strings.Contains(text, "SEKISHO") || !strings.Contains(text, "[secret]") {
		t.Errorf("the key prints: %s", text)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(path); err == nil {
		t.Error("a key for everybody was taken")
	}
}

func FuzzReader(f *testing.F) {
	i := pair(f)
	f.Add(sealed(f, i.Recipient(), []byte("hello")))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := opened(i, b); err == nil && string(got) != "hello" {
			t.Errorf("%d octets opened to %q", len(b), got)
		}
	})
}
