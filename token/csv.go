package token

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxLine   = 4096 // octets of a line, its end included
	maxFaults = 20   // reported at once; whoever mends a file wants more than the first
)

// Row is one token of an import file.
type Row struct {
	Line  int   // 1 is the first line of the file
	Token Token // in stock, without ID, seal or fingerprint
	Seed  Seed  // holds only until the function that got the row returns; then it is cleared
	User  string
}

// RowError is a fault in an import file and names its place.
type RowError struct {
	Line   int
	Column string // its name in the header; empty where the whole line is at fault
	Err    error
}

// Error gives the place, the fault and what to do.
func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("line %d, column %s: %v", e.Line, e.Column, e.Err)
}

// Unwrap gives the fault.
func (e *RowError) Unwrap() error { return e.Err }

// ReadTokens reads tokens from UTF-8 text, with or without byte order mark, and calls each for one row after the other,
// however long the file is. The text is comma-separated (RFC 4180), or it has one otpauth URI a line: then the account of
// the URI's label is the user who gets the token, and the token is software without a serial.
//
// In comma-separated text the first line names the columns, in any order and any case. One of secret_hex, secret_base32, secret_base64 has to be
// there. What a row leaves out is empty or its default:
//
//	serial         as engraved; unique in the file
//	credential_id  OATH token identifier; unique in the file
//	secret_...     16 to 128 octets; unique in the file
//	mode           totp (default) or hotp
//	hash           SHA1 (default), SHA256, SHA512
//	digits         6 (default) to 8
//	period         seconds, 10 to 120, 30 by default; hotp has none
//	counter        hotp: the counter of the next code, 0 by default; totp has none
//	start, expiry  RFC 3339, as 2026-11-22T09:00:00+09:00
//	form           hardware (default for rows with a serial) or software
//	user           who gets the token, as they type their name
//
// Nothing of a file with a fault may be kept: a row handed to each may stand before the fault. So the caller collects the
// rows, or writes them where they can be undone, until ReadTokens returns nil. After a fault each is called no more, and the
// rest of the file is read for further faults; the error joins up to 20 values of type [*RowError]. An error of each
// ends the reading.
func ReadTokens(r io.Reader, each func(Row) error) error {
	c := &csvReader{in: bufio.NewReaderSize(r, maxLine), serials: map[string]int{}, credentials: map[string]int{}, secrets: map[[16]byte]int{}}
	read := c.row
	if c.holdsURIs() {
		read = c.uriRow
	} else if err := c.header(); err != nil {
		return fmt.Errorf("reading the CSV file: %w", err)
	}
	var faults []error
	rows := 0
	for len(faults) < maxFaults {
		line, err := c.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			faults = append(faults, err)
			break
		}
		row, err := read(line)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if row == nil {
			continue
		}
		rows++
		if len(faults) == 0 {
			err = each(*row)
		}
		clear(row.Seed)
		if err != nil {
			return fmt.Errorf("reading the tokens: %w", c.fault("", err))
		}
	}
	switch {
	case len(faults) == maxFaults:
		faults = append(faults, errors.New("the lines after these faults were not looked at"))
	case len(faults) == 0 && rows == 0:
		faults = append(faults, errors.New("it has a header and no rows"))
	}
	if len(faults) > 0 {
		return fmt.Errorf("reading the tokens: %w", errors.Join(faults...))
	}
	return nil
}

// csvReader reads line by line, so that an open quote cannot swallow the rest of a file, and knows again what must not
// come twice.
type csvReader struct {
	in      *bufio.Reader
	line    int
	columns []string
	fields  [][]byte // of the current line

	serials, credentials map[string]int // to their lines; capitals and small letters are the same
	secrets              map[[16]byte]int
}

func (c *csvReader) fault(column string, err error) error { return &RowError{c.line, column, err} }

