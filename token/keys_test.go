package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func testOuterKey(t testing.TB) *OuterKey {
	t.Helper()
	path := filepath.Join(t.TempDir(), "outer.key")
	if err := NewOuterKeyFile(path); err != nil {
		t.Fatal(err)
	}
	o, err := LoadOuterKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func testKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// unsaved keeps nothing of new keys.
func unsaved(*Keys) error { return nil }

// TestRotateSavesFirst: nothing is sealed under a key before that is durable, nor after it could not be saved.
func TestRotateSavesFirst(t *testing.T) {
	k, broken := testKeys(t), errors.New("disk")
	for _, fail := range []error{broken, nil} {
		err := k.Rotate(func(next *Keys) error {
			if k.Version() != 1 || next.Version() != 2 {
				t.Errorf("versions %d and %d while it is saved", k.Version(), next.Version())
			}
			return fail
		})
		if !errors.Is(err, fail) {
			t.Errorf("%v, want %v", err, fail)
		}
		if want := map[bool]uint32{true: 1, false: 2}[fail != nil]; k.Version() != want {
			t.Errorf("version %d, want %d", k.Version(), want)
		}
	}
}

func TestKeysOverWrapAndRotation(t *testing.T) {
	o, k := testOuterKey(t), testKeys(t)
	seed := []byte("12345678901234567890")
	old, err := k.SealSeed(7, seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(unsaved); err != nil {
		t.Fatal(err)
	}
	fresh, err := k.SealSeed(7, seed)
	if err != nil {
		t.Fatal(err)
	}
	if old.Version != 1 || fresh.Version != 2 || k.Version() != 2 {
		t.Fatalf("versions %d, %d, %d: want 1, 2, 2", old.Version, fresh.Version, k.Version())
	}
	blob, err := k.Wrap(o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Unwrap(o, blob)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []SealedSeed{old, fresh} {
		got, err := again.OpenSeed(nil, 7, s)
		if err != nil || !bytes.Equal(got, seed) {
			t.Fatalf("version %d: %v, seed equal: %t", s.Version, err, bytes.Equal(got, seed))
		}
	}
	if again.Fingerprint(seed) != k.Fingerprint(seed) {
		t.Error("the fingerprint changed with the wrap or the rotation")
	}
	if again.Derive("pin") != k.Derive("pin") {
		t.Error("the derived key changed with the wrap or the rotation")
	}
	if k.Derive("pin") == k.Derive("state") {
		t.Error("two purposes share a key")
	}
	if testKeys(t).Fingerprint(seed) == k.Fingerprint(seed) {
		t.Error("two stores give a seed the same fingerprint")
	}
	if k.Fingerprint(append(bytes.Clone(seed), 0)) != k.Fingerprint(seed) {
		t.Error("a seed with a zero octet after it shows the same codes and has another fingerprint")
	}
}

func TestSealedSeedOpensNowhereElse(t *testing.T) {
	k := testKeys(t)
	seed := []byte("12345678901234567890")
	s, err := k.SealSeed(7, seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(unsaved); err != nil {
		t.Fatal(err)
	}
	cut := SealedSeed{s.Version, s.Data[:len(s.Data)-1]}
	flipped := SealedSeed{s.Version, bytes.Clone(s.Data)}
	flipped.Data[0] ^= 1
	for name, c := range map[string]struct {
		keys *Keys
		id   ID
		s    SealedSeed
	}{
		"other token":     {k, 8, s},
		"other version":   {k, 7, SealedSeed{2, s.Data}},
		"unknown version": {k, 7, SealedSeed{9, s.Data}},
		"other store":     {testKeys(t), 7, s},
		"cut":             {k, 7, cut},
		"flipped":         {k, 7, flipped},
		"empty":           {k, 7, SealedSeed{1, nil}},
	} {
		if got, err := c.keys.OpenSeed(nil, c.id, c.s); err == nil || got != nil {
			t.Errorf("%s: opened", name)
		}
	}
	// The version is bound by itself, not only because each version has another key.
	d := k.ring.Load().data[0]
	twin, err := newKeys([keySize]byte{1}, []dataKey{d, {2, d.key, d.aead}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := twin.OpenSeed(nil, 7, SealedSeed{2, s.Data}); err == nil {
		t.Error("a seed opened under another version of the same key")
	}
	for _, seed := range [][]byte{nil, make([]byte, 15), make([]byte, 129), make([]byte, 20)} {
		if _, err := k.SealSeed(7, seed); err == nil {
			t.Errorf("a seed of %d equal octets was sealed", len(seed))
		}
	}
}

func TestUnwrapRefuses(t *testing.T) {
	o, k := testOuterKey(t), testKeys(t)
	blob, err := k.Wrap(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Unwrap(testOuterKey(t), blob); !errors.Is(err, ErrWrongOuterKey) {
		t.Errorf("another outer key: %v", err)
	}
	damaged := bytes.Clone(blob)
	damaged[len(damaged)-1] ^= 1
	if _, err := Unwrap(o, damaged); !errors.Is(err, ErrWrongOuterKey) {
		t.Errorf("damaged: %v", err)
	}
	newer := bytes.Clone(blob)
	newer[0] = 2
	for _, b := range [][]byte{nil, {1}, newer} {
		if _, err := Unwrap(o, b); err == nil {
			t.Errorf("%d octets opened", len(b))
		}
	}
	// A seed sealed by a data key is no set of keys, even under the same key.
	inner := &OuterKey{k.ring.Load().data[0].aead}
	s, err := k.SealSeed(1, bytes.Repeat([]byte("seed"), 17)) // 68 octets, the length of one index and one data key
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Unwrap(inner, append([]byte{wrapFormat}, s.Data...)); !errors.Is(err, ErrWrongOuterKey) {
		t.Errorf("a sealed seed opened as keys: %v", err)
	}
	for name, plain := range map[string][]byte{
		"no data key":      make([]byte, keySize),
		"version zero":     make([]byte, keySize+4+keySize),
		"part of a key":    make([]byte, keySize+4+keySize+1),
		"not even a index": nil,
	} {
		b := o.aead.Seal([]byte{wrapFormat}, nil, plain, []byte(purposeWrap))
		if _, err := Unwrap(o, b); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestOuterKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "outer.key")
	if err := NewOuterKeyFile(path); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := NewOuterKeyFile(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("overwriting: %v", err)
	}
	after, _ := os.ReadFile(path)
	if !bytes.Equal(before, after) {
		t.Error("the key file was changed")
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOuterKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for mode, want := range map[fs.FileMode]bool{0o440: true, 0o400: true, 0o444: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOuterKey(path); (err == nil) != want {
			t.Errorf("a credential of mode %04o: %v", mode, err)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{dir, pipe} {
		if _, err := LoadOuterKey(p); err == nil || !strings.Contains(err.Error(), p+" is not a plain file") {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := LoadOuterKey(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestOuterKeyText(t *testing.T) {
	good := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789ABCDEF"))
	for text, want := range map[string]string{
		good:                                   "",
		"# a\r\n\r\n " + good + " \r\n# b\r\n": "",
		"":                                     "holds no key",
		"# only words\n":                       "holds no key",
		good + "\n" + good + "\n":              "more than one line",
		good[:42] + "h=":                       "not base64",
		good[:40] + "\n":                       "octets",
		good + "AAAA\n":                        "not base64",
		good[:10] + "!" + good[11:]:            "not base64",
		base64.StdEncoding.EncodeToString(make([]byte, 32)): "one octet repeated",
		base64.StdEncoding.EncodeToString(make([]byte, 33)): "33 octets",
	} {
		_, err := parseOuterKey([]byte(text))
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%d octets of text: %v: want %q", len(text), err, want)
		}
		if err != nil && strings.Contains(err.Error(), good[:8]) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	path := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(path, bytes.Repeat([]byte("#\n"), maxKeyFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOuterKey(path); err == nil || !strings.Contains(err.Error(), path+": it is longer than 8192 octets") {
		t.Errorf("long file: %v", err)
	}
}

func TestKeysNeverPrint(t *testing.T) {
	var index [keySize]byte
	copy(index[:], "canary-canary-canary-canary-cana")
	d, err := loadDataKey(1, index)
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKeys(index, []dataKey{d})
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOuterKey(index[:])
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	for _, v := range []any{k, o, struct{ K *Keys }{k}, struct{ O *OuterKey }{o}} {
		logger.Info("x", "v", v)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			fmt.Fprintf(&log, verb+"\n", v)
		}
	}
	for _, bad := range []string{"canary", fmt.Sprintf("%x", "canary"), "99 97 110 97 114 121", "0x63, 0x61, 0x6e"} {
		if strings.Contains(log.String(), bad) {
			t.Errorf("%q was printed:\n%s", bad, log.String())
		}
	}
}

func TestOpenSeedAllocatesNothing(t *testing.T) {
	k := testKeys(t)
	s, err := k.SealSeed(7, []byte("12345678901234567890"))
	if err != nil {
		t.Fatal(err)
	}
	room := make([]byte, 0, MaxSeed)
	n := testing.AllocsPerRun(1000, func() {
		if _, err := k.OpenSeed(room, 7, s); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func TestRotateWhileSealing(t *testing.T) {
	k := testKeys(t)
	seed := []byte("12345678901234567890")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if err := k.Rotate(unsaved); err != nil {
					t.Error(err)
				}
				s, err := k.SealSeed(7, seed)
				if err != nil {
					t.Error(err)
				}
				if got, err := k.OpenSeed(nil, 7, s); err != nil || !bytes.Equal(got, seed) {
					t.Errorf("%v, equal: %t", err, bytes.Equal(got, seed))
				}
			}
		})
	}
	wg.Wait()
	if k.Version() != 201 {
		t.Errorf("version %d after 200 rotations: want 201", k.Version())
	}
}

func FuzzUnwrap(f *testing.F) {
	k, o := testKeys(f), testOuterKey(f)
	blob, err := k.Wrap(o)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(blob)
	f.Add([]byte{wrapFormat})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Unwrap(o, b); err == nil && !bytes.Equal(b, blob) {
			t.Error("forged keys opened")
		}
		// What the seal would hide is checked too.
		_, _ = parseKeys(b)
	})
}

func FuzzOuterKeyText(f *testing.F) {
	f.Add([]byte("# key\n" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789ABCDEF")) + "\n"))
	f.Add([]byte("#\r\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseOuterKey(text)
		if (k == nil) == (err == nil) {
			t.Error("want a key or an error")
		}
	})
}
