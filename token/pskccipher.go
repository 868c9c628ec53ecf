package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" // RFC 6030 §6 takes the ciphers of XML encryption, 3DES among them, and old files use it
	"errors"
)

// The ciphers of PSKC files are those of XML encryption 1.0 §5.2 and §5.6 and the padded key wrap of 1.1 §5.7. Each opens a
// text in one call, and every way in which that can fail gives the one error errSealed: which check it was would tell whoever
// made the file something about the key.
var errSealed = errors.New("token: the key does not open the value")

const (
	xmlEnc   = "http://www.w3.org/2001/04/xmlenc#"
	xmlEnc11 = "http://www.w3.org/2009/xmlenc11#"
)

// pskcCipher is one symmetric cipher.
type pskcCipher struct {
	key int // octets
	// least and step bound the length of a text in octets: step times a whole number, least or more.
	least, step int
	// whole says that the cipher itself shows whether the text was changed; the others hide a text and do not guard it.
	whole bool
	open  func(b cipher.Block, text []byte) ([]byte, error)
	tdes  bool
}

var pskcCiphers = map[string]pskcCipher{
	xmlEnc + "aes128-cbc":       {key: 16, least: 32, step: 16, open: openCBC},
	xmlEnc + "aes192-cbc":       {key: 24, least: 32, step: 16, open: openCBC},
	xmlEnc + "aes256-cbc":       {key: 32, least: 32, step: 16, open: openCBC},
	xmlEnc + "tripledes-cbc":    {key: 24, least: 16, step: 8, open: openCBC, tdes: true},
	xmlEnc + "kw-aes128":        {key: 16, least: 24, step: 8, open: unwrapAES, whole: true},
	xmlEnc + "kw-aes192":        {key: 24, least: 24, step: 8, open: unwrapAES, whole: true},
	xmlEnc + "kw-aes256":        {key: 32, least: 24, step: 8, open: unwrapAES, whole: true},
	xmlEnc + "kw-tripledes":     {key: 24, least: 32, step: 8, open: unwrapTDES, whole: true, tdes: true},
	xmlEnc11 + "kw-aes-128-pad": {key: 16, least: 16, step: 8, open: unwrapPadded, whole: true},
	xmlEnc11 + "kw-aes-192-pad": {key: 24, least: 16, step: 8, open: unwrapPadded, whole: true},
	xmlEnc11 + "kw-aes-256-pad": {key: 32, least: 16, step: 8, open: unwrapPadded, whole: true},
}

// fits reports whether a key of n octets serves. 16 octets are a 3DES key of two parts, of which the first comes twice.
func (c *pskcCipher) fits(n int) bool { return n == c.key || (c.tdes && n == 16) }

// block sets the cipher up. A 3DES key with two equal neighbours is a DES key of 56 bits, which anybody breaks; errWeakKey
// says so. The lowest bit of each octet is parity and does not count (FIPS 46-3), so wrong parity is no fault.
func (c *pskcCipher) block(key []byte) (cipher.Block, error) {
	if !c.tdes {
		return aes.NewCipher(key)
	}
	long := make([]byte, 0, 24)
	defer func() { clear(long[:cap(long)]) }()
	long = append(long, key...)
	if len(key) == 16 {
		long = append(long, key[:8]...)
	}
	if sameDES(long[:8], long[8:16]) || sameDES(long[8:16], long[16:]) {
		return nil, errWeakKey
	}
	return des.NewTripleDESCipher(long)
}

var errWeakKey = errors.New("parts of the 3DES key are equal, so that it protects no better than DES, which anybody breaks; " +
	"ask for the file under another key")

func sameDES(a, b []byte) bool {
	for i := range a {
		if (a[i]^b[i])&0xfe != 0 {
			return false
		}
	}
	return true
}

// openCBC undoes CBC: the first block is the initialization vector, the last octet counts the padding (XML encryption §5.2).
func openCBC(b cipher.Block, text []byte) ([]byte, error) {
	n := b.BlockSize()
	if len(text) < 2*n || len(text)%n != 0 {
		return nil, errSealed
	}
	plain := make([]byte, len(text)-n)
	cipher.NewCBCDecrypter(b, text[:n]).CryptBlocks(plain, text[n:])
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > n || padding == len(plain) {
		clear(plain)
		return nil, errSealed
	}
	return plain[:len(plain)-padding], nil
}

// sealCBC is the other direction. vector has the length of a block and is random.
func sealCBC(b cipher.Block, vector, plain []byte) []byte {
	n := b.BlockSize()
	padding := n - len(plain)%n
	text := make([]byte, 0, n+len(plain)+padding)
	text = append(text, vector...)
	text = append(text, plain...)
	text = append(text, bytes.Repeat([]byte{byte(padding)}, padding)...)
	cipher.NewCBCEncrypter(b, vector).CryptBlocks(text[n:], text[n:])
	return text
}
