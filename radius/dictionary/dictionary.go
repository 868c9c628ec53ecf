// Package dictionary knows RADIUS attributes: their names, numbers and types, those of the standards and of vendors.
//
// The *.dict files beside this file are the source. They are written in the syntax of FreeRADIUS's dictionaries, with its
// names, so that what administrators know from there holds here; `go generate` turns them into generated.go. A site adds
// vendors with files of its own in the same syntax ([Dictionary.Load]).
package dictionary

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

//go:generate go run ./gen

// Type is how a value is written into an attribute (RFC 8044).
type Type uint8

// The types, with their names in dictionary files.
const (
	Text       Type = iota + 1 // string: UTF-8
	Octets                     // octets: anything
	Integer                    // integer: 32 bits without sign
	IPv4                       // ipaddr
	IPv6                       // ipv6addr
	IPv6Prefix                 // ipv6prefix
	Interface                  // ifid: 8 octets
)

var typeNames = map[Type]string{Text: "string", Octets: "octets", Integer: "integer", IPv4: "ipaddr", IPv6: "ipv6addr",
	IPv6Prefix: "ipv6prefix", Interface: "ifid"}

// String gives the name that dictionary files use.
func (t Type) String() string { return cmp.Or(typeNames[t], fmt.Sprintf("type %d", t)) }

// Value is a named value of an Integer.
type Value struct {
	Name   string
	Number uint32
}

// Attribute is one attribute.
type Attribute struct {
	Name   string
	Vendor uint32 // private enterprise number; 0: an attribute of the standards
	Number uint8
	Type   Type
	Tagged bool // RFC 2868: it says which of several tunnels it belongs to
	Values []Value
}

// Octets that a value may have: in an attribute of the standards, and in a vendor's, whose number and length take six.
const (
	maxValue       = 253
	maxVendorValue = 247
)

// MaxLength is how many octets its value may have, a tag not counted.
func (a *Attribute) MaxLength() int {
	n := maxValue
	if a.Vendor != 0 {
		n = maxVendorValue
	}
	if a.Tagged {
		n--
	}
	return n
}

// Repeats tells whether it may come several times with several values: texts, octets and IPv6 do; a number or an IPv4
// address is one setting.
func (a *Attribute) Repeats() bool { return a.Type != Integer && a.Type != IPv4 && a.Type != Interface }

// Value gives the number of a value's name, in any case of letters.
func (a *Attribute) Value(name string) (uint32, bool) {
	for _, v := range a.Values {
		if strings.EqualFold(v.Name, name) {
			return v.Number, true
		}
	}
	return 0, false
}

// Vendor is who defines attributes of their own.
type Vendor struct {
	Name string
	ID   uint32 // private enterprise number
}

// Dictionary is a set of attributes. It must not be changed while others read it.
type Dictionary struct {
	vendors    []Vendor
	attributes []*Attribute
	byName     map[string]*Attribute // in lower case
}

// New gives the built-in attributes: those of the standards and of the vendors that the package knows.
func New() *Dictionary {
	d := &Dictionary{vendors: slices.Clone(builtInVendors), byName: make(map[string]*Attribute, len(builtIn))}
	for _, a := range builtIn {
		d.add(&a)
	}
	return d
}

func (d *Dictionary) add(a *Attribute) {
	if d.byName == nil {
		d.byName = map[string]*Attribute{}
	}
	d.attributes = append(d.attributes, a)
	d.byName[strings.ToLower(a.Name)] = a
}

// Find gives the attribute of a name, in any case of letters; nil when there is none.
func (d *Dictionary) Find(name string) *Attribute { return d.byName[strings.ToLower(name)] }

// All lists the attributes: those of the standards first, then by vendor, each in the order of their numbers.
func (d *Dictionary) All() []*Attribute {
	all := slices.Clone(d.attributes)
	slices.SortStableFunc(all, func(a, b *Attribute) int {
		return cmp.Or(cmp.Compare(a.Vendor, b.Vendor), cmp.Compare(a.Number, b.Number))
	})
	return all
}

// Vendors lists the vendors in the order in which they were read.
func (d *Dictionary) Vendors() []Vendor { return slices.Clone(d.vendors) }

// Vendor gives the name of a vendor; empty when it is not known, and for 0.
func (d *Dictionary) Vendor(id uint32) string {
	for _, v := range d.vendors {
		if v.ID == id {
			return v.Name
		}
	}
	return ""
}

// BuiltIn tells whether the package itself knows a vendor, beside those that sites add.
func BuiltIn(id uint32) bool {
	return slices.ContainsFunc(builtInVendors, func(v Vendor) bool { return v.ID == id })
}

// BuiltInVendor gives the number of a vendor that the package knows, by its name.
func BuiltInVendor(name string) (id uint32, ok bool) {
	for _, v := range builtInVendors {
		if strings.EqualFold(v.Name, name) {
			return v.ID, true
		}
	}
	return 0, false
}
