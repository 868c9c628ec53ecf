package authn

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// MaxName is the longest name in octets, as typed and as folded: the length of a RADIUS attribute's value.
const MaxName = 253

// Why octets are nobody's name, whatever the directories hold.
var (
	errNameLong    = fmt.Errorf("%w: the name has more than %d octets", ErrUnknownUser, MaxName)
	errNameUTF8    = fmt.Errorf("%w: the name is not UTF-8", ErrUnknownUser)
	errNameBlank   = fmt.Errorf("%w: the name is blank", ErrUnknownUser)
	errNameControl = fmt.Errorf("%w: the name has a control character", ErrUnknownUser)
)

// FoldName brings the spellings of one name together: blanks around it go, compatibility forms such as full-width letters
// become the plain ones (Unicode NFKC). Case stays, because only the directory knows whether it matters there. The result
// may share the octets of name.
//
// What no directory may be asked for is [ErrUnknownUser]: nothing but blanks, control characters (NUL ends strings in some
// servers), invalid UTF-8, more than [MaxName] octets.
func FoldName(name []byte) ([]byte, error) {
	if len(name) > MaxName {
		return nil, errNameLong
	}
	if !isASCII(name) {
		if !utf8.Valid(name) {
			return nil, errNameUTF8
		}
		name = norm.NFKC.Bytes(name) // it turns ideographic and no-break blanks into plain ones, so it comes first
	}
	name = bytes.TrimSpace(name)
	switch {
	case len(name) == 0:
		return nil, errNameBlank
	case len(name) > MaxName:
		return nil, errNameLong
	case bytes.ContainsFunc(name, unicode.IsControl):
		return nil, errNameControl
	}
	return name, nil
}

// AppendFolded appends the form in which names are compared without regard to case, FoldCase of FoldName, to dst. Names in
// ASCII cost no memory where dst has room. The error is an [ErrUnknownUser].
func AppendFolded(dst, name []byte) ([]byte, error) {
	folded, err := FoldName(name)
	if err != nil {
		return dst, err
	}
	if !isASCII(folded) {
		return append(dst, FoldCase(string(folded))...), nil
	}
	return appendLower(dst, folded), nil
}

