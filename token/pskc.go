package token

import (
	"bufio"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// PSKC (RFC 6030) as vendors ship it:
//
//	KeyContainer
//	├── EncryptionKey        which pre-shared key or password opens the secrets; none where they are plain
//	├── MACMethod            how their MACs are made, with a key that is itself encrypted
//	└── KeyPackage ...       one device
//	    ├── DeviceInfo       serial, maker, dates
//	    └── Key              algorithm, secret, counter or interval, policy
//
// The file is read package by package, so its length costs time and no memory.

// pskcSpace is the namespace of RFC 6030. Prefixes are the writer's own affair.
const pskcSpace = "urn:ietf:params:xml:ns:keyprov:pskc"

// pskcAlgorithms begin the names of algorithms: the first is RFC 6030's, the others stand in vendors' files.
var pskcAlgorithms = []string{
	"urn:ietf:params:xml:ns:keyprov:pskc:", "urn:ietf:params:xml:ns:keyprov:pskc#", "http://www.ietf.org/keyprov/pskc#",
}

// oathID is the shape of an OATH token identifier: two characters of the maker, two of the kind, eight of the token.
var oathID = regexp.MustCompile(`^[A-Z]{2}[A-Z0-9]{10}$`)

// signature is that of the whole file (RFC 6030 §7).
var signature = xml.Name{Space: "http://www.w3.org/2000/09/xmldsig#", Local: "Signature"}

type pskcReader struct {
	xmlFile
	options *ReadOptions
	space   string            // the namespace of the file's elements
	devices map[string]string // serials in capitals, to the Id of the first key of the device
	begun   bool
	ended   bool
	// A file that is not in the namespace of RFC 6030 is refused by wrong, unless its first package is a Device: then it is
	// a file of Feitian (feitian.go).
	wrong   error
	feitian bool
	crypt   pskcCrypt

	pack   *element   // the current KeyPackage
	device *element   // its DeviceInfo; may be nil
	keys   []*element // of it, still to be read
}

func newPSKCReader(in *bufio.Reader, o *ReadOptions) *pskcReader {
	return &pskcReader{xmlFile: newXMLFile(in), options: o, space: pskcSpace, devices: map[string]string{}, crypt: pskcCrypt{options: o}}
}

func (p *pskcReader) close() {
	p.pack.clear()
	p.crypt.clear()
}

func (p *pskcReader) next() (*Row, error) {
	for len(p.keys) == 0 {
		if err := p.nextPackage(); err != nil {
			return nil, err
		}
	}
	key := p.keys[0]
	p.keys = p.keys[1:]
	row, err := p.row(key)
	if err == nil {
		return row, nil
	}
	var place *RowError
	if errors.As(err, &place) {
		place.Name = p.nameOf(key)
	}
	return nil, err
}

// nextPackage reads up to the end of the next KeyPackage.
func (p *pskcReader) nextPackage() error {
	p.pack.clear()
	p.pack, p.device = nil, nil
	p.in.left = maxPackage
	line, _ := p.xml.InputPos()
	next, err := p.token()
	if errors.Is(err, io.EOF) && p.wrong != nil {
		return p.wrong
	}
	if errors.Is(err, io.EOF) && !p.ended {
		return endError{&RowError{Line: line, Err: errors.New("the file holds no KeyContainer")}}
	}
	if err != nil {
		return err
	}
	if _, end := next.(xml.EndElement); end {
		p.ended = true
	}
	start, ok := next.(xml.StartElement)
	switch {
	case !ok:
		return nil
	case p.ended:
		return endError{&RowError{Line: line, Err: errors.New("something stands after the end of the KeyContainer")}}
	case !p.begun:
		p.begun = true
		return p.root(start, line)
	case p.wrong != nil && !p.isFeitian(start):
		return p.wrong
	case start.Name == signature && !p.options.IgnoreSignature:
		return endError{(&element{name: start.Name, line: line}).fault("the file is signed, and signatures cannot be checked here; " +
			"if it came by a way you trust, say that the signature is to be ignored")}
	case start.Name.Space != p.space:
		return p.passOver() // extensions
	}
	switch start.Name.Local {
	case "EncryptionKey":
		p.crypt.source, err = p.tree(start, line, 0)
	case "MACMethod":
		p.crypt.method, err = p.tree(start, line, 0)
	case "KeyPackage", feitianPackage:
		if (start.Name.Local == feitianPackage) != p.feitian {
			return endError{(&element{name: start.Name, line: line}).fault("the file has packages of another kind before it")}
		}
		p.pack, err = p.tree(start, line, 0)
		if err == nil {
			err = p.unpack()
		}
	case "Extensions":
		err = p.passOver()
	default:
		err = (&element{name: start.Name, line: line}).fault("RFC 6030 knows no such element in <KeyContainer>")
		err = endError{err}
	}
	return err
}

func (p *pskcReader) root(start xml.StartElement, line int) error {
	root := &element{name: start.Name, attrs: start.Attr, line: line}
	switch {
	case start.Name.Local == "KeyContainer" && start.Name.Space == pskcSpace:
		if v := root.attr("Version"); v != "" && v != "1.0" {
			return endError{root.fault("version %s: want 1.0", shown(v))}
		}
		return nil
	case start.Name.Local == "KeyContainer" && strings.Contains(start.Name.Space, "keyprov"):
		p.wrong = endError{root.fault("it is in a draft of PSKC from before RFC 6030; ask the vendor for a file by RFC 6030, whose namespace is %s", pskcSpace)}
		p.space = start.Name.Space
		return nil
	case start.Name.Local == "KeyContainer":
		p.wrong = endError{root.fault("want a KeyContainer in the namespace %s", pskcSpace)}
		p.space = start.Name.Space
		return nil
	}
	return endError{root.fault("want a KeyContainer in the namespace %s", pskcSpace)}
}

func (p *pskcReader) unpack() error {
	parts, err := p.pack.parts("DeviceInfo", "CryptoModuleInfo", "Key", "Extensions")
	if err != nil {
		return err
	}
	p.device = parts["DeviceInfo"]
	for _, c := range p.pack.children {
		if c.name == (xml.Name{Space: p.space, Local: "Key"}) {
			p.keys = append(p.keys, c)
		}
	}
	if len(p.keys) == 0 {
		return p.pack.fault("it holds no Key")
	}
	return nil
}

func (p *pskcReader) nameOf(key *element) string {
	return cmp.Or(keyID(key), p.device.child("SerialNo").word())
}

// row reads one Key of the current package.
func (p *pskcReader) row(key *element) (*Row, error) {
	row := &Row{Line: key.line, Name: p.nameOf(key), Token: Token{State: InStock, Last: NoStep}}
	parts, err := p.keyParts(key)
	if err != nil {
		return nil, err
	}
	device := map[string]*element{}
	if p.device != nil {
		device, err = p.device.parts("Manufacturer", "SerialNo", "Model", "IssueNo", "DeviceBinding", "StartDate", "ExpiryDate",
			"UserId", "Extensions")
	}
	if err == nil {
		err = row.algorithm(key)
	}
	if err == nil {
		err = row.parameters(p.options, parts["AlgorithmParameters"])
	}
	if err == nil {
		err = p.dates(row, device)
	}
	if err == nil {
		err = p.policy(row, parts["Policy"])
	}
	if err == nil {
		err = row.owner(key, device, parts)
	}
	if err == nil {
		err = row.ours(ourExtension(key))
	}
	if err == nil {
		p.oneDevice(row, key)
		row.name(key.child("FriendlyName")) // of several, in as many languages, the first
	}
	if err == nil {
		err = p.data(row, key, parts["Data"])
	}
	if err == nil {
		row.guessHash(p.options)
		if err = row.Token.Check(); err != nil {
			err = key.fault("%w", err)
		}
	}
	if err != nil {
		clear(row.Seed)
		return nil, err
	}
	return row, nil
}

func (r *Row) algorithm(key *element) error {
	name := cmp.Or(key.attr("Algorithm"), key.attr("KeyAlgorithm"))
	for _, begin := range pskcAlgorithms {
		if short, ok := strings.CutPrefix(name, begin); ok {
			if mode, err := parseMode(short); err == nil {
				r.Token.Mode = mode
				return nil
			}
		}
	}
	return key.fault("the algorithm %s is not taken: want hotp or totp", algorithm(name))
}

// parameters reads the kind of code. Vendors leave elements out that RFC 6030 §4.3.4 asks for; what is usual is taken then
// and said.
func (r *Row) parameters(o *ReadOptions, e *element) error {
	t := &r.Token
	t.Digits = cmp.Or(o.Assume.Digits, 6)
	var parts map[string]*element
	if e != nil {
		var err error
		if parts, err = e.parts("Suite", "ChallengeFormat", "ResponseFormat", "Extensions"); err != nil {
			return err
		}
	}
	if suite := parts["Suite"].word(); suite != "" {
		hash, err := parseHash(suite)
		if err != nil {
			return parts["Suite"].fault("%w", err)
		}
		t.Hash = hash
	}
	if parts["ChallengeFormat"] != nil {
		return parts["ChallengeFormat"].fault("tokens that answer a challenge are not taken")
	}
	format := parts["ResponseFormat"]
	if format == nil {
		if o.Assume.Digits == 0 {
			r.Warnings = append(r.Warnings, "the file does not say how many digits its codes have; read as 6")
		}
		return nil
	}
	if encoding := cmp.Or(format.attr("Encoding"), format.attr("Format")); encoding != "" && !strings.EqualFold(encoding, "DECIMAL") {
		return format.fault("Encoding %s: only codes of digits (DECIMAL) are taken", shown(encoding))
	}
	if check := strings.ToLower(format.attr("CheckDigits")); check != "" && check != "false" && check != "0" {
		return format.fault("codes with a check digit are not taken")
	}
	digits, err := parseNumber(format.attr("Length"), MinDigits, MaxDigits)
	if err != nil {
		return format.fault("Length %w", err)
	}
	t.Digits = uint8(digits)
	return nil
}

// dates reads those of the device; those of the policy narrow them.
func (p *pskcReader) dates(row *Row, device map[string]*element) error {
	if err := p.from(row, device["StartDate"]); err != nil {
		return err
	}
	return p.until(row, device["ExpiryDate"])
}

func (p *pskcReader) from(row *Row, e *element) error {
	at, err := p.instant(row, e)
	if at > row.Token.Start {
		row.Token.Start, row.StartText = at, e.word()
	}
	return err
}

func (p *pskcReader) until(row *Row, e *element) error {
	at, err := p.instant(row, e)
	if at != 0 && (row.Token.Expiry == 0 || at < row.Token.Expiry) {
		row.Token.Expiry, row.ExpiryText = at, e.word()
	}
	return err
}

func (p *pskcReader) instant(row *Row, e *element) (int64, error) {
	if e.word() == "" {
		return 0, nil
	}
	at, warning, err := p.options.parseInstant(e.word())
	if err != nil {
		return 0, e.fault("%w", err)
	}
	if warning != "" {
		row.Warnings = append(row.Warnings, "<"+e.name.Local+">: "+warning)
	}
	return at, nil
}

// policy reads what a key may be used for. A key whose policy a reader does not know must not be used (RFC 6030 §5).
func (p *pskcReader) policy(row *Row, e *element) error {
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		var err error
		switch {
		case c.name == (xml.Name{Space: p.space, Local: "StartDate"}):
			err = p.from(row, c)
		case c.name == (xml.Name{Space: p.space, Local: "ExpiryDate"}):
			err = p.until(row, c)
		case c.name == (xml.Name{Space: p.space, Local: "KeyUsage"}):
			// Several say what else it may be used for; that one of them is OTP is looked at below.
		case c.name == (xml.Name{Space: p.space, Local: "PINPolicy"}):
			if mode := c.attr("PINUsageMode"); mode != "Local" {
				err = c.fault("PINUsageMode %s: only PINs that the device itself asks for (Local) are taken", shown(mode))
			}
		default:
			err = c.fault("this policy is not kept here, and RFC 6030 §5 forbids the use of such a key; ask for a file without it")
		}
		if err != nil {
			return err
		}
	}
	usage := e.child("KeyUsage")
	if usage != nil && !slices.ContainsFunc(e.children, func(c *element) bool { return c.name.Local == "KeyUsage" && c.word() == "OTP" }) {
		return usage.fault("the key is for %s and not for one-time passwords (OTP)", shown(usage.word()))
	}
	return nil
}

