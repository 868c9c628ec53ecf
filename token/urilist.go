package token

import (
	"bytes"
	"errors"
)

var uriScheme = []byte("otpauth://")

// uriReader reads a file with one otpauth URI a line.
type uriReader struct{ lines *csvReader }

func (u *uriReader) close() { u.lines.close() }

func (u *uriReader) next() (*Row, error) {
	for {
		line, err := u.lines.nextLine()
		if err != nil {
			return nil, err
		}
		if row, err := u.row(line); row != nil || err != nil {
			return row, err
		}
	}
}

// row reads one line; nil for a blank one.
func (u *uriReader) row(line []byte) (*Row, error) {
	line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff")))
	if len(line) == 0 {
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
