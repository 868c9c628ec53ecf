package token

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // HMAC-SHA-1 and PBKDF2 with it are what every reader of PSKC knows
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// PSKC for whoever leaves: the same file that [ReadTokens] reads, with every secret encrypted. The ciphers are those that most
// readers know: AES-128-CBC with HMAC-SHA-1 under a password or a key of 16 octets; a longer key takes AES-192 or AES-256 and
// HMAC-SHA-256. What RFC 6030 has no place for, such as the last step that was used, stands in an extension of ours, which
// other readers pass over.

// sekishoSpace is the namespace of our extension.
const sekishoSpace = "urn:sekisho:pskc"

const (
	// exportRounds makes trying one password take about a second; PBKDF2 with SHA-1 needs more of them than with SHA-256.
	exportRounds = 1_300_000
	// MinExportPassword is the fewest characters of a password that seals an export: the file holds every secret and can be
	// tried at for years.
	MinExportPassword = 16
)

// Recipient says who can open an export: exactly one field is set. The caller clears them.
type Recipient struct {
	Password    []byte
	Key         []byte // pre-shared, 16, 24 or 32 octets
	Certificate *x509.Certificate
}

// Check refuses what would not seal the file. now is held against the certificate's dates.
func (r *Recipient) Check(now time.Time) error {
	set := 0
	for _, is := range []bool{r.Password != nil, r.Key != nil, r.Certificate != nil} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("an export is sealed under a password, a key or for a certificate: give one of the three")
	case r.Password != nil && (utf8.RuneCount(r.Password) < MinExportPassword || !utf8.Valid(r.Password)):
		return fmt.Errorf("the password of an export: want %d characters or more", MinExportPassword)
	case r.Key != nil && len(r.Key) != 16 && len(r.Key) != 24 && len(r.Key) != 32:
		return errors.New("the key of an export: want 16, 24 or 32 octets")
	case r.Key != nil && bytes.Count(r.Key, r.Key[:1]) == len(r.Key):
		return errors.New("the key of an export is one octet repeated: want a random one, as from: openssl rand -hex 32")
	case r.Certificate == nil:
		return nil
	}
	public, ok := r.Certificate.PublicKey.(*rsa.PublicKey)
	switch {
	case !ok:
		return fmt.Errorf("the certificate of an export has a key of %v: want RSA", r.Certificate.PublicKeyAlgorithm)
	case public.N.BitLen() < minRSA:
		return fmt.Errorf("the certificate of an export has a key of %d bits: want %d or more", public.N.BitLen(), minRSA)
	case now.Before(r.Certificate.NotBefore) || now.After(r.Certificate.NotAfter):
		return fmt.Errorf("the certificate of an export is valid from %s to %s", r.Certificate.NotBefore.UTC().Format(time.RFC3339), r.Certificate.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// PSKCWriter writes a sealed PSKC file. Make one with [NewPSKCWriter], write the tokens, and close it.
type PSKCWriter struct {
	out    *bufio.Writer
	block  cipher.Block
	name   string // of the cipher
	hash   func() hash.Hash
	macKey []byte
	rsa    *rsa.PublicKey
}

// NewPSKCWriter begins a file for a recipient that passed its Check.
func NewPSKCWriter(w io.Writer, to *Recipient) (*PSKCWriter, error) {
	p := &PSKCWriter{out: bufio.NewWriter(w)}
	p.put(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<KeyContainer Version="1.0" xmlns="` + pskcSpace + `"` + "\n" +
		`    xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"` + "\n" +
		`    xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" xmlns:sekisho="` + sekishoSpace + `">` + "\n")
	if to.Certificate != nil {
		p.rsa = to.Certificate.PublicKey.(*rsa.PublicKey)
		p.put("  <EncryptionKey><ds:X509Data><ds:X509Certificate>" + base64.StdEncoding.EncodeToString(to.Certificate.Raw) +
			"</ds:X509Certificate></ds:X509Data></EncryptionKey>\n")
		return p, p.out.Flush()
	}
	key := to.Key
	if to.Password != nil {
		salt := make([]byte, 16)
		_, _ = rand.Read(salt)
		var err error
		if key, err = pbkdf2.Key(sha1.New, string(to.Password), salt, exportRounds, 16); err != nil {
			return nil, fmt.Errorf("deriving the key of an export: %w", err)
		}
		defer clear(key)
		const space = "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#"
		p.put(`  <EncryptionKey><xenc11:DerivedKey><xenc11:KeyDerivationMethod Algorithm="` + pbkdf2Names[0] + `">` +
			`<pkcs5:PBKDF2-params xmlns:pkcs5="` + space + `" xmlns=""><Salt><Specified>` + base64.StdEncoding.EncodeToString(salt) + "</Specified></Salt>" +
			"<IterationCount>" + strconv.Itoa(exportRounds) + "</IterationCount><KeyLength>16</KeyLength><PRF/></pkcs5:PBKDF2-params>" +
			"</xenc11:KeyDerivationMethod></xenc11:DerivedKey></EncryptionKey>\n")
	} else {
		p.put("  <EncryptionKey><ds:KeyName>Pre-shared key</ds:KeyName></EncryptionKey>\n")
	}
	return p, p.begin(key)
}

// begin sets cipher and MAC up for a key, and writes the MAC key, a random one.
func (p *PSKCWriter) begin(key []byte) error {
	p.name = xmlEnc + "aes" + strconv.Itoa(8*len(key)) + "-cbc"
	mac := "http://www.w3.org/2000/09/xmldsig#hmac-sha1"
	p.hash, p.macKey = sha1.New, make([]byte, sha1.Size)
	if len(key) > 16 {
		mac = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
		p.hash, p.macKey = sha256.New, make([]byte, sha256.Size)
	}
	_, _ = rand.Read(p.macKey)
	var err error
	how := pskcCiphers[p.name]
	if p.block, err = how.block(key); err != nil {
		return fmt.Errorf("setting up the cipher of an export: %w", err)
	}
	p.put(`  <MACMethod Algorithm="` + mac + `"><MACKey>`)
	p.putCipher(p.name, p.seal(p.macKey))
	p.put("</MACKey></MACMethod>\n")
	return p.out.Flush()
}

func (p *PSKCWriter) put(s string) { _, _ = p.out.WriteString(s) } // an error stays and shows in Flush

// text writes what has to be escaped.
func (p *PSKCWriter) text(s string) { _ = xml.EscapeText(p.out, []byte(s)) }

func (p *PSKCWriter) element(name, text string) {
	if text != "" {
		p.put("<" + name + ">")
		p.text(text)
		p.put("</" + name + ">")
	}
}

func (p *PSKCWriter) attribute(name, value string) {
	if value != "" {
		p.put(" " + name + `="`)
		p.text(value)
		p.put(`"`)
	}
}

func (p *PSKCWriter) seal(plain []byte) []byte {
	vector := make([]byte, p.block.BlockSize())
	_, _ = rand.Read(vector)
	return sealCBC(p.block, vector, plain)
}

func (p *PSKCWriter) putCipher(name string, text []byte) {
	p.put(`<xenc:EncryptionMethod Algorithm="` + name + `"/><xenc:CipherData><xenc:CipherValue>` + base64.StdEncoding.EncodeToString(text) +
		"</xenc:CipherValue></xenc:CipherData>")
}

// Write adds a token with its seed, which stays the caller's. user is who holds it, as they type their name; empty for
// nobody.
func (p *PSKCWriter) Write(t *Token, seed []byte, user string) error {
	if err := CheckSeed(seed); err != nil {
		return fmt.Errorf("exporting token %v: %w", t.ID, err)
	}
	if err := t.Check(); err != nil {
		return fmt.Errorf("exporting token %v: %w", t.ID, err)
	}
	p.put("  <KeyPackage>\n")
	if t.Form == Hardware {
		p.put("    <DeviceInfo>")
		p.element("SerialNo", t.Serial)
		p.put("</DeviceInfo>\n")
	}
	p.put("    <Key")
	p.attribute("Id", exportID(t))
	p.put(` Algorithm="` + pskcAlgorithms[0] + t.Mode.String() + "\">\n      <AlgorithmParameters><Suite>HMAC-" + t.Hash.String() +
		`</Suite><ResponseFormat Length="` + strconv.Itoa(int(t.Digits)) + `" Encoding="DECIMAL"/></AlgorithmParameters>` + "\n      ")
	p.element("FriendlyName", t.Name)
	p.put("<Data><Secret>")
	if err := p.secret(seed); err != nil {
		return fmt.Errorf("exporting token %v: %w", t.ID, err)
	}
	p.put("</Secret>")
	if t.Mode == HOTP {
		p.put("<Counter><PlainValue>" + strconv.FormatInt(t.Last+1, 10) + "</PlainValue></Counter>")
	} else {
		p.put("<TimeInterval><PlainValue>" + strconv.Itoa(int(t.Period)) + "</PlainValue></TimeInterval>")
	}
	p.put("</Data>\n      ")
	p.element("UserId", user)
	p.put("<Policy>")
	if t.Start != 0 {
		p.element("StartDate", rfc3339(t.Start))
	}
	if t.Expiry != 0 {
		p.element("ExpiryDate", rfc3339(t.Expiry))
	}
	p.put("<KeyUsage>OTP</KeyUsage></Policy>\n      <Extensions><sekisho:Token")
	p.extension(t)
	p.put("/></Extensions>\n    </Key>\n  </KeyPackage>\n")
	return p.out.Flush()
}

// exportID is the Id of a key: what is written on the token where there is something.
func exportID(t *Token) string {
	switch {
	case t.CredentialID != "":
		return t.CredentialID
	case t.Serial != "":
		return t.Serial
	}
	return t.ID.String()
}

func (p *PSKCWriter) secret(seed []byte) error {
	if p.rsa != nil {
		text, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, p.rsa, seed, nil)
		if err != nil {
			return err
		}
		p.put("<EncryptedValue>")
		p.putCipher(rsaOAEP1, text)
		p.put("</EncryptedValue>")
		return nil
	}
	text := p.seal(seed)
	m := hmac.New(p.hash, p.macKey)
	m.Write(text)
	p.put("<EncryptedValue>")
	p.putCipher(p.name, text)
	p.put("</EncryptedValue><ValueMAC>" + base64.StdEncoding.EncodeToString(m.Sum(nil)) + "</ValueMAC>")
	return nil
}

// extension writes what RFC 6030 has no place for.
func (p *PSKCWriter) extension(t *Token) {
	p.attribute("Form", t.Form.String())
	p.attribute("Serial", t.Serial)
	p.attribute("CredentialID", t.CredentialID)
	if t.Mode == TOTP && t.Last != NoStep {
		p.attribute("LastStep", strconv.FormatInt(t.Last, 10))
	}
	if t.Drift != 0 {
		p.attribute("Drift", strconv.Itoa(int(t.Drift)))
		p.attribute("DriftDay", strconv.Itoa(int(t.DriftDay)))
	}
}

// Close ends the file. A file without its end is refused by every reader.
func (p *PSKCWriter) Close() error {
	p.Abort()
	p.put("</KeyContainer>\n")
	return p.out.Flush()
}

// Abort wipes the MAC key and leaves the file without its end.
func (p *PSKCWriter) Abort() { clear(p.macKey) }

// ourExtension gives what an export of ours says about a key; nil in any other file.
func ourExtension(key *element) *element {
	for _, c := range key.children {
		if c.name.Local != "Extensions" {
			continue
		}
		for _, x := range c.children {
			if x.name == (xml.Name{Space: sekishoSpace, Local: "Token"}) {
				return x
			}
		}
	}
	return nil
}

// ours reads that extension.
func (r *Row) ours(e *element) error {
	if e == nil {
		return nil
	}
	t := &r.Token
	form, err := parseForm(e.attr("Form"))
	if err != nil {
		return e.fault("Form %w", err)
	}
	serial := e.attr("Serial")
	if serial != "" || (form == Software && r.User != "") {
		t.Serial = serial
	}
	t.Form, t.CredentialID = form, e.attr("CredentialID")
	number := func(name string, high int64) (n int64) {
		if text := e.attr(name); text != "" && err == nil {
			if n, err = parseNumber(text, 0, high); err != nil {
				err = e.fault("%s %w", name, err)
			}
		}
		return n
	}
	if e.attr("LastStep") != "" && t.Mode == TOTP {
		t.Last = number("LastStep", MaxCounter)
	}
	t.DriftDay = uint16(number("DriftDay", 1<<16-1))
	if text := e.attr("Drift"); text != "" && err == nil {
		n, bad := strconv.ParseInt(text, 10, 16)
		if bad != nil {
			err = e.fault("Drift %s: want a number from -32768 to 32767", shown(text))
		}
		t.Drift = int16(n)
	}
	return err
}