// owner reads which token it is and whose.
func (r *Row) owner(key *element, device, parts map[string]*element) error {
	t, id := &r.Token, keyID(key)
	t.Serial, t.Form = device["SerialNo"].word(), Hardware
	if t.Serial == "" {
		t.Serial, t.Form = id, Software
		if id != "" && ourExtension(key) == nil {
			r.Warnings = append(r.Warnings, "the file gives no serial; the Id of the key stands for it")
		}
	}
	if id != t.Serial && oathID.MatchString(id) {
		t.CredentialID = id
	}
	user, other := parts["UserId"], device["UserId"]
	if user.word() == "" {
		user, other = other, nil
	}
	r.User = accountOf(user.word())
	switch {
	case other.word() != "" && accountOf(other.word()) != r.User:
		return other.fault("key and device name two users; leave one of the two out")
	case len(r.User) > maxLabel || strings.ContainsFunc(r.User, unicode.IsControl):
		return user.fault("want at most %d octets without control characters", maxLabel)
	case r.User == "" && t.Serial == "":
		return key.fault("it has neither serial nor user, so nobody could find the token again")
	}
	return nil
}

// oneDevice tells the keys of one device apart: serials are unique here, so each key after the first gets the device's
// serial and its own Id, as in "9999999/4". Keys of one device that have one Id, or none, stand there twice by mistake.
func (p *pskcReader) oneDevice(row *Row, key *element) {
	t, id := &row.Token, keyID(key)
	serial := strings.ToUpper(t.Serial)
	if serial == "" {
		return
	}
	first, seen := p.devices[serial]
	switch {
	case !seen:
		p.devices[serial] = id
	case id != "" && first != "" && !strings.EqualFold(id, first) && !strings.EqualFold(id, t.Serial) && !strings.EqualFold(first, t.Serial):
		t.Serial += "/" + id
		row.Warnings = append(row.Warnings, fmt.Sprintf("its device has several keys; this one is known as %s here", shownName(t.Serial)))
	}
}

