package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // as in the files that are read
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"testing"
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
	m := hmac.New(s.hash, s.macKey)
	m.Write(text)
	return s.value("EncryptedValue", text) + "<ValueMAC>" + base64.StdEncoding.EncodeToString(m.Sum(nil)) + "</ValueMAC>"
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

// The key material of the examples in RFC 6030: figures 2, 5, 6, 7 and 10.
func TestPSKCExamplesOfTheRFC(t *testing.T) {
	hotp8 := func(serial, secret string) pskcKey {
		return pskcKey{id: "12345678", serial: serial, algorithm: urnHOTP, digits: "8", secret: secret, data: "<Counter><PlainValue>0</PlainValue></Counter>"}
	}
	encrypted := func(text, mac string) string {
		return `<EncryptedValue Id="ED"><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/><xenc:CipherData><xenc:CipherValue>` +
			text + `</xenc:CipherValue></xenc:CipherData></EncryptedValue><ValueMAC>` + mac + "\n</ValueMAC>"
	}
	head := func(keyInfo, macKey string) string {
		return `<EncryptionKey>` + keyInfo + `</EncryptionKey><MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"><MACKey>` +
			`<xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/><xenc:CipherData><xenc:CipherValue>` + macKey +
			`</xenc:CipherValue></xenc:CipherData></MACKey></MACMethod>`
	}
	const derived = `<xenc11:DerivedKey xmlns:xenc11="http://www.w3.org/2009/xmlenc11#">` +
		`<xenc11:KeyDerivationMethod Algorithm="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2">` +
		`<p:PBKDF2-params xmlns:p="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#" xmlns="">` +
		`<Salt><Specified>Ej7/PEpyEpw=</Specified></Salt><IterationCount>1000</IterationCount><KeyLength>16</KeyLength><PRF/>` +
		`</p:PBKDF2-params></xenc11:KeyDerivationMethod><xenc11:MasterKeyName>My Password 1</xenc11:MasterKeyName></xenc11:DerivedKey>`
	for name, c := range map[string]struct {
		text string
		o    ReadOptions
	}{
		"plain": {text: container(hotp8("987654321", "<PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=\n</PlainValue>"))},
		"pre-shared key": {
			text: container(head("<ds:KeyName>Pre-shared-key</ds:KeyName>", "ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX"),
				hotp8("987654321", encrypted("AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv", "Su+NvtQfmvfJzF6bmQiJqoLRExc="))),
			o: ReadOptions{Key: fromHex("12345678901234567890123456789012")},
		},
		"password": {
			text: container(head(derived, "2GTTnLwM3I4e5IO5FkufoOEiOhNj91fhKRQBtBJYluUDsPOLTfUvoU2dStyOwYZx"),
				hotp8("987654321", encrypted("oTvo+S22nsmS2Z/RtcoF8Hfh+jzMe0RkiafpoDpnoZTjPYZu6V+A4aEn032yCr4f", "LP6xMvjtypbfT9PdkJhBZ+D6O4w="))),
			o: ReadOptions{Password: []byte("qwerty")},
		},
	} {
		rows, err := readAll(c.text, c.o)
		if err != nil || len(rows) != 1 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
			continue
		}
		r := rows[0]
		if string(r.Seed) != "12345678901234567890" || r.Token.Serial != "987654321" || r.Token.Mode != HOTP || r.Token.Digits != 8 || r.Token.Last != NoStep {
			t.Errorf("%s: %+v %x", name, r.Token, r.Seed)
		}
	}
}
