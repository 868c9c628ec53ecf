package dictionary

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of dictionary files. FreeRADIUS's largest has 1,900 lines.
const (
	maxFile     = 1 << 20 // octets
	maxFiles    = 64      // read by $INCLUDE, all together
	maxName     = 128
	maxFaults   = 50 // reported of one file and what it includes
	maxVendorID = 1<<24 - 1
)

// Load adds the attributes of a file. It takes VENDOR, BEGIN-VENDOR, END-VENDOR, ATTRIBUTE, VALUE and $INCLUDE, whose
// file is looked for beside the one that names it, and refuses everything else: the error has a line for each fault, with
// file and line number. After an error the dictionary holds a part of the file and should not be used.
func (d *Dictionary) Load(path string) error { return d.load(path, readFile, false) }

// LoadBuiltIn is Load for a file of the package itself, which may define attributes of the standards.
func (d *Dictionary) LoadBuiltIn(path string) error { return d.load(path, readFile, true) }

func (d *Dictionary) load(path string, read func(string) ([]byte, error), builtIn bool) error {
	p := &parser{d: d, read: read, builtIn: builtIn}
	p.file(path, path, nil)
	return errors.Join(p.faults...)
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case info.Size() > maxFile:
		return nil, errors.New("larger than 1 MiB, which no dictionary is")
	}
	return os.ReadFile(path)
}

type parser struct {
	d       *Dictionary
	read    func(string) ([]byte, error)
	builtIn bool
	vendor  *Vendor // of BEGIN-VENDOR
	count   int
	where   string // file:line
	faults  []error
}

func (p *parser) fault(format string, args ...any) {
	if len(p.faults) < maxFaults {
		p.faults = append(p.faults, fmt.Errorf("%s: "+format, append([]any{p.where}, args...)...))
	}
}

// file reads one file; named is how the place of its name calls it.
func (p *parser) file(path, named string, from []string) {
	switch p.count++; {
	case slices.Contains(from, path):
		p.fault("$INCLUDE %s: this file is being read already", named)
		return
	case p.count > maxFiles:
		p.fault("$INCLUDE %s: more than %d files", named, maxFiles)
		return
	}
	text, err := p.read(path)
	if err != nil {
		if p.where == "" {
			p.where = path
			err = causeOf(err)
		}
		p.fault("reading the dictionary: %w", err)
		return
	}
	outer, vendor := p.where, p.vendor
	p.vendor = nil
	for i, line := range strings.Split(string(text), "\n") {
		p.where = path + ":" + strconv.Itoa(i+1)
		if len(p.faults) >= maxFaults {
			return
		}
		p.line(path, line, append(from, path))
	}
	if p.vendor != nil {
		p.fault("BEGIN-VENDOR %s has no END-VENDOR", p.vendor.Name)
	}
	p.where, p.vendor = outer, vendor
}

// causeOf is an error of the file system without the path, which the place already names.
func causeOf(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (p *parser) line(path, line string, open []string) {
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\r' }) {
		p.fault("control characters, or no UTF-8; this is no dictionary")
		return
	}
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	keyword, args := words[0], words[1:]
	want := map[string][2]int{"VENDOR": {2, 3}, "BEGIN-VENDOR": {1, 1}, "END-VENDOR": {1, 1}, "ATTRIBUTE": {3, 4}, "VALUE": {3, 3}, "$INCLUDE": {1, 1}}
	n, known := want[keyword]
	switch {
	case !known:
		p.fault("%s is not supported; there may be VENDOR, BEGIN-VENDOR, END-VENDOR, ATTRIBUTE, VALUE and $INCLUDE", keyword)
		return
	case len(args) < n[0] || len(args) > n[1]:
		p.fault("%s with %d words behind it; there have to be %s", keyword, len(args), map[bool]string{true: strconv.Itoa(n[0]), false: fmt.Sprintf("%d or %d", n[0], n[1])}[n[0] == n[1]])
		return
	}
	switch keyword {
	case "VENDOR":
		p.addVendor(args)
	case "BEGIN-VENDOR":
		if p.vendor != nil {
			p.fault("BEGIN-VENDOR inside of BEGIN-VENDOR %s", p.vendor.Name)
		}
		p.vendor = p.findVendor(args[0])
	case "END-VENDOR":
		if p.vendor == nil || !strings.EqualFold(p.vendor.Name, args[0]) {
			p.fault("END-VENDOR %s without its BEGIN-VENDOR", args[0])
		}
		p.vendor = nil
	case "ATTRIBUTE":
		p.addAttribute(args)
	case "VALUE":
		p.addValue(args)
	case "$INCLUDE":
		next := args[0]
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(path), next)
		}
		p.file(next, args[0], open)
	}
}

