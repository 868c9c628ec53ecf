package admin

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxUserName is the longest name of a user that a list may hold, in octets; that of a path of this API.
const maxUserName = 253

// userOf is one line of a list that says who gets which token.
type userOf struct {
	line         int
	serial, user string
}

// readUsers reads a list of "serial,user" lines, comma-separated as RFC 4180 says, with or without a header line. bad gets
// what is wrong with a line, and reading goes on.
func readUsers(text []byte, bad func(line int, problem string)) []userOf {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.ReuseRecord = -1, true, true
	var all []userOf
	first := map[string]int{} // by serial in capitals, as the reader of seed files compares them
	for begin := true; ; begin = false {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
			bad(parse.StartLine, "its quotes do not fit; want a serial and a user with a comma between")
			continue
		}
		line, _ := r.FieldPos(0)
		u := userOf{line: line}
		if len(fields) == 2 {
			u.serial, u.user = strings.TrimSpace(fields[0]), strings.TrimSpace(fields[1])
		}
		if begin && strings.EqualFold(u.serial, "serial") && strings.EqualFold(u.user, "user") {
			continue
		}
		switch {
		case u.serial == "" || u.user == "":
			bad(line, "want a serial and a user with a comma between")
		case len(u.user) > maxUserName || !utf8.ValidString(u.user) || strings.ContainsFunc(u.user, unprintable):
			bad(line, fmt.Sprintf("the user has to be at most %d octets of printable UTF-8", maxUserName))
		case first[strings.ToUpper(u.serial)] != 0:
			bad(line, fmt.Sprintf("line %d has the same serial; a token comes in with one user", first[strings.ToUpper(u.serial)]))
		default:
			first[strings.ToUpper(u.serial)] = line
			all = append(all, u)
		}
	}
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// mapUsers gives the rows the users that a list names. A line that fits no row is a fault: a misspelt serial would leave
// somebody without a token.
func (p *importPlan) mapUsers(text []byte) {
	if text == nil {
		return
	}
	bad := func(line int, problem string) {
		p.loose = append(p.loose, ImportFault{Line: line, Kind: FaultUsersList, Problem: problem})
	}
	rows := make(map[string]*planRow, len(p.rows))
	for i := range p.rows {
		if serial := p.rows[i].token.Serial; serial != "" {
			rows[strings.ToUpper(serial)] = &p.rows[i]
		}
	}
	for _, u := range readUsers(text, bad) {
		row := rows[strings.ToUpper(u.serial)]
		switch {
		case row == nil:
			bad(u.line, fmt.Sprintf("no good row of the seed file has the serial %s", quoted(u.serial)))
		case row.user != "" && row.user != u.user:
			bad(u.line, fmt.Sprintf("token %s is for %s by the seed file", quoted(u.serial), quoted(row.user)))
		default:
			row.user = u.user
		}
	}
}
