package token

import (
	"fmt"
	"strings"
)

// Encoding is how a seed file writes secrets.
type Encoding uint8

// The encodings.
const (
	AnyEncoding Encoding = iota
	Hex
	Base32
	Base64
)

// ParseEncoding reads "hex", "base32" or "base64", and "" or "auto" as [AnyEncoding].
func ParseEncoding(s string) (Encoding, error) {
	switch strings.ToLower(s) {
	case "", "auto":
		return AnyEncoding, nil
	case "hex":
		return Hex, nil
	case "base32":
		return Base32, nil
	case "base64":
		return Base64, nil
	}
	return 0, fmt.Errorf("encoding %s: want hex, base32 or base64", shown(s))
}

// String gives the word that options use.
func (e Encoding) String() string {
	switch e {
	case Hex:
		return "hex"
	case Base32:
		return "base32"
	case Base64:
		return "base64"
	}
	return "auto"
}
