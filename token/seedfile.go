package token

import (
	"bufio"
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/text/encoding/unicode"
)

// maxFaults are reported at once; whoever mends a file wants more than the first.
const maxFaults = 20

// Format is a kind of seed file.
type Format uint8

// The formats. AnyFormat goes by how the file begins.
const (
	AnyFormat Format = iota
	CSV              // text in columns
	PSKC             // RFC 6030
	URIs             // one otpauth URI a line, or a bundle that an app exported
	SafeNet          // XML of SafeNet and Aladdin
	Feitian          // XML of Feitian, or lines of a serial and a seed
	Yubico           // the log of Yubico's personalization tool
)

// formatNames are the formats as options name them, in the order of the constants.
var formatNames = []string{"auto", "csv", "pskc", "otpauth", "safenet", "feitian", "yubico"}

// ParseFormat reads "auto", "csv", "pskc", "otpauth", "safenet", "feitian" or "yubico".
func ParseFormat(s string) (Format, error) {
	if s == "" {
		return AnyFormat, nil
	}
	if at := slices.Index(formatNames, strings.ToLower(s)); at >= 0 {
		return Format(at), nil
	}
	return 0, fmt.Errorf("format %s: want one of %s", shown(s), strings.Join(formatNames, ", "))
}

// Assumed is what to take where a file leaves it out. Zero fields leave what is usual: totp, SHA1, 6 digits, 30 s.
type Assumed struct {
	Mode   Mode
	Hash   Hash
	Digits uint8
	Period uint16 // seconds; of TOTP
}

// ParseAssumed reads pairs such as "mode=hotp", "hash=SHA256", "digits=8" and "period=60".
func ParseAssumed(pairs []string) (a Assumed, err error) {
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		var n int64
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "mode":
			a.Mode, err = parseMode(value)
		case "hash":
			a.Hash, err = parseHash(value)
		case "digits":
			n, err = parseNumber(value, MinDigits, MaxDigits)
			a.Digits = uint8(n)
		case "period":
			n, err = parseNumber(value, MinPeriod, MaxPeriod)
			a.Period = uint16(n)
		default:
			err = errors.New("want mode=, hash=, digits= or period=")
		}
		if err != nil {
			return Assumed{}, fmt.Errorf("%s: %w", shown(pair), err)
		}
	}
	return a, nil
}

// ReadOptions say what a seed file does not say itself. The zero value reads a file that leaves nothing open.
type ReadOptions struct {
	Format Format

	// Columns of text: from a field to the column that holds it, by its name in the header or by its number, 1 for the first.
	// The fields are serial, credential_id, secret (or secret_hex, secret_base32, secret_base64), mode, hash, digits, period,
	// counter, start, expiry, form and user; the header may name them in most of the ways that vendors do.
	Columns map[string]string
	// Skip are columns to pass over, by name or number. Without it a column of an unknown name is a fault, because a
	// misspelt "expiry" would be lost in silence.
	Skip []string
	// NoHeader says that the first line is a token already; then all Columns are numbers, and the others are passed over.
	NoHeader bool
	// Encoding of the secrets in columns that do not name it.
	Encoding Encoding

	Assume Assumed // what to take where the file says nothing

	DateOnly  Moment    // the time of day and the zone of a date without them; the zero value is 09:00 Asia/Tokyo
	DateOrder DateOrder // of dates such as 01/02/25

	// Key and Password open an encrypted PSKC file. The caller clears them.
	Key, Password []byte
	// PrivateKey opens a PSKC file that was made for a certificate.
	PrivateKey *rsa.PrivateKey
	// IgnoreSignature reads a signed PSKC file without checking its signature; else such a file is refused, because nothing
	// here can check it.
	IgnoreSignature bool

	// Bad gets each bad row, and reading goes on: rows after it still reach each. Nil makes every bad row a fault of the whole
	// file. An error of Bad ends the reading.
	Bad func(*RowError) error
}