func (p *parser) findVendor(name string) *Vendor {
	for i := range p.d.vendors {
		if strings.EqualFold(p.d.vendors[i].Name, name) {
			return &p.d.vendors[i]
		}
	}
	p.fault("vendor %s has no VENDOR line before", name)
	return nil
}

func (p *parser) addVendor(args []string) {
	v := Vendor{Name: args[0]}
	id, err := strconv.ParseUint(args[1], 10, 32)
	switch v.ID = uint32(id); {
	case !goodName(v.Name):
		p.fault("%q cannot be the name of a vendor", v.Name)
		return
	case err != nil || id == 0 || id > maxVendorID:
		p.fault("%q is not the number of a vendor; write 1 to %d", args[1], maxVendorID)
		return
	case len(args) == 3 && args[2] != "format=1,1":
		p.fault("%s is not supported; only vendors with one octet each of number and length are", args[2])
		return
	}
	for _, k := range p.d.vendors {
		switch {
		case k == v:
			return // again
		case strings.EqualFold(k.Name, v.Name) || k.ID == v.ID:
			p.fault("vendor %s is %d and vendor %s is %d; name and number belong together", v.Name, v.ID, k.Name, k.ID)
			return
		}
	}
	p.d.vendors = append(p.d.vendors, v)
}

func (p *parser) addAttribute(args []string) {
	a := &Attribute{Name: args[0]}
	vendor := p.vendor
	if len(args) == 4 {
		for flag := range strings.SplitSeq(args[3], ",") {
			switch {
			case flag == "has_tag":
				a.Tagged = true
			case strings.ContainsAny(flag, "=") || slices.Contains([]string{"concat", "array", "virtual", "long", "extended"}, flag):
				p.fault("%s: %s is not supported", a.Name, flag)
				return
			default: // the old way to name the vendor
				if vendor = p.findVendor(flag); vendor == nil {
					return
				}
			}
		}
	}
	number, err := strconv.ParseUint(args[1], 0, 8)
	a.Number = uint8(number)
	for t, name := range typeNames {
		if strings.EqualFold(name, args[2]) || t == Text && strings.EqualFold(args[2], "text") || t == Integer && strings.EqualFold(args[2], "uint32") || t == IPv4 && strings.EqualFold(args[2], "ipv4addr") {
			a.Type = t
		}
	}
	switch {
	case !goodName(a.Name):
		p.fault("%q cannot be the name of an attribute", a.Name)
		return
	case err != nil || number == 0:
		p.fault("%s: number %s; only 1 to 255 are supported", a.Name, args[1])
		return
	case a.Type == 0:
		p.fault("%s: type %s is not supported; there may be string, octets, integer, ipaddr, ipv6addr, ipv6prefix and ifid", a.Name, args[2])
		return
	case a.Tagged && a.Type != Text && a.Type != Integer:
		p.fault("%s: has_tag goes with string and integer", a.Name)
		return
	case vendor == nil && !p.builtIn:
		p.fault("%s: outside of BEGIN-VENDOR; the attributes of the standards are built in", a.Name)
		return
	}
	if vendor != nil {
		a.Vendor = vendor.ID
	}
	if k := p.d.Find(a.Name); k != nil {
		if k.Vendor != a.Vendor || k.Number != a.Number || k.Type != a.Type || k.Tagged != a.Tagged {
			p.fault("%s is already known with another meaning: vendor %d, number %d, %s", a.Name, k.Vendor, k.Number, k.Type)
		}
		return
	}
	p.d.add(a)
}

func (p *parser) addValue(args []string) {
	a := p.d.Find(args[0])
	number, err := strconv.ParseUint(args[2], 0, 32)
	switch {
	case a == nil:
		p.fault("VALUE of %s, which has no ATTRIBUTE line before", args[0])
		return
	case a.Type != Integer:
		p.fault("VALUE of %s, which is no integer", args[0])
		return
	case err != nil:
		p.fault("%q is not a number from 0 to 4294967295", args[2])
		return
	case len(args[1]) > maxName:
		p.fault("the name of a value has more than %d octets", maxName)
		return
	}
	if n, known := a.Value(args[1]); known {
		if n != uint32(number) {
			p.fault("%s of %s is already known as %d", args[1], a.Name, n)
		}
		return
	}
	a.Values = append(a.Values, Value{args[1], uint32(number)})
}

// goodName wants what can be a key of a configuration and stand before a tag.
func goodName(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool {
		return r > '~' || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./+", r)
	})
}
