package token

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"regexp"
	"strings"
)

// Feitian ships seeds in two shapes. The XML is a KeyContainer from before RFC 6030: its packages are called Device, a key has
// KeyId and KeyAlgorithm, and the format of codes may stand in Usage. The reader of PSKC takes it with these names. The text
// has a serial and a seed in hexadecimal on each line and says nothing else, so the rest is assumed.

const feitianPackage = "Device"

// isFeitian looks at the first package of a container in another namespace than RFC 6030's.
func (p *pskcReader) isFeitian(first xml.StartElement) bool {
	if first.Name == (xml.Name{Space: p.space, Local: feitianPackage}) {
		p.wrong, p.feitian = nil, true
	}
	return p.feitian
}

func keyID(key *element) string { return cmp.Or(key.attr("Id"), key.attr("KeyId")) }

// keyParts gives what stands in a Key. In Feitian's, Usage takes the place of AlgorithmParameters.
func (p *pskcReader) keyParts(key *element) (map[string]*element, error) {
	names := []string{"Issuer", "AlgorithmParameters", "KeyProfileId", "KeyReference", "FriendlyName", "Data", "UserId", "Policy", "Extensions"}
	if p.feitian {
		names = append(names, "Usage")
	}
	parts, err := key.parts(names...)
	if err == nil && parts["AlgorithmParameters"] == nil {
		parts["AlgorithmParameters"] = parts["Usage"]
	}
	return parts, err
}

// feitianLine is a line of a serial and a seed, with a blank, a tab, a comma or a semicolon between.
var feitianLine = regexp.MustCompile(`^([0-9A-Za-z-]{4,32})[ \t,;]+([0-9a-fA-F]{32,256})[ \t]*(\r?\n|$)`)

// feitianReader reads such lines.
type feitianReader struct{ lines *csvReader }

func (f *feitianReader) close() { f.lines.close() }

func (f *feitianReader) next() (*Row, error) {
	for {
		line, err := f.lines.nextLine()
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff")))
		if len(line) > 0 {
			return f.row(line)
		}
	}
}

func (f *feitianReader) row(line []byte) (*Row, error) {
	words := bytes.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" \t,;", c) })
	if len(words) != 2 {
		return nil, f.lines.fault("", errors.New("want a serial and a secret in hexadecimal, with a blank between"))
	}
	assume := &f.lines.options.Assume
	row := &Row{Line: f.lines.line, Token: Token{Serial: string(words[0]), Form: Hardware, Mode: cmp.Or(assume.Mode, TOTP),
		Digits: cmp.Or(assume.Digits, 6), State: InStock, Last: NoStep}}
	if shortened.MatchString(row.Token.Serial) {
		return nil, f.lines.fault("serial", errors.New("it is what a spreadsheet makes of a long number; ask for the file again"))
	}
	var err error
	if row.Seed, err = decodeSecret(words[1], decodeHex); err != nil {
		return nil, f.lines.fault("secret", err)
	}
	row.guessHash(f.lines.options)
	if row.Token.Mode == TOTP {
		row.Token.Period = cmp.Or(assume.Period, 30)
	}
	if *assume == (Assumed{}) {
		row.Warnings = append(row.Warnings, "the file tells only serials and secrets; read as totp, SHA1, 6 digits, 30 s, so try a code first or say what to assume")
	}
	err = row.Token.Check()
	if err == nil {
		err = f.lines.compare(row)
	} else {
		err = f.lines.fault("", err)
	}
	if err != nil {
		clear(row.Seed)
		return nil, err
	}
	return row, nil
}
