package token

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

const maxLine = 4096 // octets of a line, its end included

// csvReader reads line by line, so that an open quote cannot swallow the rest of a file.
type csvReader struct {
	in        *bufio.Reader
	options   *ReadOptions
	line      int
	separator byte
	columns   []column
	fields    [][]byte // of the current line
	encoding  Encoding
	first     int    // octets of the first secret
	unended   bool   // the current line is the last and has no line end
	text      []byte // what was read ahead to find the encoding
}

func (c *csvReader) close() { clear(c.text) }

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
		c.unended = true
	case err != nil:
		return nil, err
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
		return nil, c.fault("", errors.New(`it is not UTF-8; save the file as "CSV UTF-8"`))
	}
	if bytes.Contains(line, []byte("\ufffd")) {
		return nil, c.fault("", errors.New("it has a character that was lost when the file was made or sent; ask for the file again"))
	}
	return line, nil
}

// header reads the first line and finds out what the file is made of.
func (c *csvReader) header() error {
	line, err := c.firstLine()
	if errors.Is(err, io.EOF) {
		return errors.New("it is empty; want a header line that names the columns")
	}
	if err != nil {
		return err
	}
	c.separator = separatorOf(line)
	first := bytes.Clone(line)
	if err := c.split(first); err != nil {
		return err
	}
	if c.columns, err = c.options.columnsOf(c.fields); err != nil {
		return c.fault("", err)
	}
	if c.options.NoHeader { // the line is a token and is read again
		c.in = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(append(bytes.Clone(line), '\n')), c.in), maxLine)
		c.line--
	}
	clear(first)
	return c.findEncoding()
}

// firstLine passes over blank lines and the line in which spreadsheets name the separator.
func (c *csvReader) firstLine() ([]byte, error) {
	for {
		line, err := c.nextLine()
		if err != nil {
			return nil, err
		}
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
		blank := len(bytes.Trim(line, " \t,;")) == 0
		if !blank && !(len(line) == len("sep=;") && bytes.EqualFold(line[:4], []byte("sep="))) {
			return line, nil
		}
	}
}

// separatorOf goes by what the first line has most of, outside quotes.
func separatorOf(line []byte) byte {
	var count [256]int
	quoted := false
	for _, b := range line {
		if b == '"' {
			quoted = !quoted
		} else if !quoted {
			count[b]++
		}
	}
	best := byte(',')
	for _, b := range []byte{';', '\t'} {
		if count[b] > count[best] {
			best = b
		}
	}
	return best
}

// split cuts a line at its separators into c.fields. Quotes are taken off in place.
func (c *csvReader) split(line []byte) error {
	c.fields = c.fields[:0]
	for {
		line = c.trimLeft(line)
		if len(line) == 0 || line[0] != '"' {
			field, rest, more := cut(line, c.separator)
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
		rest = c.trimLeft(rest)
		if !closed || (len(rest) > 0 && rest[0] != c.separator) {
			return c.fault("", fmt.Errorf("field %d begins with a quote and does not end with one before the next separator or the end of the line", len(c.fields)+1))
		}
		c.fields = append(c.fields, bytes.Trim(field, " \t"))
		if len(rest) == 0 {
			return nil
		}
		line = rest[1:]
	}
}

// trimLeft takes blanks away; a tab is one unless it separates.
func (c *csvReader) trimLeft(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || (b[0] == '\t' && c.separator != '\t')) {
		b = b[1:]
	}
	return b
}

func cut(b []byte, at byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(b, at); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
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
	if len(bytes.Trim(line, " \t,;")) == 0 {
		return nil, nil
	}
	if err := c.split(line); err != nil {
		return nil, err
	}
	for len(c.fields) > len(c.columns) && len(c.fields[len(c.fields)-1]) == 0 {
		c.fields = c.fields[:len(c.fields)-1]
	}
	if len(c.fields) != len(c.columns) {
		err := fmt.Errorf("it has %d fields and the first line has %d", len(c.fields), len(c.columns))
		if c.unended {
			err = fmt.Errorf("%w; the file seems to be cut off here", err)
		}
		return nil, c.fault("", err)
	}
	row := &Row{Line: c.line, Token: Token{State: InStock, Last: NoStep}}
	err := c.fill(row)
	if err == nil {
		err = c.compare(row)
	}
	if err != nil {
		clear(row.Seed)
		return nil, err
	}
	return row, nil
}

// compare holds the length of a secret against that of the first: another one is odd, and in a last line without an end it
// is the sign of a file cut in the middle of a secret.
func (c *csvReader) compare(row *Row) error {
	n := len(row.Seed)
	switch {
	case c.first == 0:
		c.first = n
	case n < c.first && c.unended:
		return c.fault("", fmt.Errorf("its secret has %d octets, the others %d, and the line has no end: the file seems to be cut off here", n, c.first))
	case n != c.first:
		row.Warnings = append(row.Warnings, fmt.Sprintf("its secret has %d octets and the first of the file %d", n, c.first))
	}
	return nil
}
