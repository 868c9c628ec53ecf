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
	ahead := &csvReader{in: bufio.NewReaderSize(bytes.NewReader(text), maxLine), options: c.options, separator: c.separator}
	if c.encoding, err = ahead.survey(at); err != nil {
		return c.fault(c.columns[at].name, err)
	}
	c.in = bufio.NewReaderSize(bytes.NewReader(text), maxLine)
	return nil
}

// minShape is the shortest text that says something about its encoding, in characters.
const minShape = 16

// looks says in which encodings a secret may be. Hex and base32 go by the letters alone, whatever the length of the secret:
// the digits of hex and the letters of base32 in one case are too few of those of base64 for a secret in base64 to look like
// them by chance (1 in 10^8), while a secret in hex that is too short for us may be a good one in base64.
func looks(text []byte) (hex, base32, base64 bool) {
	if len(text) < minShape {
		return false, false, false
	}
	read := func(decode func([]byte) (Seed, error)) bool {
		seed, err := decode(bytes.Clone(text))
		clear(seed)
		return err == nil
	}
	oneCase := bytes.Equal(text, bytes.ToUpper(text)) || bytes.Equal(text, bytes.ToLower(text))
	return read(decodeHex), oneCase && read(decodeBase32), read(decodeBase64)
}

// survey looks at the secrets of all lines together. Between hex and base32 the larger number wins and equal numbers leave it
// open; base64 is what looks like neither.
func (c *csvReader) survey(at int) (Encoding, error) {
	rows, hex, base32, base64 := 0, 0, 0, 0
	for {
		line, err := c.nextLine()
		if err != nil && (!errors.As(err, new(*RowError)) || errors.As(err, new(endError))) {
			break // the file ends or what follows cannot be made out; reading it says so
		}
		if err != nil || c.split(line) != nil || at >= len(c.fields) || len(c.fields[at]) == 0 {
			continue
		}
		rows++
		packed := withoutBlanks(c.fields[at])
		isHex, isBase32, isBase64 := looks(packed)
		clear(packed)
		if isHex {
			hex++
		}
		if isBase32 {
			base32++
		}
		if isBase64 {
			base64++
		}
	}
	switch {
	case hex == 0 && base32 == 0 && base64 == 0:
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