// Row is one token of a seed file.
type Row struct {
	Line  int    // 1 is the first line of the file; of a PSKC file, the line where the key begins
	Name  string // PSKC: the key's Id, else its device's serial; of an app's bundle, which entry; otherwise empty
	Token Token  // in stock, without ID, seal or fingerprint
	Seed  Seed   // holds only until the function that got the row returns; then it is cleared
	User  string

	StartText, ExpiryText string   // as the file writes them; Token.Start and Token.Expiry are how they were read
	Warnings              []string // what is odd and no fault, one sentence each without a full stop
}

// RowError is a fault in a seed file and names its place.
type RowError struct {
	Line    int
	Name    string // as in [Row]
	Column  string // its name, or the XML element; empty where the whole row is at fault
	Repeats int    // line of the earlier row that has the same serial, credential ID or secret; 0 where that is not the fault
	Err     error
}

// Error gives the place, the fault and what to do.
func (e *RowError) Error() string {
	return fmt.Sprintf("%s: %v", e.Place(), e.Err)
}

// Place says where the fault is, as in "line 5, column expiry" and, in a PSKC file, "line 80, key "2600215", <Secret>".
func (e *RowError) Place() string {
	place := fmt.Sprintf("line %d", e.Line)
	if e.Name != "" {
		place += ", key " + shownName(e.Name)
	}
	switch {
	case strings.HasPrefix(e.Column, "<"):
		place += ", " + e.Column
	case e.Column != "":
		place += ", column " + e.Column
	}
	return place
}

// Unwrap gives the fault.
func (e *RowError) Unwrap() error { return e.Err }

// shownName quotes an Id or serial for an error, cut to what a line of text can bear.
func shownName(s string) string { return fmt.Sprintf("%.40q", s) }

// rowReader reads one format. next gives the next row; io.EOF after the last; a *RowError for a bad row, after which it
// can be called again; any other error ends the file.
type rowReader interface {
	next() (*Row, error)
	close() // wipes what it still holds of secrets
}

// endError marks a fault that spoils the file: what follows cannot be made out, or would fail in the same way.
type endError struct{ error }

func (e endError) Unwrap() error { return e.error }

// ReadTokens reads tokens from a seed file and calls each for one row after the other, however long the file is; only text
// whose secrets do not say how they are encoded is held in memory, up to 64 MB. What the formats are is written down in
// docs/seed-files.md.
//
// Nothing of a file with a fault may be kept: a row handed to each may stand before the fault. So the caller collects the
// rows, or writes them where they can be undone, until ReadTokens returns nil. After a fault each is called no more, and the
// rest of the file is read for further faults; the error joins up to 20 values of type [*RowError]. With
// [ReadOptions.Bad] bad rows go there instead, and only what spoils the whole file is an error. An error of each ends the
// reading.
func ReadTokens(r io.Reader, o ReadOptions, each func(Row) error) error {
	rows, err := o.open(r)
	if err != nil {
		return err
	}
	defer rows.close()
	seen := seenRows{serials: map[string]int{}, credentials: map[string]int{}, secrets: map[[16]byte]int{}}
	var faults []error
	good, bad := 0, 0
	for len(faults) < maxFaults {
		row, err := rows.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			if err = seen.once(row); err != nil {
				clear(row.Seed)
			}
		}
		if err != nil {
			var place *RowError
			if !errors.As(err, &place) || errors.As(err, new(endError)) {
				faults = append(faults, err)
				break
			}
			bad++
			if o.Bad == nil {
				faults = append(faults, err)
			} else if err := o.Bad(place); err != nil {
				return fmt.Errorf("reading the tokens: %w", err)
			}
			continue
		}
		good++
		if len(faults) == 0 {
			err = each(*row)
		}
		clear(row.Seed)
		if err != nil {
			return fmt.Errorf("reading the tokens: %w", &RowError{Line: row.Line, Name: row.Name, Err: err})
		}
	}
	switch {
	case len(faults) == maxFaults:
		faults = append(faults, errors.New("the lines after these faults were not looked at"))
	case len(faults) == 0 && good+bad == 0:
		faults = append(faults, errors.New("the file holds no token"))
	}
	if len(faults) > 0 {
		return fmt.Errorf("reading the tokens: %w", errors.Join(faults...))
	}
	return nil
}

