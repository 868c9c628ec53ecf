package token

import (
	"strings"
	"testing"
)

func TestReadTokensFromURIs(t *testing.T) {
	text := "\ufeff\r\notpauth://totp/Sekisho:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Sekisho\r\n\n" +
		"OTPAUTH://hotp/bob?secret=MZXW6YTBMZXW6YTBMZXW6YTBMZXW6YTB&counter=7&digits=8\n"
	var rows []Row
	if err := ReadTokens(strings.NewReader(text), ReadOptions{}, func(r Row) error { rows = append(rows, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 {
		t.Fatalf("%d rows, want 2", len(rows))
	}
	a, b := rows[0], rows[1]
	if a.User != "alice" || a.Line != 2 || a.Token.Mode != TOTP || a.Token.Period != 30 || a.Token.Form != Software || a.Token.State != InStock {
		t.Errorf("first row: %+v", a)
	}
	if b.User != "bob" || b.Line != 4 || b.Token.Mode != HOTP || b.Token.Digits != 8 || b.Token.Last != 6 {
		t.Errorf("second row: %+v", b)
	}
}

func TestReadTokensFromURIsFaults(t *testing.T) {
	const good = "otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n"
	for name, c := range map[string]struct{ text, want string }{
		"twice":     {good + strings.Replace(good, "alice", "bob", 1), "line 2: line 1 has the same secret"},
		"bundle":    {"otpauth-migration://offline?data=CjEKFLLL\n", "line 1: its data cannot be read; it was cut or changed"},
		"no URI":    {good + "alice,GEZDGNBV\n", "line 2: reading an otpauth URI"},
		"no user":   {"otpauth://totp/?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n", "line 1: "},
		"bad digit": {good + "otpauth://totp/bob?secret=MZXW6YTBMZXW6YTBMZXW6YTBMZXW6YTB&digits=40\n", "line 2: "},
		"not UTF-8": {good + "otpauth://totp/\xff?secret=MZXW6YTBMZXW6YTBMZXW6YTBMZXW6YTB\n", "line 2: it is not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			err := ReadTokens(strings.NewReader(c.text), ReadOptions{}, func(Row) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q in it", err, c.want)
			}
			if strings.Contains(err.Error(), "GEZDGNBV") || strings.Contains(err.Error(), "MZXW6") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
