package token

import (
	"bytes"
	"cmp"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // HMAC-SHA-1 is what RFC 6030 asks every reader to know
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"slices"
	"strconv"
	"strings"
)

// Bounds on what a PSKC file may ask of PBKDF2: 10 million rounds take a few seconds.
const (
	maxIterations = 10_000_000
	maxSalt       = 1024 // octets
	minMACKey     = 16   // octets; fewer can be guessed
)

// pskcMACs are the MACs that are taken, and the hash functions of PBKDF2 by the same names.
var pskcMACs = map[string]func() hash.Hash{
	"http://www.w3.org/2000/09/xmldsig#hmac-sha1":        sha1.New,
	"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256": sha256.New,
	"http://www.w3.org/2001/04/xmldsig-more#hmac-sha384": sha512.New384,
	"http://www.w3.org/2001/04/xmldsig-more#hmac-sha512": sha512.New,
}

// The names of PBKDF2 in RFC 6030 and in XML encryption 1.1.
var pbkdf2Names = []string{
	"http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2",
	"http://www.w3.org/2009/xmlenc11#pbkdf2",
}

// ParseTransportKey reads the pre-shared key of a PSKC file as vendors write it: 16, 24 or 32 octets in hexadecimal, with
// or without blanks and colons between, or in base64. The caller clears it.
func ParseTransportKey(text []byte) ([]byte, error) {
	packed := make([]byte, 0, len(text))
	defer func() { clear(packed[:cap(packed)]) }()
	for _, c := range text {
		if !bytes.ContainsRune([]byte(" \t\r\n:-"), rune(c)) {
			packed = append(packed, c)
		}
	}
	key := make([]byte, len(packed))
	n, err := hex.Decode(key, packed)
	if err != nil {
		clear(key)
		n, err = base64.StdEncoding.Strict().Decode(key, packed)
	}
	if err != nil || (n != 16 && n != 24 && n != 32) {
		clear(key)
		return nil, errors.New("the key of the seed file: want 16, 24 or 32 octets, as 32, 48 or 64 hexadecimal digits or in base64")
	}
	return key[:n:n], nil
}

// pskcCrypt opens the secrets of one file. Elements are kept as they come and looked at when the first secret needs them:
// a file may name a key and hold its seeds in plain.
type pskcCrypt struct {
	options  *ReadOptions
	source   *element        // EncryptionKey
	method   *element        // MACMethod
	key      []byte          // once it is there
	rsa      *rsa.PrivateKey // instead of key, for files made for a certificate
	macKey   []byte
	macHash  func() hash.Hash
	keyReady bool
	macReady bool
	proven   bool // a MAC was right, so the key is
}

func (c *pskcCrypt) clear() {
	c.source.clear()
	c.method.clear()
	clear(c.macKey)
	if c.source.child("DerivedKey") != nil {
		clear(c.key) // the pre-shared one is the caller's
	}
}

// open gives what an EncryptedValue holds. Its MAC is checked before the key touches it (RFC 6030 §6.2 and §13.1): AES-CBC
// hides a text and does not guard it. Key wrap and RSA-OAEP guard it themselves and need no MAC; one that is there has to be
// right all the same. The caller clears the result.
func (c *pskcCrypt) open(value, mac *element) ([]byte, error) {
	if err := c.findKey(value); err != nil {
		return nil, endError{err}
	}
	how, err := c.cipherOf(value)
	if err != nil {
		return nil, endError{err}
	}
	if !how.whole || mac != nil {
		if err := c.findMAC(value); err != nil {
			return nil, endError{err}
		}
	}
	text, err := cipherText(value, how)
	if err != nil {
		return nil, err
	}
	switch {
	case mac != nil:
		if err := c.checkMAC(text, mac); err != nil {
			return nil, err
		}
	case !how.whole:
		return nil, value.fault("it has no ValueMAC beside it, so anybody could have changed it unseen; want a file with MACs (RFC 6030 §6.2)")
	}
	return c.decrypt(value, text)
}

func (c *pskcCrypt) checkMAC(text []byte, mac *element) error {
	want, err := octets(mac)
	if err != nil {
		return err
	}
	h := hmac.New(c.macHash, c.macKey)
	h.Write(text)
	if !hmac.Equal(h.Sum(nil), want) {
		if c.proven {
			return mac.fault("the MAC is wrong while others of the file are right: this key was changed; ask for the file again")
		}
		// Until one MAC was right, nothing shows that the key is, so it is the file that cannot be read.
		return endError{mac.fault("the MAC is wrong: either %s is not the one of this file or the file was changed", c.secretName())}
	}
	c.proven = true
	return nil
}

