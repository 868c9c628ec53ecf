package token

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxLine = 4096 // octets of a line, its end included

// csvReader reads line by line, so that an open quote cannot swallow the rest of a file.
type csvReader struct {
	in      *bufio.Reader
	options *ReadOptions
	line    int
	columns []string
	fields  [][]byte // of the current line
}

func (c *csvReader) fault(column string, err error) error {
	return &RowError{Line: c.line, Column: column, Err: err}
}

// next gives the next token; blank lines are passed over.
func (c *csvReader) next() (*Row, error) {
	for {
		line, err := c.nextLine()
		if err != nil {
			return nil, err
		}
		if row, err := c.row(line); row != nil || err != nil {
			return row, err
		}
	}
}

// nextLine gives the next line without its end; it holds until the next call. At the end of the file it gives io.EOF.
func (c *csvReader) nextLine() ([]byte, error) {
	c.line++
	line, err := c.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, endError{c.fault("", fmt.Errorf("it is longer than %d octets; want one token a line, and line ends as Unix or Windows write them", maxLine))}
	case errors.Is(err, io.EOF) && len(line) > 0: // the last line needs no end
	case err != nil:
		return nil, err
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if !utf8.Valid(line) {
		return nil, c.fault("", errors.New(`it is not UTF-8; save the file as "CSV UTF-8"`))
	}
	return line, nil
}

func (c *csvReader) header() error {
	line, err := c.nextLine()
	if errors.Is(err, io.EOF) {
		return errors.New("it is empty; want a header line that names the columns")
	}
	if err != nil {
		return err
	}
	line = bytes.TrimPrefix(line, []byte("\ufeff"))
	if err := c.split(line); err != nil {
		return err
	}
	secrets := 0
	for _, field := range c.fields {
		name := strings.ToLower(string(field))
		if _, known := columns[name]; !known {
			return c.fault("", fmt.Errorf("%s is not a column: want a header with commas between %s", shown(name), columnNames))
		}
		for _, other := range c.columns {
			if other == name {
				return c.fault(name, errors.New("it stands in the header twice"))
			}
		}
		if strings.HasPrefix(name, "secret_") {
			secrets++
		}
		c.columns = append(c.columns, name)
	}
	if secrets != 1 {
		return c.fault("", errors.New("want exactly one of the columns secret_hex, secret_base32, secret_base64"))
	}
	return nil
}

// split cuts a line at its commas into c.fields. Quotes are taken off in place.
func (c *csvReader) split(line []byte) error {
	c.fields = c.fields[:0]
	for {
		line = bytes.TrimLeft(line, " \t")
		if len(line) == 0 || line[0] != '"' {
			field, rest, more := bytes.Cut(line, []byte(","))
			if bytes.IndexByte(field, '"') >= 0 {
				return c.fault("", fmt.Errorf("field %d has a quote inside; put the whole field in quotes and write each quote in it twice", len(c.fields)+1))
			}
			c.fields = append(c.fields, bytes.TrimRight(field, " \t"))
			if !more {
				return nil
			}
			line = rest
			continue
		}
		field, rest, closed := unquote(line[1:])
		rest = bytes.TrimLeft(rest, " \t")
		if !closed || (len(rest) > 0 && rest[0] != ',') {
			return c.fault("", fmt.Errorf("field %d begins with a quote and does not end with one before the next comma or the end of the line", len(c.fields)+1))
		}
		c.fields = append(c.fields, bytes.Trim(field, " \t"))
		if len(rest) == 0 {
			return nil
		}
		line = rest[1:]
	}
}

// unquote reads up to the closing quote and makes one quote of two, in place.
func unquote(b []byte) (field, rest []byte, closed bool) {
	n := 0
	for i := 0; i < len(b); i++ {
		if b[i] == '"' {
			if i+1 == len(b) || b[i+1] != '"' {
				return b[:n], b[i+1:], true
			}
			i++
		}
		b[n] = b[i]
		n++
	}
	return nil, nil, false
}

// row reads one line; nil for a blank one.
func (c *csvReader) row(line []byte) (*Row, error) {
	if len(bytes.Trim(line, " \t,")) == 0 {
		return nil, nil
	}
	if err := c.split(line); err != nil {
		return nil, err
	}
	if len(c.fields) != len(c.columns) {
		return nil, c.fault("", fmt.Errorf("it has %d fields and the header has %d", len(c.fields), len(c.columns)))
	}
	row := &Row{Line: c.line, Token: Token{State: InStock, Last: NoStep}}
	err := c.fill(row)
	if err != nil {
		clear(row.Seed)
		return nil, err
	}
	return row, nil
}

