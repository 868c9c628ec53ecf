package token

import (
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
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
)

// pskcCiphers are the lengths of the keys, in octets, of the ciphers that are taken (RFC 6030 §6.1, XML encryption §5.2.2).
var pskcCiphers = map[string]int{
	"http://www.w3.org/2001/04/xmlenc#aes128-cbc": 16,
	"http://www.w3.org/2001/04/xmlenc#aes192-cbc": 24,
	"http://www.w3.org/2001/04/xmlenc#aes256-cbc": 32,
}

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
	source   *element // EncryptionKey
	method   *element // MACMethod
	key      []byte   // once it is there
	macKey   []byte
	macHash  func() hash.Hash
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
// hides a text and does not guard it. The caller clears the result.
func (c *pskcCrypt) open(value, mac *element) ([]byte, error) {
	if err := c.ready(value); err != nil {
		return nil, err
	}
	if mac == nil {
		return nil, value.fault("it has no ValueMAC beside it, so anybody could have changed it unseen; want a file with MACs (RFC 6030 §6.2)")
	}
	text, err := c.cipherText(value)
	if err != nil {
		return nil, err
	}
	want, err := octets(mac)
	if err != nil {
		return nil, err
	}
	h := hmac.New(c.macHash, c.macKey)
	h.Write(text)
	if !hmac.Equal(h.Sum(nil), want) {
		if c.proven {
			return nil, mac.fault("the MAC is wrong while others of the file are right: this key was changed; ask for the file again")
		}
		return nil, mac.fault("the MAC is wrong: either %s is not the one of this file or the file was changed", c.secretName())
	}
	c.proven = true
	plain, err := c.decrypt(value, text)
	if err != nil {
		return nil, err
	}
	return plain, nil
}

// ready finds the encryption key and the MAC key. What is wrong with them is wrong with the whole file.
func (c *pskcCrypt) ready(value *element) error {
	if c.macReady {
		return nil
	}
	err := c.findKey(value)
	if err == nil {
		err = c.findMAC(value)
	}
	if err != nil {
		return endError{err}
	}
	c.macReady = true
	return nil
}

func (c *pskcCrypt) findKey(value *element) error {
	if derived := c.source.child("DerivedKey"); derived != nil {
		if len(c.options.Password) == 0 {
			return c.source.fault("the secrets are encrypted under a password%s and none was given", named(derived.child("MasterKeyName")))
		}
		return c.derive(derived)
	}
	name := c.source.child("KeyName")
	if c.source != nil && name == nil {
		form := "nothing"
		if len(c.source.children) > 0 {
			form = shownElement(c.source.children[0].name.Local)
		}
		return c.source.fault("it holds %s: only files under a pre-shared key (KeyName) or a password (DerivedKey) are taken; ask the vendor for one of these", form)
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

func (c *pskcCrypt) findMAC(value *element) error {
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
		c.macKey = bytes.Clone(c.key) // RFC 6030 §6.2: without MACKey, the encryption key serves for both
		return nil
	}
	text, err := c.cipherText(wrapped)
	if err != nil {
		return err
	}
	c.macKey, err = c.decrypt(wrapped, text)
	return err
}

func (c *pskcCrypt) cipherText(e *element) ([]byte, error) {
	value := e.child("CipherData", "CipherValue")
	if value == nil {
		return nil, e.fault("it has no CipherValue")
	}
	text, err := octets(value)
	if err != nil {
		return nil, err
	}
	if len(text) < 2*aes.BlockSize || len(text)%aes.BlockSize != 0 {
		return nil, value.fault("%d octets are no vector and whole blocks of AES-CBC; it was cut or changed", len(text))
	}
	return text, nil
}

// decrypt undoes AES-CBC. The first block is the initialization vector, the last octet counts the padding (XML encryption
// §5.2).
func (c *pskcCrypt) decrypt(e *element, text []byte) ([]byte, error) {
	name := e.child("EncryptionMethod").attr("Algorithm")
	length, known := pskcCiphers[name]
	switch {
	case !known:
		return nil, endError{e.fault("the cipher %s is not taken: want AES-128-CBC, AES-192-CBC or AES-256-CBC", algorithm(name))}
	case length != len(c.key):
		return nil, endError{e.fault("its cipher takes a key of %d octets, and %s has %d", length, c.secretName(), len(c.key))}
	}
	block, err := aes.NewCipher(c.key)
	if err != nil {
		return nil, e.fault("setting up AES: %w", err)
	}
	plain := make([]byte, len(text)-aes.BlockSize)
	cipher.NewCBCDecrypter(block, text[:aes.BlockSize]).CryptBlocks(plain, text[aes.BlockSize:])
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > aes.BlockSize || padding == len(plain) {
		clear(plain)
		return nil, e.fault("%s does not open it: it is not the one of this file, or the file was changed", c.secretName())
	}
	return plain[:len(plain)-padding], nil
}

func (c *pskcCrypt) secretName() string {
	if c.source.child("DerivedKey") != nil {
		return "the password"
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
