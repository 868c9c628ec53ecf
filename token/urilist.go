package token

import (
	"bytes"
	"errors"
)

var uriScheme = []byte("otpauth://")

// holdsURIs looks ahead: a file of otpauth URIs begins with one, after blank lines at most.
func (c *csvReader) holdsURIs() bool {
	head, _ := c.in.Peek(256) // what is wrong with the file shows when it is read
	head = bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))
	return len(head) >= len(uriScheme) && bytes.EqualFold(head[:len(uriScheme)], uriScheme)
}

// uriRow reads one line of a file of otpauth URIs; nil for a blank one.
func (c *csvReader) uriRow(line []byte) (*Row, error) {
	line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff")))
	if len(line) == 0 {
		return nil, nil
	}
	u, err := ParseURI(string(line))
	if err != nil {
		return nil, c.fault("", err)
	}
	row := &Row{Line: c.line, Token: u.Token, Seed: u.Seed, User: u.User}
	if u.User == "" {
		err = c.fault("", errors.New("its label names no account, so nobody would get the token; want the form otpauth://totp/Issuer:user?secret=KEY"))
	} else {
		err = c.once(row)
	}
	if err != nil {
		clear(row.Seed)
		return nil, err
	}
	return row, nil
}
