package token

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What import files and otpauth URIs have in common: the words for mode, hash and form, bounded numbers, and secrets as
// text. Their errors never show a secret, and other values only when they are too short to be one.

// shown quotes a value for an error. The shortest secrets that are about, too short for us, take 16 characters (10 octets
// in base32), so a secret that slipped into another field is counted, not shown.
func shown(value string) string {
	if n := utf8.RuneCountInString(value); n > 12 {
		return fmt.Sprintf("a text of %d characters", n)
	}
	return strconv.Quote(value)
}

// parseMode reads "totp" or "hotp" and what vendors write for them.
func parseMode(s string) (Mode, error) {
	switch strings.TrimPrefix(plainName(s), "oath") {
	case "totp", "time", "timebased":
		return TOTP, nil
	case "hotp", "event", "eventbased", "counter", "counterbased":
		return HOTP, nil
	}
	return 0, fmt.Errorf("%s: want totp or hotp", shown(s))
}

// parseHash reads "SHA1", "SHA-1", "HmacSHA1" and the like.
func parseHash(s string) (Hash, error) {
	switch strings.TrimPrefix(plainName(s), "hmac") {
	case "sha1":
		return SHA1, nil
	case "sha256":
		return SHA256, nil
	case "sha512":
		return SHA512, nil
	}
	return 0, fmt.Errorf("%s: want SHA1, SHA256 or SHA512", shown(s))
}

// parseForm reads "software" or "hardware".
func parseForm(s string) (Form, error) {
	switch strings.ToLower(s) {
	case "software":
		return Software, nil
	case "hardware":
		return Hardware, nil
	}
	return 0, fmt.Errorf("%s: want software or hardware", shown(s))
}

// parseNumber reads a decimal number without sign from low to high.
func parseNumber(s string, low, high int64) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) < low || int64(n) > high {
		return 0, fmt.Errorf("%s: want a number from %d to %d", shown(s), low, high)
	}
	return int64(n), nil
}

// decodeSecret reads a secret in one of the three spellings. Blanks are left out: people and tools group digits. The
// caller bounds the text.
func decodeSecret(text []byte, decode func([]byte) (Seed, error)) (Seed, error) {
	packed := withoutBlanks(text)
	defer clear(packed)
	seed, err := decode(packed)
	if err != nil {
		return nil, err
	}
	if err := CheckSeed(seed); err != nil {
		clear(seed)
		return nil, err
	}
	return seed, nil
}

// withoutBlanks gives a copy that the caller clears.
func withoutBlanks(text []byte) []byte {
	packed := make([]byte, 0, len(text))
	for _, c := range text {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			packed = append(packed, c)
		}
	}
	return packed
}

// decodeHex takes digits in either case, with or without 0x before them.
func decodeHex(text []byte) (Seed, error) {
	if len(text) > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') {
		text = text[2:]
	}
	seed := make(Seed, len(text)/2)
	if _, err := hex.Decode(seed, text); err != nil {
		clear(seed)
		return nil, errors.New("the secret is not hexadecimal: want an even number of the digits 0 to 9 and a to f")
	}
	return seed, nil
}

// decodeBase32 takes capital and small letters, with or without padding. Bits that are left over are not looked at, as in
// the apps: many secrets were drawn as letters, not as octets.
func decodeBase32(text []byte) (Seed, error) {
	text = trimPadding(text, 6)
	for i, c := range text {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
			text[i] = c
		}
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return nil, fmt.Errorf("character %d of the secret is not base32: want A to Z and 2 to 7; 0, 1, 8 and 9 are not among them", i+1)
		}
	}
	switch len(text) % 8 {
	case 1, 3, 6:
		return nil, fmt.Errorf("the secret has %d characters of base32, which no number of octets has: a character is missing or too many", len(text))
	}
	encoding := base32.StdEncoding.WithPadding(base32.NoPadding)
	seed := make(Seed, encoding.DecodedLen(len(text)))
	if _, err := encoding.Decode(seed, text); err != nil {
		clear(seed)
		return nil, errors.New("the secret is not base32")
	}
	return seed, nil
}

// decodeBase64 takes the standard alphabet, with or without padding.
func decodeBase64(text []byte) (Seed, error) {
	text = trimPadding(text, 2)
	seed := make(Seed, base64.RawStdEncoding.DecodedLen(len(text)))
	if _, err := base64.RawStdEncoding.Strict().Decode(seed, text); err != nil {
		clear(seed)
		return nil, errors.New("the secret is not base64: want A to Z, a to z, 0 to 9, + and /, not cut off")
	}
	return seed, nil
}

func trimPadding(text []byte, atMost int) []byte {
	for ; atMost > 0 && len(text) > 0 && text[len(text)-1] == '='; atMost-- {
		text = text[:len(text)-1]
	}
	return text
}
