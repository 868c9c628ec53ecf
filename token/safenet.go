package token

import (
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
)

// The XML that SafeNet, and Aladdin before it, ships with eToken and SafeWord tokens: Tokens > Token with the attribute serial >
// Applications > Application > Seed in hexadecimal and MovingFactor, the counter of the next code. All of them are event-based
// unless it is said what to assume; the file tells neither digits nor hash.

// safenetRoot is how such a file begins, after declaration and comments.
var safenetRoot = regexp.MustCompile(`(?s)^(<\?.*?\?>|<!--.*?-->|\s)*<Tokens[\s>]`)

// safenetPlain are elements that tell nothing about codes.
var safenetPlain = []string{"CaseModel", "Model", "ProductionDate", "ProductName"}

type safenetReader struct {
	xmlFile
	options *ReadOptions
	begun   bool
	ended   bool
	token   *element // the current one
}

func (s *safenetReader) close() { s.token.clear() }

func (s *safenetReader) next() (*Row, error) {
	for {
		s.token.clear()
		s.token = nil
		s.in.left = maxPackage
		line, _ := s.xml.InputPos()
		next, err := s.xmlFile.token()
		if errors.Is(err, io.EOF) && !s.ended {
			return nil, endError{&RowError{Line: line, Err: errors.New("the file holds no Tokens")}}
		}
		if err != nil {
			return nil, err
		}
		if _, end := next.(xml.EndElement); end {
			s.ended = true
		}
		start, ok := next.(xml.StartElement)
		here := &element{name: start.Name, line: line}
		switch {
		case !ok:
		case s.ended:
			return nil, endError{here.fault("it stands after the end of the tokens")}
		case !s.begun && start.Name.Local != "Tokens":
			return nil, endError{here.fault("want Tokens, with a Token for each")}
		case !s.begun:
			s.begun = true
		case start.Name.Local != "Token":
			return nil, endError{here.fault("want Token")}
		default:
			if s.token, err = s.tree(start, line, 0); err != nil {
				return nil, err
			}
			return s.row(s.token)
		}
	}
}

func (s *safenetReader) row(e *element) (*Row, error) {
	row := &Row{Line: e.line, Name: e.attr("serial"), Token: Token{Serial: e.attr("serial"), Form: Hardware, State: InStock, Last: NoStep}}
	err := s.fill(row, e)
	if err == nil {
		return row, nil
	}
	clear(row.Seed)
	var place *RowError
	if errors.As(err, &place) {
		place.Name = row.Name
	}
	return nil, err
}

func (s *safenetReader) fill(row *Row, e *element) error {
	t, assume := &row.Token, &s.options.Assume
	if t.Serial == "" {
		return e.fault("it has no attribute serial")
	}
	place := e
	for _, c := range e.children {
		switch {
		case c.name.Local == "Applications" && len(c.children) == 1 && place == e:
			place = c.children[0]
		case c.name.Local == "Applications":
			return c.fault("want one Application; a token with several is not taken")
		case c.name.Local != "Seed" && c.name.Local != "MovingFactor" && !slices.Contains(safenetPlain, c.name.Local):
			row.Warnings = append(row.Warnings, "<"+shownElement(c.name.Local)+"> is not known and was passed over")
		}
	}
	seed, counter := place.child("Seed"), place.child("MovingFactor")
	if seed == nil {
		return place.fault("it has no Seed")
	}
	var err error
	if row.Seed, err = decodeSecret(seed.text, decodeHex); err != nil {
		return seed.fault("%w", err)
	}
	t.Mode, t.Hash, t.Digits = cmp.Or(assume.Mode, HOTP), assume.Hash, cmp.Or(assume.Digits, 6)
	row.guessHash(s.options)
	if t.Mode == TOTP {
		t.Period = cmp.Or(assume.Period, 30)
	} else {
		n, err := parseNumber(cmp.Or(counter.word(), "0"), 0, MaxCounter)
		if err != nil {
			return counter.fault("%w", err)
		}
		t.Last = n - 1
	}
	if assume.Digits == 0 {
		row.Warnings = append(row.Warnings, "the file does not say how many digits its codes have; read as 6")
	}
	if err := t.Check(); err != nil {
		return e.fault("%w", err)
	}
	return nil
}
