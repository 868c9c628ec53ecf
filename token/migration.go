package token

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// The bundles that Google Authenticator exports as QR codes: otpauth-migration://offline?data=BASE64, where data is a
// message in protocol buffers. There is no norm; the fields below are those that readers of these codes agree on.
//
//	payload   1 entry (repeated), 2 version, 3 number of codes of the export, 4 which of them from 0, 5 id of the export
//	entry     1 secret, 2 name, 3 issuer, 4 hash, 5 digits, 6 kind, 7 counter; time steps are 30 s

var migrationScheme = []byte("otpauth-migration://")

// maxBundles bounds into how many codes an export may say that it is cut; apps put ten entries into one.
const maxBundles = 1000

// bundle is one code of an export.
type bundle struct {
	entries  [][]byte // messages
	size     int      // codes of the export
	at       int      // which of them, from 0
	exported uint64   // id of the export
}

// bundles keeps which codes of each export have come.
type bundles struct {
	line map[uint64]int // of the first code, by export
	size map[uint64]int
	come map[uint64]map[int]int // lines, by place
}

// parseBundle reads the URI. Errors never show its data.
func parseBundle(uri []byte) (*bundle, error) {
	u, err := url.Parse(string(uri))
	if err != nil || u.Host != "offline" {
		return nil, errors.New("want otpauth-migration://offline?data=... as the app shows it")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(query["data"]) != 1 {
		return nil, errors.New("want one parameter data, escaped as in a URI")
	}
	// Some readers of QR codes leave the escapes out, and the + of base64 is read as a blank then.
	text := strings.NewReplacer(" ", "+", "-", "+", "_", "/").Replace(strings.TrimRight(query["data"][0], "="))
	message, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("its data is not base64; it was cut or changed")
	}
	b := &bundle{size: 1}
	err = eachField(message, func(f field) error {
		switch {
		case f.number == 1 && f.text != nil:
			b.entries = append(b.entries, f.text)
		case f.number == 2 && f.value > 2:
			return fmt.Errorf("its version is %d: want 1 or 2", f.value)
		case f.number == 3:
			b.size = int(min(max(f.value, 1), maxBundles+1))
		case f.number == 4:
			b.at = int(min(f.value, maxBundles+1))
		case f.number == 5:
			b.exported = f.value
		}
		return nil
	})
	switch {
	case err != nil:
	case b.size > maxBundles || b.at >= b.size:
		err = fmt.Errorf("it says that it is code %d of %d, which cannot be", b.at+1, b.size)
	case len(b.entries) == 0:
		err = errors.New("it holds no entry")
	}
	if err != nil {
		clear(message)
		return nil, err
	}
	return b, nil
}

// add notes that a code has come, and refuses one that came before.
func (s *bundles) add(b *bundle, line int) error {
	if s.come == nil {
		s.line, s.size, s.come = map[uint64]int{}, map[uint64]int{}, map[uint64]map[int]int{}
	}
	come := s.come[b.exported]
	switch {
	case come == nil:
		come = map[int]int{}
		s.come[b.exported], s.size[b.exported], s.line[b.exported] = come, b.size, line
	case s.size[b.exported] != b.size:
		return fmt.Errorf("it is one of %d codes, and line %d of the same export is one of %d; take the codes of one export", b.size, s.line[b.exported], s.size[b.exported])
	case come[b.at] != 0:
		return fmt.Errorf("line %d is code %d of the same export; keep one of the two", come[b.at], b.at+1)
	}
	come[b.at] = line
	return nil
}

// missing gives the first export of which a code is missing, and forgets it; nil when all are whole.
func (s *bundles) missing() *RowError {
	for _, id := range slices.SortedFunc(maps.Keys(s.line), func(a, b uint64) int { return cmp.Compare(s.line[a], s.line[b]) }) {
		for at := range s.size[id] {
			if s.come[id][at] == 0 {
				e := &RowError{Line: s.line[id], Err: fmt.Errorf("the app's export has %d codes and %d of them are here: code %d is missing; add its line",
					s.size[id], len(s.come[id]), at+1)}
				delete(s.line, id)
				return e
			}
		}
	}
	return nil
}

// parseEntry reads one entry of a bundle.
func parseEntry(message []byte) (URI, error) {
	u := URI{Token: Token{Form: Software, State: InStock, Hash: SHA1, Digits: 6, Last: NoStep}}
	kind, hash, digits, counter, name, issuer := uint64(0), uint64(0), uint64(0), uint64(0), "", ""
	err := eachField(message, func(f field) error {
		switch f.number {
		case 1:
			clear(u.Seed)
			u.Seed = bytes.Clone(f.text)
		case 2:
			name = string(f.text)
		case 3:
			issuer = string(f.text)
		case 4:
			hash = f.value
		case 5:
			digits = f.value
		case 6:
			kind = f.value
		case 7:
			counter = f.value
		}
		return nil
	})
	if err == nil {
		err = u.label(name, issuer)
	}
	t := &u.Token
	switch {
	case err != nil:
	case u.User == "":
		err = errors.New("it names no account, so nobody would get the token")
	case kind != 1 && kind != 2:
		err = fmt.Errorf("its kind is %d: want 1 (counter) or 2 (time)", kind)
	case hash > 3:
		err = fmt.Errorf("its hash is %d: want 1 (SHA1), 2 (SHA256) or 3 (SHA512); 4 is MD5", hash)
	case digits > 2:
		err = fmt.Errorf("its number of digits is of kind %d: want 1 (6 digits) or 2 (8 digits)", digits)
	case counter > MaxCounter:
		err = errors.New("its counter is out of range")
	default:
		err = CheckSeed(u.Seed)
	}
	if err != nil {
		clear(u.Seed)
		return URI{}, err
	}
	if hash > 0 {
		t.Hash = Hash(hash)
	}
	if digits == 2 {
		t.Digits = 8
	}
	t.Mode, t.Period = TOTP, 30
	if kind == 1 {
		t.Mode, t.Period, t.Last = HOTP, 0, int64(counter)-1
	}
	return u, nil
}

// field is one field of a message in protocol buffers.
type field struct {
	number uint64
	value  uint64 // of a number
	text   []byte // of octets, a part of the message; nil for numbers
}

var errMessage = errors.New("its data cannot be read; it was cut or changed")

// eachField reads a message. Numbers and octets are handed on, fixed-width fields are passed over.
func eachField(b []byte, each func(field) error) error {
	number := func() (uint64, error) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, errMessage
		}
		b = b[n:]
		return v, nil
	}
	for len(b) > 0 {
		key, err := number()
		if err != nil {
			return err
		}
		f := field{number: key >> 3}
		skip := 0
		switch key & 7 {
		case 0:
			f.value, err = number()
		case 1:
			skip = 8
		case 2:
			var n uint64
			if n, err = number(); err == nil && n > uint64(len(b)) {
				err = errMessage
			}
			if err == nil {
				f.text = b[:n:n]
				skip = int(n)
			}
		case 5:
			skip = 4
		default:
			err = errMessage
		}
		if err != nil {
			return err
		}
		if skip > len(b) || f.number == 0 {
			return errMessage
		}
		b = b[skip:]
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}