// findKey finds the encryption key, once. What is wrong with it is wrong with the whole file.
func (c *pskcCrypt) findKey(value *element) error {
	if c.keyReady {
		return nil
	}
	err := c.keyOf(value)
	c.keyReady = err == nil
	return err
}

func (c *pskcCrypt) keyOf(value *element) error {
	if derived := c.source.child("DerivedKey"); derived != nil {
		if len(c.options.Password) == 0 {
			return c.source.fault("the secrets are encrypted under a password%s and none was given", named(derived.child("MasterKeyName")))
		}
		return c.derive(derived)
	}
	if data := c.source.child("X509Data"); data != nil {
		return c.findRSA(data)
	}
	name := c.source.child("KeyName")
	if c.source != nil && name == nil {
		form := "nothing"
		if len(c.source.children) > 0 {
			form = shownElement(c.source.children[0].name.Local)
		}
		return c.source.fault("it holds %s: only files under a pre-shared key (KeyName), a password (DerivedKey) or for a certificate (X509Data) are taken; ask the vendor for one of these", form)
	}
	if len(c.options.Key) == 0 {
		return cmp.Or(c.source, value).fault("the secrets are encrypted under a pre-shared key%s and none was given", named(name))
	}
	c.key = c.options.Key
	return nil
}

func named(e *element) string {
	if e.word() == "" {
		return ""
	}
	return " that the file calls " + shownName(e.word())
}

// derive makes the key out of the password by PBKDF2 (RFC 8018 §5.2). The names below KeyDerivationMethod are looked for in
// any namespace: RFC 6030 itself writes some of them in none.
func (c *pskcCrypt) derive(derived *element) error {
	method := derived.child("KeyDerivationMethod")
	if name := method.attr("Algorithm"); method == nil || !slices.Contains(pbkdf2Names, name) {
		return derived.fault("the key comes from the password by %s: only PBKDF2 is taken", algorithm(name))
	}
	params := method.child("PBKDF2-params")
	if params == nil {
		return method.fault("it has no PBKDF2-params")
	}
	salt, err := octets(params.child("Salt", "Specified"))
	if err != nil || len(salt) == 0 || len(salt) > maxSalt {
		return params.fault("want a Salt with 1 to %d octets of base64 in Specified", maxSalt)
	}
	rounds, err := strconv.Atoi(params.child("IterationCount").word())
	if err != nil || rounds < 1 || rounds > maxIterations {
		return params.fault("want an IterationCount from 1 to %d", maxIterations)
	}
	length, err := c.derivedLength(params.child("KeyLength"))
	if err != nil {
		return err
	}
	prf := pskcMACs["http://www.w3.org/2000/09/xmldsig#hmac-sha1"]
	if name := params.child("PRF").attr("Algorithm"); name != "" {
		if prf = pskcMACs[name]; prf == nil {
			return params.fault("PRF %s is not taken: want HMAC-SHA1, SHA256, SHA384 or SHA512", algorithm(name))
		}
	}
	c.key, err = pbkdf2.Key(prf, string(c.options.Password), salt, rounds, length)
	if err != nil {
		return params.fault("deriving the key: %w", err)
	}
	return nil
}

func (c *pskcCrypt) derivedLength(e *element) (int, error) {
	switch e.word() {
	case "", "16":
		return 16, nil
	case "24":
		return 24, nil
	case "32":
		return 32, nil
	}
	return 0, e.fault("want a KeyLength of 16, 24 or 32 octets, which are the keys of AES")
}

// findMAC finds the MAC key, once.
func (c *pskcCrypt) findMAC(value *element) error {
	if c.macReady {
		return nil
	}
	err := c.macOf(value)
	c.macReady = err == nil
	return err
}

