package token

import (
	"bytes"
	"strings"
	"testing"
)

// wide writes digits as a Japanese input method does.
func wide(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r - '0' + '０'
		}
		return r
	}, s)
}

func TestCleanCode(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"123456", "123456"},
		{"000012", "000012"},
		{"12345678", "12345678"},
		{"1234567", "1234567"},
		{"123 456", "123456"},
		{" 123-456\r\n", "123456"},
		{"1 2 3 4 5 6", "123456"},
		{"123\u3000456", "123456"},
		{"\u00a0123\u202f456\u2009", "123456"},
		{"123\u2010456", "123456"},
		{"123\u2212456", "123456"},
		{"123\uff0d456", "123456"},
		{wide("012345"), "012345"},
		{wide("012") + " 345", "012345"},
		{"", ""},
		{"   ", ""},
		{"12345", ""},
		{"123456789", ""},
		{"12345a", ""},
		{"123456\x00", ""},
		{"123.456", ""},
		{"+123456", ""},
		{"１２３４５", ""},
		{"\u2460\u2461\u2462\u2463\u2464\u2465", ""}, // circled digits
		{"\u0661\u0662\u0663\u0664\u0665\u0666", ""}, // Arabic-Indic digits
		{"123456\xef\xbc", ""},
		{"123456\xef\xbc\x9a", ""}, // the full-width colon follows the nine
		{"\xef\xbc\x8f123456", ""}, // and the full-width slash stands before the zero
		{"123456\xff", ""},
	} {
		got, ok := CleanCode([]byte(c.text))
		if string(got) != c.want || ok != (c.want != "") {
			t.Errorf("%q: %q, %t: want %q", c.text, got, ok, c.want)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		text       string
		n          int
		rest, code string // SplitLast
		first      bool   // the mirror case is tried with SplitFirst too
	}{
		{"secret123456", 6, "secret", "123456", true},
		{"123456", 6, "", "123456", true},
		{"pass99123456", 6, "pass99", "123456", false},
		{"secret12345678", 8, "secret", "12345678", true},
		{"secret000001", 6, "secret", "000001", true},
		{"secret123 456", 6, "secret", "123456", true},
		{"secret 123 456", 6, "secret ", "123456", false},
		{"secret12 34 56", 6, "secret", "123456", true},
		{"secret123\u3000456", 6, "secret", "123456", true},
		{"secret" + wide("123456"), 6, "secret", "123456", true},
		{"秘密" + wide("123 456"), 6, "秘密", "123456", true},
		{wide("9") + "123456", 6, wide("9"), "123456", false},
		{"\xff\xfe123456", 6, "\xff\xfe", "123456", true},
		{"\x8f\xbc123456", 6, "\x8f\xbc", "123456", true},
		{"a\xef\xbc123456", 6, "a\xef\xbc", "123456", false},
		{"secret12345", 6, "", "", true},
		{"secret123  456", 6, "", "", true},
		{"secret123-456", 6, "", "", true},
		{"secret123456 ", 6, "", "", false},
		{"secret12345a", 6, "", "", false},
		{"", 6, "", "", true},
		{"12345", 6, "", "", true},
		{" ", 6, "", "", true},
		{"secret123456", 5, "", "", false},
		{"secret123456789", 9, "", "", false},
		{"secret123456", 0, "", "", false},
		{"secret123456", -1, "", "", false},
	} {
		text := []byte(c.text)
		rest, code, ok := SplitLast(text, c.n)
		if !ok {
			if c.code != "" || code != nil || string(rest) != c.text {
				t.Errorf("last %d of %q: nothing, rest %q", c.n, c.text, rest)
			}
		} else if string(rest) != c.rest || string(code) != c.code {
			t.Errorf("last %d of %q: %q and %q: want %q and %q", c.n, c.text, rest, code, c.rest, c.code)
		}
		if string(text) != c.text {
			t.Errorf("%q was changed", c.text)
		}
		if !c.first {
			continue
		}
		mirror := c.text[len(c.rest):] + c.rest
		rest, code, ok = SplitFirst([]byte(mirror), c.n)
		if ok != (c.code != "") || (ok && (string(rest) != c.rest || string(code) != c.code)) || (!ok && string(rest) != mirror) {
			t.Errorf("first %d of %q: %q and %q, %t", c.n, mirror, rest, code, ok)
		}
	}
}

func TestSplitKeepsApart(t *testing.T) {
	// Whoever appends to a part must not write into its neighbour.
	text := []byte("123456secret")
	_, code, _ := SplitFirst(text, 6)
	_ = append(code, "xxx"...)
	if string(text) != "123456secret" {
		t.Errorf("the rest was overwritten: %s", text)
	}
	plain, spaced := []byte("secret123456"), []byte(" 123456 ")
	if n := testing.AllocsPerRun(100, func() {
		SplitLast(plain, 6)
		SplitFirst(plain, 6)
		CleanCode(spaced)
	}); n != 0 {
		t.Errorf("%v allocations for plain digits", n)
	}
}

func FuzzCleanCode(f *testing.F) {
	f.Add([]byte("123 456"))
	f.Add([]byte(wide("123-45678")))
	f.Fuzz(func(t *testing.T, text []byte) {
		code, ok := CleanCode(text)
		if ok != isCode(code, len(code)) || (!ok && code != nil) {
			t.Fatalf("%q: %q, %t", text, code, ok)
		}
		if again, same := CleanCode(code); ok && (!same || !bytes.Equal(again, code)) {
			t.Fatalf("%q: cleaned again it is %q", code, again)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("secret123 456"), 6)
	f.Add([]byte(wide("123456")+"秘密"), 6)
	f.Add([]byte("\xef\xbc\x90 \xe3\x80\x80\xff12345678"), 8)
	f.Fuzz(func(t *testing.T, text []byte, n int) {
		for name, split := range map[string]func([]byte, int) ([]byte, []byte, bool){"last": SplitLast, "first": SplitFirst} {
			rest, code, ok := split(text, n)
			if !ok {
				if code != nil || !bytes.Equal(rest, text) {
					t.Fatalf("%s: %q: no code, rest %q", name, text, rest)
				}
				continue
			}
			cut := text[len(rest):]
			whole := bytes.HasPrefix(text, rest)
			if name == "first" {
				cut = text[:len(text)-len(rest)]
				whole = bytes.HasSuffix(text, rest)
			}
			cleaned, clean := CleanCode(cut)
			if !whole || !isCode(code, n) || !clean || !bytes.Equal(cleaned, code) {
				t.Fatalf("%s: %q: rest %q, code %q", name, text, rest, code)
			}
		}
	})
}

func isCode(code []byte, n int) bool {
	return n >= MinDigits && n <= MaxDigits && len(code) == n && len(bytes.Trim(code, "0123456789")) == 0
}