// name takes the key's friendly name for the token's. It is only for people, so one that cannot be kept is left out.
func (r *Row) name(e *element) {
	r.Token.Name = e.word()
	if len(r.Token.Name) > maxName || strings.ContainsFunc(r.Token.Name, unicode.IsControl) {
		r.Token.Name = ""
		r.Warnings = append(r.Warnings, "its FriendlyName is too long or has control characters; left out")
	}
}

// maxName is the longest name of a token, in octets; [Token.Check] holds it.
const maxName = 128

// accountOf takes the name out of a UserId that is a distinguished name (RFC 6030 §4.2.1), as in UID=jsmith,DC=example.
func accountOf(id string) string {
	first, _, _ := strings.Cut(id, ",")
	kind, value, ok := strings.Cut(first, "=")
	if ok && (strings.EqualFold(strings.TrimSpace(kind), "uid") || strings.EqualFold(strings.TrimSpace(kind), "sAMAccountName")) {
		return strings.TrimSpace(value)
	}
	return id
}

// data reads the secret and where the key stands.
func (p *pskcReader) data(row *Row, key, e *element) error {
	if e == nil {
		return key.fault("it has no Data, and so no secret")
	}
	parts, err := e.parts("Secret", "Counter", "Time", "TimeInterval", "TimeDrift")
	if err != nil {
		return err
	}
	if err := p.steps(row, parts); err != nil {
		return err
	}
	secret := parts["Secret"]
	if secret == nil {
		return e.fault("it has no secret")
	}
	if row.Seed, err = p.value(secret, octets); err != nil {
		return err
	}
	if err := CheckSeed(row.Seed); err != nil {
		return secret.fault("%w", err)
	}
	return nil
}