// next gives the next line without its end; it holds until the next call. At the end of the file it gives io.EOF.
func (c *csvReader) next() ([]byte, error) {
	c.line++
	line, err := c.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, c.fault("", fmt.Errorf("it is longer than %d octets; want one token a line, and line ends as Unix or Windows write them", maxLine))
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
	line, err := c.next()
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
		if err := columns[name](row, c.fields[i]); err != nil {
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
	return c.once(row)
}

// once refuses what stands in the file twice. The two rows of a shared token are one row here and a second assignment
// later.
func (c *csvReader) once(row *Row) error {
	sum := sha256.Sum256(bytes.TrimRight(row.Seed, "\x00")) // see Keys.Fingerprint
	seed := [16]byte(sum[:])
	serial, credential := strings.ToUpper(row.Token.Serial), strings.ToUpper(row.Token.CredentialID)
	switch {
	case serial != "" && c.serials[serial] != 0:
		return c.fault("serial", fmt.Errorf("line %d has the same one; keep one of the two rows", c.serials[serial]))
	case credential != "" && c.credentials[credential] != 0:
		return c.fault("credential_id", fmt.Errorf("line %d has the same one; keep one of the two rows", c.credentials[credential]))
	case c.secrets[seed] != 0:
		return c.fault("", fmt.Errorf("line %d has the same secret, so both show the same codes; keep one of the two rows", c.secrets[seed]))
	}
	if serial != "" {
		c.serials[serial] = c.line
	}
	if credential != "" {
		c.credentials[credential] = c.line
	}
	c.secrets[seed] = c.line
	return nil
}

const columnNames = "serial, credential_id, secret_hex, secret_base32, secret_base64, mode, hash, digits, period, counter, start, expiry, form, user"

// columns says what the text of a column does to a row; empty texts never get here.
var columns = map[string]func(*Row, []byte) error{
	"serial":        func(r *Row, v []byte) error { r.Token.Serial = string(v); return nil },
	"credential_id": func(r *Row, v []byte) error { r.Token.CredentialID = string(v); return nil },
	"secret_hex":    secretColumn(decodeHex),
	"secret_base32": secretColumn(decodeBase32),
	"secret_base64": secretColumn(decodeBase64),
	"mode":          func(r *Row, v []byte) (err error) { r.Token.Mode, err = parseMode(string(v)); return err },
	"hash":          func(r *Row, v []byte) (err error) { r.Token.Hash, err = parseHash(string(v)); return err },
	"digits": func(r *Row, v []byte) error {
		n, err := parseNumber(string(v), MinDigits, MaxDigits)
		r.Token.Digits = uint8(n)
		return err
	},
	"period": func(r *Row, v []byte) error {
		n, err := parseNumber(string(v), MinPeriod, MaxPeriod)
		r.Token.Period = uint16(n)
		return err
	},
	"counter": func(r *Row, v []byte) error {
		n, err := parseNumber(string(v), 0, MaxCounter)
		r.Token.Last = n - 1
		return err
	},
	"start":  func(r *Row, v []byte) error { return setInstant(&r.Token.Start, v) },
	"expiry": func(r *Row, v []byte) error { return setInstant(&r.Token.Expiry, v) },
	"form":   func(r *Row, v []byte) (err error) { r.Token.Form, err = parseForm(string(v)); return err },
	"user": func(r *Row, v []byte) error {
		r.User = string(v)
		if len(v) > maxLabel || bytes.ContainsFunc(v, unicode.IsControl) {
			return fmt.Errorf("want at most %d octets without control characters", maxLabel)
		}
		return nil
	},
}

func secretColumn(decode func([]byte) (Seed, error)) func(*Row, []byte) error {
	return func(r *Row, v []byte) (err error) {
		r.Seed, err = decodeSecret(v, decode)
		return err
	}
}

func setInstant(to *int64, text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil || at.Unix() <= 0 {
		return fmt.Errorf("%s: want an instant after 1970 such as 2026-11-22T09:00:00+09:00", shown(string(text)))
	}
	*to = at.Unix()
	return nil
}
