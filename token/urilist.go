package token

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

var uriScheme = []byte("otpauth://")

// uriReader reads a file with one otpauth URI a line. A line may also be a bundle that an app exported, which holds several
// tokens.
type uriReader struct {
	lines   *csvReader
	bundles bundles
	entries [][]byte // of the current bundle, still to be read
	entered int      // entries of it that were read
}

func (u *uriReader) close() {
	for _, message := range u.entries {
		clear(message)
	}
	u.lines.close()
}

func (u *uriReader) next() (*Row, error) {
	for {
		if len(u.entries) > 0 {
			return u.entry()
		}
		line, err := u.lines.nextLine()
		if errors.Is(err, io.EOF) {
			if missing := u.bundles.missing(); missing != nil {
				return nil, missing
			}
		}
		if err != nil {
			return nil, err
		}
		if row, err := u.row(line); row != nil || err != nil {
			return row, err
		}
	}
}

// row reads one line; nil for a blank one and for a bundle, whose entries come next.
func (u *uriReader) row(line []byte) (*Row, error) {
	line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff")))
	if len(line) == 0 {
		return nil, nil
	}
	if len(line) >= len(migrationScheme) && bytes.EqualFold(line[:len(migrationScheme)], migrationScheme) {
		b, err := parseBundle(line)
		if err == nil {
			err = u.bundles.add(b, u.lines.line)
		}
		if err != nil {
			return nil, u.lines.fault("", err)
		}
		u.entries, u.entered = b.entries, 0
		return nil, nil
	}
	read, err := ParseURI(string(line))
	if err != nil {
		return nil, u.lines.fault("", err)
	}
	if read.User == "" {
		clear(read.Seed)
		return nil, u.lines.fault("", errors.New("its label names no account, so nobody would get the token; want the form otpauth://totp/Issuer:user?secret=KEY"))
	}
	return &Row{Line: u.lines.line, Token: read.Token, Seed: read.Seed, User: read.User}, nil
}

// entry reads the next token of a bundle.
func (u *uriReader) entry() (*Row, error) {
	message := u.entries[0]
	u.entries = u.entries[1:]
	u.entered++
	read, err := parseEntry(message)
	clear(message)
	name := "entry " + strconv.Itoa(u.entered)
	if err != nil {
		return nil, &RowError{Line: u.lines.line, Name: name, Err: err}
	}
	return &Row{Line: u.lines.line, Name: name, Token: read.Token, Seed: read.Seed, User: read.User}, nil
}
