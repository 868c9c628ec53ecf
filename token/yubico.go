package token

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// The log that Yubico's personalization tool keeps of the keys it wrote, in its two shapes:
//
//	traditional  kind, time, slot, public identity, private identity, secret, two access codes, three flags, digits, flags ...
//	             after lines "LOGGING START, time"; OATH-HOTP keys are known by their public identity
//	Yubico       serial, public identity, private identity, secret, access code, time; OATH-HOTP keys have no public
//	             identity, and the counter of the first code in the place of the private one
//
// Only OATH-HOTP is taken. Yubico OTP, static passwords and challenge-response are refused by name.

// yubicoLine is how such a file begins.
var yubicoLine = regexp.MustCompile(`^(#[^\n]*\n\s*)*("?(LOGGING START|Yubico OTP|OATH-HOTP|Static Password|Challenge-Response)[^,\n]*,|` +
	`[0-9]{1,12},[0-9A-Za-z]*,[0-9a-fA-F]*,[0-9a-fA-F]{32,40},[^,\n]*,[^,\n]*,?\r?(\n|$))`)

type yubicoReader struct{ lines *csvReader }

func (y *yubicoReader) close() { y.lines.close() }

func (y *yubicoReader) next() (*Row, error) {
	for {
		line, err := y.lines.nextLine()
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff")))
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if err := y.lines.split(line); err != nil {
			return nil, err
		}
		if string(y.lines.fields[0]) != "LOGGING START" {
			return y.row(y.lines.fields)
		}
	}
}

func (y *yubicoReader) row(f [][]byte) (*Row, error) {
	row := &Row{Line: y.lines.line, Token: Token{Form: Hardware, Mode: HOTP, Hash: SHA1, State: InStock, Last: NoStep}}
	read := y.plain
	if _, err := parseNumber(string(f[0]), 0, 1<<62); err != nil {
		read = y.traditional
	}
	err := read(row, f)
	if err == nil {
		row.Token.Digits = cmp.Or(row.Token.Digits, y.lines.options.Assume.Digits)
		if row.Token.Digits == 0 {
			row.Token.Digits = 6
			row.Warnings = append(row.Warnings, "the file does not say how many digits its codes have; read as 6")
		}
		if err = row.Token.Check(); err != nil {
			err = y.lines.fault("", err)
		}
	}
	if err != nil {
		clear(row.Seed)
		return nil, err
	}
	return row, nil
}

// secret reads what the tool writes in hexadecimal.
func (y *yubicoReader) secret(row *Row, text []byte) (err error) {
	if row.Seed, err = decodeSecret(text, decodeHex); err != nil {
		return y.lines.fault("secret", err)
	}
	return nil
}

// traditional reads a line that begins with its kind.
func (y *yubicoReader) traditional(row *Row, f [][]byte) error {
	if kind := string(f[0]); kind != "OATH-HOTP" {
		return y.lines.fault("", refusedYubico(kind))
	}
	if len(f) < 12 {
		return y.lines.fault("", fmt.Errorf("it has %d fields: want 12 or more; the file seems to be cut off here", len(f)))
	}
	row.Token.Serial = string(f[3])
	if row.Token.Serial == "" {
		return y.lines.fault("public identity", errors.New("it is empty, so nobody could find the token again; let the tool write its Yubico format, which has serials"))
	}
	if digits := string(f[11]); digits != "0" && digits != "" {
		n, err := parseNumber(digits, MinDigits, MaxDigits)
		if err != nil {
			return y.lines.fault("digits", err)
		}
		row.Token.Digits = uint8(n)
	}
	return y.secret(row, f[5])
}

// plain reads a line that begins with a serial.
func (y *yubicoReader) plain(row *Row, f [][]byte) error {
	switch {
	case len(f) < 6:
		return y.lines.fault("", fmt.Errorf("it has %d fields: want 6; the file seems to be cut off here", len(f)))
	case len(f[1]) > 0 && len(f[2]) == 12:
		return y.lines.fault("", refusedYubico("Yubico OTP"))
	case len(f[2]) == 0:
		return y.lines.fault("", refusedYubico("Static Password"))
	}
	row.Token.Serial = string(f[0])
	counter, err := parseNumber(string(f[2]), 0, MaxCounter)
	if err != nil {
		return y.lines.fault("counter", err)
	}
	row.Token.Last = counter - 1
	return y.secret(row, f[3])
}

func refusedYubico(kind string) error {
	for _, known := range []string{"Yubico OTP", "Static Password", "Challenge-Response"} {
		if strings.HasPrefix(kind, known) {
			return fmt.Errorf("%s is not taken: want OATH-HOTP; write that to a slot of the key", known)
		}
	}
	return fmt.Errorf("%s: want OATH-HOTP", shown(kind))
}
