package token

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
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

// maxReadAhead bounds a file whose encoding has to be found out, in octets: such a file is held in memory. 100,000 tokens
// take some 10 MB.
const maxReadAhead = 64 << 20

// decode reads a secret. What was not found out can only be a fault.
func (e Encoding) decode(text []byte) (Seed, error) {
	switch e {
	case Hex:
		return decodeSecret(text, decodeHex)
	case Base32:
		return decodeSecret(text, decodeBase32)
	case Base64:
		return decodeSecret(text, decodeBase64)
	}
	return nil, errors.New("the secret is not 16 to 128 octets in hexadecimal, base32 or base64")
}

// findEncoding settles how the file writes its secrets: by the column's name, by the option, or else by all of its secrets
// together. One secret can look like two encodings, and a wrong guess gives a token that never opens anything.
func (c *csvReader) findEncoding() error {
	at := slices.IndexFunc(c.columns, func(col column) bool { return isSecret(col.field) })
	byName, err := ParseEncoding(strings.TrimPrefix(strings.TrimPrefix(c.columns[at].field, "secret"), "_"))
	if err != nil {
		return err
	}
	asked := c.options.Encoding
	switch {
	case byName != AnyEncoding && asked != AnyEncoding && byName != asked:
		return c.fault(c.columns[at].name, fmt.Errorf("by its name it is %v, and %v was asked for", byName, asked))
	case byName != AnyEncoding:
		c.encoding = byName
		return nil
	case asked != AnyEncoding:
		c.encoding = asked
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(c.in, maxReadAhead+1))
	c.text = text
	switch {
	case err != nil:
		return fmt.Errorf("reading it: %w", err)
	case len(text) > maxReadAhead:
		return c.fault(c.columns[at].name, fmt.Errorf("the file is longer than %d MB: say how its secrets are written, hex, base32 or base64", maxReadAhead>>20))
	}
	// Lines are taken apart in place, so the survey works on a copy.
	survey := csvReader{in: bufio.NewReaderSize(bytes.NewReader(text), maxLine), options: c.options, separator: c.separator}
	counts, err := survey.count(at)
	if err != nil {
		return c.fault(c.columns[at].name, err)
	}
	c.encoding = counts
	c.in = bufio.NewReaderSize(bytes.NewReader(text), maxLine)
	return nil
}

// count reads the secrets of all lines in each way.
//
// The digits of hex and the letters of base32 in one case are too few of those of base64 for a secret in base64 to look like
// them by chance (1 in 10^10), so base64 is what is left. Between hex and base32, most wins; equal numbers leave it open.
func (c *csvReader) count(at int) (Encoding, error) {
	rows, hex, base32, base64 := 0, 0, 0, 0
	reads := func(e Encoding, text []byte) int {
		seed, err := e.decode(text)
		clear(seed)
		if err != nil {
			return 0
		}
		return 1
	}
	for {
		line, err := c.nextLine()
		if err != nil && !errors.As(err, new(*RowError)) || errors.As(err, new(endError)) {
			break // where the file ends, or what follows cannot be made out; reading it says so
		}
		if err != nil || c.split(line) != nil || at >= len(c.fields) || len(c.fields[at]) == 0 {
			continue
		}
		text := c.fields[at]
		rows++
		hex += reads(Hex, text)
		base64 += reads(Base64, text)
		if bytes.Equal(text, bytes.ToUpper(text)) || bytes.Equal(text, bytes.ToLower(text)) {
			base32 += reads(Base32, text)
		}
	}
	switch {
	case rows == 0 || (hex == 0 && base32 == 0 && base64 == 0):
		return AnyEncoding, nil // no line has a secret; each says so
	case hex > base32 && 2*hex >= rows:
		return Hex, nil
	case base32 > hex && 2*base32 >= rows:
		return Base32, nil
	case hex == 0 && base32 == 0:
		return Base64, nil
	case hex == base32:
		return 0, errors.New("the secrets can be read as hex and as base32: say which of the two they are")
	}
	return 0, fmt.Errorf("%d of %d secrets look like hex, %d like base32: say how they are written (hex, base32 or base64); one file has one encoding", hex, rows, base32)
}
