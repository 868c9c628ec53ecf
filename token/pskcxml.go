package token

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// What one KeyPackage, or a token of another file in XML, may take; a usual one has 2 KB and a depth of 6. Attributes, texts and comments count.
const (
	maxPackage = 256 << 10 // octets
	maxDepth   = 16
)

var errTooLong = errors.New("token: an element of an XML file is too long")

// meter counts octets down, because the XML decoder holds a text of any length in memory. It is an [io.ByteReader], so that
// the decoder reads no further than it has come.
type meter struct {
	in   *bufio.Reader
	left int
}

func (m *meter) ReadByte() (byte, error) {
	if m.left--; m.left < 0 {
		return 0, errTooLong
	}
	return m.in.ReadByte()
}

func (m *meter) Read(p []byte) (int, error) {
	if len(p) > m.left {
		return 0, errTooLong
	}
	n, err := m.in.Read(p)
	m.left -= n
	return n, err
}

// xmlFile is a file that is read element by element.
type xmlFile struct {
	in  *meter
	xml *xml.Decoder
}

func newXMLFile(in *bufio.Reader) xmlFile {
	m := &meter{in: in, left: maxPackage}
	d := xml.NewDecoder(m)
	d.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "utf-16", "us-ascii": // by now it is UTF-8, and whatever is not is refused by the decoder
			return r, nil
		}
		return nil, fmt.Errorf("its encoding is %s: want UTF-8", shown(charset))
	}
	return xmlFile{m, d}
}

// element is one element of XML with what stands in it.
type element struct {
	name     xml.Name
	attrs    []xml.Attr
	line     int
	text     []byte // all character data of the element itself
	children []*element
}

// tree reads the element that start began, down to its end.
func (p *xmlFile) tree(start xml.StartElement, line, depth int) (*element, error) {
	if depth > maxDepth {
		return nil, endError{&RowError{Line: line, Err: fmt.Errorf("elements stand within each other more than %d deep", maxDepth)}}
	}
	e := &element{name: start.Name, attrs: slices.Clone(start.Attr), line: line}
	for {
		line, _ := p.xml.InputPos()
		next, err := p.token()
		if err != nil {
			e.clear()
			return nil, err
		}
		switch next := next.(type) {
		case xml.StartElement:
			child, err := p.tree(next, line, depth+1)
			if err != nil {
				e.clear()
				return nil, err
			}
			e.children = append(e.children, child)
		case xml.CharData:
			e.text = append(e.text, next...)
		case xml.EndElement:
			return e, nil
		}
	}
}

// token gives the next token of the file. Declarations of a document type are refused: entities that name each other grow
// without end, and outer ones read files of this machine. The decoder knows only the five entities of XML itself.
func (p *xmlFile) token() (xml.Token, error) {
	next, err := p.xml.Token()
	line, _ := p.xml.InputPos()
	fault := func(format string, a ...any) error {
		return endError{&RowError{Line: line, Err: fmt.Errorf(format, a...)}}
	}
	var syntax *xml.SyntaxError
	switch {
	case errors.Is(err, errTooLong):
		return nil, fault("one element has more than %d octets; want one package a key", maxPackage)
	case errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
		return nil, fault("the file breaks off here; want all of it, down to the end of its first element")
	case errors.As(err, &syntax) && strings.Contains(syntax.Msg, "entity"):
		return nil, fault("it uses an entity of its own; want only those of XML itself, such as &amp;")
	case errors.As(err, &syntax):
		return nil, fault("it is not well-formed XML")
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fault("reading the XML: %w", err)
	case err != nil:
		return nil, io.EOF
	}
	if _, ok := next.(xml.Directive); ok {
		return nil, fault("it declares a document type or entities, which no seed file needs; take the <!...> out")
	}
	return next, nil
}

// passOver reads to the end of an element that tells us nothing. Its length is bounded like that of any other.
func (p *xmlFile) passOver() error {
	for depth := 1; depth > 0; {
		next, err := p.token()
		if err != nil {
			return err
		}
		switch next.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
	return nil
}

// clear wipes the texts, secrets among them.
func (e *element) clear() {
	if e == nil {
		return
	}
	clear(e.text[:cap(e.text)])
	for _, c := range e.children {
		c.clear()
	}
}

func (e *element) fault(format string, a ...any) error {
	return &RowError{Line: e.line, Column: "<" + shownElement(e.name.Local) + ">", Err: fmt.Errorf(format, a...)}
}

func shownElement(s string) string { return fmt.Sprintf("%.30s", s) }

// word is the text without the white space around it; "" for an element that is not there.
func (e *element) word() string {
	if e == nil {
		return ""
	}
	return string(bytes.TrimSpace(e.text))
}

func (e *element) attr(name string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.attrs {
		if a.Name.Local == name && a.Name.Space == "" {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// parts gives the children in the element's own namespace by name. One of another name is a fault, because what is misspelt
// would be lost in silence; so is one that comes twice and may not. Children of other namespaces are extensions: they are
// passed over.
func (e *element) parts(names ...string) (map[string]*element, error) {
	found := make(map[string]*element, len(e.children))
	for _, c := range e.children {
		if c.name.Space != e.name.Space {
			continue
		}
		switch {
		case !slices.Contains(names, c.name.Local):
			return nil, c.fault("RFC 6030 knows no such element in <%s>: want %s", e.name.Local, strings.Join(names, ", "))
		case found[c.name.Local] != nil && !slices.Contains(repeated, c.name.Local):
			return nil, c.fault("it stands there twice")
		}
		found[c.name.Local] = c
	}
	return found, nil
}

// repeated are elements that may come several times.
var repeated = []string{"Key", "FriendlyName", "KeyUsage", "Extensions"}

// child is the first child of that name in any namespace; nil where there is none or e is nil. It serves the elements of
// XML encryption, whose namespaces differ between the editions of that norm and within the examples of RFC 6030.
func (e *element) child(path ...string) *element {
	for _, name := range path {
		if e == nil {
			return nil
		}
		at := slices.IndexFunc(e.children, func(c *element) bool { return c.name.Local == name })
		if at < 0 {
			return nil
		}
		e = e.children[at]
	}
	return e
}