func (c *csvReader) fill(row *Row) error {
	for i, name := range c.columns {
		if len(c.fields[i]) == 0 {
			continue
		}
		if err := columns[name](row, c.fields[i], c.options); err != nil {
			return c.fault(name, err)
		}
	}
	t := &row.Token
	t.Mode, t.Hash, t.Digits = cmp.Or(t.Mode, TOTP), cmp.Or(t.Hash, SHA1), cmp.Or(t.Digits, 6)
	if t.Mode == TOTP {
		t.Period = cmp.Or(t.Period, 30)
	}
	if t.Form == 0 {
		t.Form = Software
		if t.Serial != "" {
			t.Form = Hardware
		}
	}
	switch {
	case t.Mode == TOTP && t.Last != NoStep:
		return c.fault("counter", errors.New("a time-based token has none; leave it empty"))
	case t.Mode == HOTP && t.Period != 0:
		return c.fault("period", errors.New("an event-based token has none; leave it empty"))
	case t.Form == Hardware && t.Serial == "":
		return c.fault("serial", errors.New("a hardware token needs the serial that is engraved on it"))
	case t.Serial == "" && row.User == "":
		return c.fault("", errors.New("it has neither serial nor user, so nobody could find the token again"))
	case row.Seed == nil:
		return c.fault("", errors.New("it has no secret"))
	}
	if err := t.Check(); err != nil {
		return c.fault("", err)
	}
	return nil
}

const columnNames = "serial, credential_id, secret_hex, secret_base32, secret_base64, mode, hash, digits, period, counter, start, expiry, form, user"

// columns says what the text of a column does to a row; empty texts never get here.
var columns = map[string]func(*Row, []byte, *ReadOptions) error{
	"serial":        func(r *Row, v []byte, _ *ReadOptions) error { r.Token.Serial = string(v); return nil },
	"credential_id": func(r *Row, v []byte, _ *ReadOptions) error { r.Token.CredentialID = string(v); return nil },
	"secret_hex":    secretColumn(decodeHex),
	"secret_base32": secretColumn(decodeBase32),
	"secret_base64": secretColumn(decodeBase64),
	"mode": func(r *Row, v []byte, _ *ReadOptions) (err error) {
		r.Token.Mode, err = parseMode(string(v))
		return err
	},
	"hash": func(r *Row, v []byte, _ *ReadOptions) (err error) {
		r.Token.Hash, err = parseHash(string(v))
		return err
	},
	"digits": func(r *Row, v []byte, _ *ReadOptions) error {
		n, err := parseNumber(string(v), MinDigits, MaxDigits)
		r.Token.Digits = uint8(n)
		return err
	},
	"period": func(r *Row, v []byte, _ *ReadOptions) error {
		n, err := parseNumber(string(v), MinPeriod, MaxPeriod)
		r.Token.Period = uint16(n)
		return err
	},
	"counter": func(r *Row, v []byte, _ *ReadOptions) error {
		n, err := parseNumber(string(v), 0, MaxCounter)
		r.Token.Last = n - 1
		return err
	},
	"start": func(r *Row, v []byte, o *ReadOptions) (err error) {
		r.StartText = string(v)
		r.Token.Start, err = o.parseInstant(r.StartText)
		return err
	},
	"expiry": func(r *Row, v []byte, o *ReadOptions) (err error) {
		r.ExpiryText = string(v)
		r.Token.Expiry, err = o.parseInstant(r.ExpiryText)
		return err
	},
	"form": func(r *Row, v []byte, _ *ReadOptions) (err error) {
		r.Token.Form, err = parseForm(string(v))
		return err
	},
	"user": func(r *Row, v []byte, _ *ReadOptions) error {
		r.User = string(v)
		if len(v) > maxLabel || bytes.ContainsFunc(v, unicode.IsControl) {
			return fmt.Errorf("want at most %d octets without control characters", maxLabel)
		}
		return nil
	},
}

func secretColumn(decode func([]byte) (Seed, error)) func(*Row, []byte, *ReadOptions) error {
	return func(r *Row, v []byte, _ *ReadOptions) (err error) {
		r.Seed, err = decodeSecret(v, decode)
		return err
	}
}