// appendLower is for ASCII.
func appendLower(dst, text []byte) []byte {
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// FoldCase makes folded texts comparable without regard to case. Folding can undo the normal form, so that is restored.
func FoldCase(folded string) string {
	if isASCII(folded) {
		return strings.ToLower(folded) // the same, at a fraction of the cost
	}
	return norm.NFKC.String(cases.Fold().String(folded))
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// FoldRealm gives the form in which realms are compared, and says what cannot be one.
func FoldRealm(realm string) (string, error) {
	folded, err := FoldName([]byte(realm))
	switch {
	case err != nil:
		_, why, _ := strings.Cut(err.Error(), ": ")
		return "", errors.New(strings.Replace(why, "the name", "the realm", 1))
	case bytes.ContainsAny(folded, `\@ ¥`):
		return "", errors.New(`a realm has no blank, no @ and no \`)
	}
	return FoldCase(string(folded)), nil
}

// Forms says which ways of writing a realm are taken apart.
type Forms uint8

// The forms.
const (
	BothForms  Forms = iota
	PrefixForm       // EXAMPLE\user
	SuffixForm       // user@example.com
	NoForm           // the name is one whole, whatever is in it
)

// Names says how the names are read that people type at one client. The zero value takes both forms, and every realm
// that a directory claims; it holds for operators too.
type Names struct {
	Strip   Forms
	Realms  []string // the realms taken, as FoldRealm gives them; empty: every one
	Default string   // realm of names without one, as FoldRealm gives it; empty: they belong to the first directory
}

// Branch is one directory of a site, with the realms whose users it has.
type Branch struct {
	Name      string // what User.Directory says
	Directory Directory
	Realms    []string // as FoldRealm gives them: EXAMPLE\user and user@example stand for user
	// UPNSuffixes stand behind an @ too, but belong to the name: the directory is asked for user@suffix as a whole, because
	// it may have another user of the plain name.
	UPNSuffixes []string
}

// NameReading is how a typed name was read.
type NameReading struct {
	Branch *Branch // the directory to ask; nil: it is nobody's name
	Name   []byte  // what to ask it for; may share the octets that were typed

	folded []byte
	form   Forms  // PrefixForm or SuffixForm where it has a realm, else NoForm
	realm  []byte // as typed, folded but for case
	whole  bool   // the realm is a UPN suffix and stays in the name
	why    nameFault
	fault  error // of FoldName
}

// nameFault is why a name is nobody's.
type nameFault uint8

const (
	noName       nameFault = iota + 1 // what FoldName refuses
	noBody                            // a realm without a name, or a separator without a realm
	twoRealms                         // it could be read in two ways
	noRealm                           // the client takes names with a realm only
	unknownRealm                      // no directory claims it
	barredRealm                       // a directory does, but the client does not take it
)

// Read reads a name that was typed. It never takes a realm off that it does not know: what belongs to somebody of another
// realm must not open for the person who has the plain name here (B18).
func (n *Names) Read(ds Directories, typed []byte) NameReading {
	folded, err := FoldName(typed)
	if err != nil {
		return NameReading{why: noName, fault: err, form: NoForm}
	}
	r := NameReading{folded: folded, form: NoForm}
	if !ds.claimAny() {
		r.Branch, r.Name = ds.first(), folded
		return r
	}
	name := n.cut(ds, &r)
	switch {
	case r.why != 0:
	case r.form == NoForm:
		r.Branch, r.Name = n.home(ds), folded
		if r.Branch == nil {
			r.why = noRealm
		}
	case len(name) == 0 || len(r.realm) == 0:
		r.why = noBody
	default:
		n.place(ds, &r, name)
	}
	return r
}

// yen is what Japanese keyboards have in the place of the backslash; some systems send it as a character of its own.
var yen = []byte("¥")

// cut finds the realm of a folded name and gives the rest.
func (n *Names) cut(ds Directories, r *NameReading) (name []byte) {
	prefix, width, suffix := -1, 1, -1
	if n.Strip == BothForms || n.Strip == PrefixForm {
		prefix = bytes.IndexByte(r.folded, '\\')
		if i := bytes.Index(r.folded, yen); prefix < 0 && i > 0 {
			if b, _ := ds.claims(bytes.TrimSpace(r.folded[:i]), PrefixForm); b != nil {
				prefix, width = i, len(yen)
			}
		}
	}
	if n.Strip == BothForms || n.Strip == SuffixForm {
		suffix = bytes.LastIndexByte(r.folded, '@')
	}
	switch {
	case prefix < 0 && suffix < 0:
		return nil
	case prefix >= 0 && suffix >= 0,
		prefix >= 0 && bytes.IndexByte(r.folded[prefix+width:], '\\') >= 0,
		suffix >= 0 && bytes.IndexByte(r.folded[:suffix], '@') >= 0:
		r.why = twoRealms
		return nil
	case prefix >= 0:
		r.form, r.realm, name = PrefixForm, r.folded[:prefix], r.folded[prefix+width:]
	default:
		r.form, r.realm, name = SuffixForm, r.folded[suffix+1:], r.folded[:suffix]
	}
	r.realm = bytes.TrimSpace(r.realm)
	return bytes.TrimSpace(name)
}

// place finds the directory of a name with a realm.
func (n *Names) place(ds Directories, r *NameReading, name []byte) {
	b, whole := ds.claims(r.realm, r.form)
	switch {
	case b == nil:
		r.why = unknownRealm
	case len(n.Realms) > 0 && !slices.ContainsFunc(n.Realms, func(s string) bool { return sameRealm(s, r.realm) }):
		r.why = barredRealm
	case whole:
		// Blanks around the @ are none of the name; without them it is as short as anybody types it.
		r.Branch, r.Name, r.whole = b, r.folded, true
		if len(name)+1+len(r.realm) != len(r.folded) {
			r.Name = slices.Concat(name, []byte("@"), r.realm)
		}
	default:
		r.Branch, r.Name = b, name
	}
}

// home is the directory of names without a realm; nil where the client takes none.
func (n *Names) home(ds Directories) *Branch {
	if n.Default != "" {
		b, _ := ds.claims([]byte(n.Default), PrefixForm)
		return b
	}
	b := ds.first()
	if len(n.Realms) > 0 && (b == nil || !slices.ContainsFunc(b.Realms, func(s string) bool { return slices.Contains(n.Realms, s) })) {
		return nil
	}
	return b
}

// sameRealm compares a realm in the form of FoldRealm with a typed one.
func sameRealm(folded string, typed []byte) bool {
	if isASCII(typed) {
		return len(folded) == len(typed) && strings.EqualFold(folded, string(typed))
	}
	return folded == FoldCase(string(typed))
}

// spelling is one text for all spellings that are read as one name, for what is remembered of names that nobody has, with
// the directory that it is read for. A UPN suffix makes no other name here: somebody who exists is mostly one person with
// it and without it.
func (r *NameReading) spelling(typed []byte) (branch string, name []byte) {
	if r.Branch == nil {
		return "", spelling(typed)
	}
	name = r.Name
	if r.whole {
		name = name[:len(name)-len(r.realm)-1]
	}
	return r.Branch.Name, spelling(name)
}

// Err is why a name is nobody's, as an ErrUnknownUser; nil where there is a directory to ask.
func (r *NameReading) Err() error {
	switch {
	case r.Branch != nil:
		return nil
	case r.fault != nil:
		return r.fault
	}
	return fmt.Errorf("%w: %s", ErrUnknownUser, r.refusal().English)
}