// value gives what an element of Data holds: as plain makes it of a PlainValue, or decrypted. The caller clears it.
func (p *pskcReader) value(e *element, plain func(*element) ([]byte, error)) ([]byte, error) {
	values, err := e.parts("PlainValue", "EncryptedValue", "ValueMAC")
	if err != nil {
		return nil, err
	}
	text, encrypted := values["PlainValue"], values["EncryptedValue"]
	switch {
	case text != nil && encrypted != nil:
		return nil, e.fault("it holds a plain and an encrypted value; want one of them")
	case text != nil:
		return plain(text)
	case encrypted != nil:
		return p.crypt.open(encrypted, values["ValueMAC"])
	}
	return nil, e.fault("it has no value")
}

// number reads a counter or an interval: decimal where it is plain, a big-endian integer of up to 8 octets where it is
// encrypted.
func (p *pskcReader) number(e *element, low, high int64) (int64, error) {
	plain := false
	text, err := p.value(e, func(v *element) ([]byte, error) { plain = true; return []byte(v.word()), nil })
	if err != nil {
		return 0, err
	}
	defer clear(text)
	if !plain {
		if len(text) == 0 || len(text) > 8 {
			return 0, e.fault("its encrypted value has %d octets: want an integer of 1 to 8", len(text))
		}
		n := uint64(0)
		for _, b := range text {
			n = n<<8 | uint64(b)
		}
		text = strconv.AppendUint(nil, n, 10)
	}
	n, err := parseNumber(string(text), low, high)
	if err != nil {
		return 0, e.fault("%w", err)
	}
	return n, nil
}

// steps reads counter and interval. Time is the device's clock when the file was made and tells nothing that a login does
// not; TimeDrift is how many seconds a day the maker lets it drift.
func (p *pskcReader) steps(row *Row, parts map[string]*element) error {
	t := &row.Token
	if t.Mode == HOTP {
		if parts["Counter"] == nil {
			return nil
		}
		counter, err := p.number(parts["Counter"], 0, MaxCounter)
		t.Last = counter - 1
		return err
	}
	if parts["TimeInterval"] == nil {
		t.Period = cmp.Or(p.options.Assume.Period, 30)
		if p.options.Assume.Period == 0 {
			row.Warnings = append(row.Warnings, "the file does not say how long a code lasts; read as 30 s")
		}
		return nil
	}
	period, err := p.number(parts["TimeInterval"], MinPeriod, MaxPeriod)
	t.Period = uint16(period)
	return err
}