func (c *pskcCrypt) macOf(value *element) error {
	if c.method == nil {
		return value.fault("the file has encrypted secrets and no MACMethod, so anybody could have changed them unseen; want a file with MACs (RFC 6030 §6.2)")
	}
	name := c.method.attr("Algorithm")
	if c.macHash = pskcMACs[name]; c.macHash == nil {
		return c.method.fault("%s is not taken: want HMAC-SHA1, SHA256, SHA384 or SHA512", algorithm(name))
	}
	wrapped := c.method.child("MACKey")
	if wrapped == nil {
		if len(c.method.children) > 0 {
			return c.method.fault("it holds %s: want MACKey", shownElement(c.method.children[0].name.Local))
		}
		if c.key == nil {
			return c.method.fault("it holds no MACKey, and a certificate's key makes no MACs")
		}
		c.macKey = bytes.Clone(c.key) // RFC 6030 §6.2: without MACKey, the encryption key serves for both
		return nil
	}
	how, err := c.cipherOf(wrapped)
	if err != nil {
		return err
	}
	text, err := cipherText(wrapped, how)
	if err != nil {
		return err
	}
	c.macKey, err = c.openText(wrapped, text)
	if errors.Is(err, errSealed) || (err == nil && len(c.macKey) < minMACKey) {
		clear(c.macKey)
		// No MAC stands over the MAC key. Were its padding answered for, whoever can have files tried would read secrets out of
		// the answers, put in its place. So no MAC fits from here on, as after a padding that is right by chance.
		c.macKey, err = make([]byte, 32), nil
		_, _ = rand.Read(c.macKey)
	}
	return err
}

// cipherText gives the octets of an encrypted value, of a length that its cipher can have.
func cipherText(e *element, how pskcCipher) ([]byte, error) {
	value := e.child("CipherData", "CipherValue")
	if value == nil {
		return nil, e.fault("it has no CipherValue")
	}
	text, err := octets(value)
	if err != nil {
		return nil, err
	}
	if len(text) < how.least || len(text)%how.step != 0 {
		return nil, value.fault("%d octets are no whole text of its cipher; it was cut or changed", len(text))
	}
	return text, nil
}

// cipherOf says how a value is encrypted, and that the key is one for it.
func (c *pskcCrypt) cipherOf(e *element) (pskcCipher, error) {
	name := e.child("EncryptionMethod").attr("Algorithm")
	how, known := pskcCiphers[name]
	switch {
	case name == rsa15:
		return how, e.fault("RSA with PKCS #1 v1.5 padding is not taken, because its answers give secrets away; ask for RSA-OAEP, a pre-shared key or a password")
	case (name == rsaOAEP || name == rsaOAEP1) && c.rsa != nil:
		return pskcCipher{whole: true, least: c.rsa.Size(), step: c.rsa.Size()}, nil
	case !known:
		return how, e.fault("the cipher %s is not taken: want AES or 3DES in CBC, AES or 3DES key wrap, or RSA-OAEP for a certificate", algorithm(name))
	case c.rsa != nil:
		return how, e.fault("the file is for a certificate, and %s is no cipher of one: want RSA-OAEP", algorithm(name))
	case !how.fits(len(c.key)):
		return how, e.fault("its cipher takes a key of %d octets, and %s has %d", how.key, c.secretName(), len(c.key))
	}
	return how, nil
}

// decrypt opens a text whose cipher fits.
func (c *pskcCrypt) decrypt(e *element, text []byte) ([]byte, error) {
	plain, err := c.openText(e, text)
	if errors.Is(err, errSealed) {
		return nil, e.fault("%s does not open it: it is not the one of this file, or the file was changed", c.secretName())
	}
	return plain, err
}

// openText is decrypt with errSealed for a text that does not open.
func (c *pskcCrypt) openText(e *element, text []byte) (plain []byte, err error) {
	method := e.child("EncryptionMethod")
	if c.rsa != nil {
		plain, err = c.openRSA(method, text)
	} else {
		how := pskcCiphers[method.attr("Algorithm")]
		var block cipher.Block
		if block, err = how.block(c.key); err != nil {
			return nil, endError{e.fault("%w", err)}
		}
		plain, err = how.open(block, text)
	}
	return plain, err
}

func (c *pskcCrypt) secretName() string {
	if c.source.child("DerivedKey") != nil {
		return "the password"
	}
	if c.rsa != nil {
		return "the private key"
	}
	return "the pre-shared key"
}

// octets reads base64 with white space anywhere in it.
func octets(e *element) ([]byte, error) {
	if e == nil {
		return nil, errors.New("it is missing")
	}
	packed := withoutBlanks(e.text)
	defer clear(packed)
	out := make([]byte, base64.StdEncoding.DecodedLen(len(packed)))
	n, err := base64.StdEncoding.Strict().Decode(out, packed)
	if err != nil {
		clear(out)
		return nil, e.fault("it is not base64: want A to Z, a to z, 0 to 9, + and /, with = at the end, not cut off")
	}
	return out[:n], nil
}

// algorithm shows an identifier in an error, by its last part.
func algorithm(uri string) string {
	if uri == "" {
		return "a method without a name"
	}
	if at := strings.LastIndexAny(uri, "#:/"); at >= 0 && at < len(uri)-1 {
		uri = uri[at+1:]
	}
	return shownName(uri)
}
