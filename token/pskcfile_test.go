package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1" // as in the files that are read
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// pskcKey is one KeyPackage as the tests write it; what is empty is left out.
type pskcKey struct {
	id, serial, algorithm, suite, digits string
	secret                               string // XML inside <Secret>
	data, device, key, policy            string // more XML at the end of these elements
}

func (k pskcKey) String() string {
	var b strings.Builder
	b.WriteString("<KeyPackage>\n<DeviceInfo><Manufacturer>Maker</Manufacturer>")
	if k.serial != "" {
		b.WriteString("<SerialNo>" + k.serial + "</SerialNo>")
	}
	b.WriteString(k.device + "</DeviceInfo>\n<Key Id=\"" + k.id + "\" Algorithm=\"" + k.algorithm + "\">\n<AlgorithmParameters>")
	if k.suite != "" {
		b.WriteString("<Suite>" + k.suite + "</Suite>")
	}
	b.WriteString("<ResponseFormat Length=\"" + k.digits + "\" Encoding=\"DECIMAL\"/></AlgorithmParameters>\n<Data><Secret>" + k.secret + "</Secret>" +
		k.data + "</Data>" + k.key)
	if k.policy != "" {
		b.WriteString("<Policy>" + k.policy + "</Policy>")
	}
	b.WriteString("</Key>\n</KeyPackage>\n")
	return b.String()
}

const (
	urnTOTP = "urn:ietf:params:xml:ns:keyprov:pskc:totp"
	urnHOTP = "urn:ietf:params:xml:ns:keyprov:pskc:hotp"

	interval30 = "<TimeInterval><PlainValue>30</PlainValue></TimeInterval>"
)

func totpKey(serial, secret string) pskcKey {
	return pskcKey{id: serial, serial: serial, algorithm: urnTOTP, digits: "6", secret: secret, data: interval30}
}

func container(inside ...any) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<KeyContainer Version="1.0" xmlns="` + pskcSpace +
		`" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#">` + "\n" + fmt.Sprint(inside...) + "</KeyContainer>\n"
}

func plainValue(octets []byte) string {
	return "<PlainValue>" + base64.StdEncoding.EncodeToString(octets) + "</PlainValue>"
}

// sealer writes encrypted values as a vendor would.
type sealer struct {
	key, macKey []byte
	cipher      string
	mac         string
	hash        func() hash.Hash
	n           byte // makes vectors differ
}

func (s *sealer) cbc(plain []byte) []byte {
	block, err := aes.NewCipher(s.key)
	if err != nil {
		panic(err)
	}
	pad := 16 - len(plain)%16
	text := bytes.Repeat([]byte{s.n + 7}, 16)
	s.n++
	padded := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	out := make([]byte, len(padded))
	cipher.NewCBCEncrypter(block, text).CryptBlocks(out, padded)
	return append(text, out...)
}

func (s *sealer) value(name string, text []byte) string {
	return "<" + name + `><xenc:EncryptionMethod Algorithm="` + s.cipher + `"/><xenc:CipherData><xenc:CipherValue>` + "\n  " +
		base64.StdEncoding.EncodeToString(text) + "\n</xenc:CipherValue></xenc:CipherData></" + name + ">"
}

func (s *sealer) secret(plain []byte) string {
	text := s.cbc(plain)
	return s.value("EncryptedValue", text) + s.macOf(text)
}

func (s *sealer) macOf(text []byte) string {
	m := hmac.New(s.hash, s.macKey)
	m.Write(text)
	return "<ValueMAC>" + base64.StdEncoding.EncodeToString(m.Sum(nil)) + "</ValueMAC>"
}

// head is what stands before the packages.
func (s *sealer) head(keyInfo string) string {
	return "<EncryptionKey>" + keyInfo + `</EncryptionKey><MACMethod Algorithm="` + s.mac + `">` + s.value("MACKey", s.cbc(s.macKey)) + "</MACMethod>\n"
}

const preShared = "<ds:KeyName>Carton 7</ds:KeyName>"

func fromHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// newSealer is AES-128-CBC with HMAC-SHA1 under a key of our own.
func newSealer() *sealer {
	return &sealer{key: fromHex("7a0c41d2e6539b88f01522c3d4996e1b"), macKey: []byte("a MAC key of 20 octs"),
		cipher: "http://www.w3.org/2001/04/xmlenc#aes128-cbc", mac: "http://www.w3.org/2000/09/xmldsig#hmac-sha1", hash: sha1.New}
}

// testSeed gives a seed of n octets that differs for each i.
func testSeed(i, n int) []byte {
	sum := sha512.Sum512([]byte(strconv.Itoa(i)))
	return bytes.Repeat(sum[:], 2)[:n]
}

func readAll(text string, o ReadOptions) ([]Row, error) {
	var rows []Row
	err := ReadTokens(strings.NewReader(text), o, func(r Row) error {
		r.Seed = bytes.Clone(r.Seed)
		rows = append(rows, r)
		return nil
	})
	return rows, err
}