func (o *ReadOptions) open(r io.Reader) (rowReader, error) {
	in, err := utf8Reader(r)
	if err != nil {
		return nil, err
	}
	format := o.Format
	if format == AnyFormat {
		format = o.formatOf(in)
	}
	c := &csvReader{in: in, options: o}
	switch format {
	case URIs:
		return &uriReader{lines: c}, nil
	case PSKC:
		return newPSKCReader(in, o), nil
	case SafeNet:
		return &safenetReader{xmlFile: newXMLFile(in), options: o}, nil
	case Feitian:
		if bytes.HasPrefix(headOf(in), []byte("<")) {
			return newPSKCReader(in, o), nil
		}
		return &feitianReader{lines: c}, nil
	case Yubico:
		c.separator = ','
		return &yubicoReader{lines: c}, nil
	}
	if err := c.header(); err != nil {
		c.close()
		return nil, fmt.Errorf("reading the CSV file: %w", err)
	}
	return c, nil
}

// headOf gives how the file begins, without white space.
func headOf(in *bufio.Reader) []byte {
	head, _ := in.Peek(1024)
	return bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))
}

// formatOf looks at how the file begins. What is wrong with the file shows when it is read.
func (o *ReadOptions) formatOf(in *bufio.Reader) Format {
	head := headOf(in)
	begins := func(s []byte) bool { return len(head) >= len(s) && bytes.EqualFold(head[:len(s)], s) }
	switch {
	case begins(uriScheme), begins(migrationScheme):
		return URIs
	case safenetRoot.Match(head):
		return SafeNet
	case begins([]byte("<")):
		return PSKC
	case o.NoHeader || o.Columns != nil:
		return CSV
	case yubicoLine.Match(head):
		return Yubico
	case feitianLine.Match(head):
		return Feitian
	}
	return CSV
}

// utf8Reader makes UTF-8 of UTF-16 with a byte order mark, which spreadsheets call Unicode text.
func utf8Reader(r io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(r, maxLine)
	mark, err := in.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the seed file: %w", err)
	}
	if string(mark) != "\xff\xfe" && string(mark) != "\xfe\xff" {
		return in, nil
	}
	decoder := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder()
	return bufio.NewReaderSize(decoder.Reader(in), maxLine), nil
}

// seenRows knows again what must not come twice, by the line it first stood in. Capitals and small letters are the same.
type seenRows struct {
	serials, credentials map[string]int
	secrets              map[[16]byte]int
}

// once refuses what stands in the file twice. The two rows of a shared token are one row here and a second assignment
// later.
func (s *seenRows) once(row *Row) error {
	sum := sha256.Sum256(bytes.TrimRight(row.Seed, "\x00")) // see Keys.Fingerprint
	seed := [16]byte(sum[:])
	serial, credential := strings.ToUpper(row.Token.Serial), strings.ToUpper(row.Token.CredentialID)
	twice := func(first int, column, format string) error {
		return &RowError{Line: row.Line, Name: row.Name, Column: column, Repeats: first, Err: fmt.Errorf(format, first)}
	}
	switch {
	case serial != "" && s.serials[serial] != 0:
		return twice(s.serials[serial], "serial", "line %d has the same one; keep one of the two rows")
	case credential != "" && s.credentials[credential] != 0:
		return twice(s.credentials[credential], "credential_id", "line %d has the same one; keep one of the two rows")
	case s.secrets[seed] != 0:
		return twice(s.secrets[seed], "", "line %d has the same secret, so both show the same codes; keep one of the two rows")
	}
	if serial != "" {
		s.serials[serial] = row.Line
	}
	if credential != "" {
		s.credentials[credential] = row.Line
	}
	s.secrets[seed] = row.Line
	return nil
}
