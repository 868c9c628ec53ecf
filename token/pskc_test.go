package token

import (
	"bufio"
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha1" // as in the files that are read
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/testenv"
)

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

// The dates of the device and of the policy both hold, so the narrower of the two does, in whichever place it stands.
func TestPSKCDatesNarrow(t *testing.T) {
	const from, until = "<StartDate>%d-01-01T00:00:00Z</StartDate>", "<ExpiryDate>%d-01-01T00:00:00Z</ExpiryDate>"
	for _, c := range [][4]int{{2026, 2035, 2027, 2030}, {2027, 2030, 2026, 2035}, {2026, 2030, 2027, 2035}} {
		k := totpKey("A1", plainValue(testSeed(1, 20)))
		k.device, k.policy = fmt.Sprintf(from+until, c[0], c[1]), fmt.Sprintf(from+until, c[2], c[3])
		rows, err := readAll(container(k), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := rows[0]
		if rfc3339(r.Token.Start) != "2027-01-01T00:00:00Z" || rfc3339(r.Token.Expiry) != "2030-01-01T00:00:00Z" || r.ExpiryText != "2030-01-01T00:00:00Z" {
			t.Errorf("%v: from %s to %s (%s)", c, rfc3339(r.Token.Start), rfc3339(r.Token.Expiry), r.ExpiryText)
		}
	}
}

// Every form that is taken, with keys of our own.
func TestPSKCForms(t *testing.T) {
	plain := []byte("four plain words make 32 octets.")
	pbkdf2Info := func(algorithm, space, prf string, rounds, length int) string {
		return `<d:DerivedKey xmlns:d="http://www.w3.org/2009/xmlenc11#"><d:KeyDerivationMethod Algorithm="` + algorithm + `"><x:PBKDF2-params xmlns:x="` + space +
			`"><x:Salt><x:Specified>c2FsdHNhbHQ=</x:Specified></x:Salt><x:IterationCount>` + strconv.Itoa(rounds) + `</x:IterationCount><x:KeyLength>` +
			strconv.Itoa(length) + `</x:KeyLength>` + prf + `</x:PBKDF2-params></d:KeyDerivationMethod></d:DerivedKey>`
	}
	type form struct {
		cipher, mac string
		hash        func() hash.Hash
		keyLength   int
		password    string
		info        string
		prf         func() hash.Hash
		rounds      int
		shared      bool // no MACKey: the encryption key serves
	}
	const xenc, dsig, more = "http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2000/09/xmldsig#", "http://www.w3.org/2001/04/xmldsig-more#"
	for name, f := range map[string]form{
		"AES-128":       {cipher: "aes128-cbc", mac: dsig + "hmac-sha1", hash: sha1.New, keyLength: 16, info: preShared},
		"AES-192":       {cipher: "aes192-cbc", mac: more + "hmac-sha256", hash: sha256.New, keyLength: 24, info: preShared},
		"AES-256":       {cipher: "aes256-cbc", mac: more + "hmac-sha512", hash: sha512.New, keyLength: 32, info: preShared},
		"HMAC-SHA384":   {cipher: "aes128-cbc", mac: more + "hmac-sha384", hash: sha512.New384, keyLength: 16, info: preShared},
		"no key name":   {cipher: "aes128-cbc", mac: dsig + "hmac-sha1", hash: sha1.New, keyLength: 16},
		"no MAC key":    {cipher: "aes128-cbc", mac: dsig + "hmac-sha1", hash: sha1.New, keyLength: 16, info: preShared, shared: true},
		"password":      {cipher: "aes128-cbc", mac: dsig + "hmac-sha1", hash: sha1.New, keyLength: 16, password: "合言葉", prf: sha1.New, rounds: 2000, info: pbkdf2Info(pbkdf2Names[0], "", "", 2000, 16)},
		"password, 256": {cipher: "aes256-cbc", mac: more + "hmac-sha256", hash: sha256.New, keyLength: 32, password: "secret", prf: sha512.New, rounds: 7, info: pbkdf2Info(pbkdf2Names[1], "http://www.w3.org/2009/xmlenc11#", `<x:PRF Algorithm="`+more+`hmac-sha512"/>`, 7, 32)},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sealer{key: testSeed(99, f.keyLength), macKey: testSeed(98, 20), cipher: xenc + f.cipher, mac: f.mac, hash: f.hash}
			o := ReadOptions{Key: s.key}
			if f.password != "" {
				key, err := pbkdf2.Key(f.prf, f.password, []byte("saltsalt"), f.rounds, f.keyLength)
				if err != nil {
					t.Fatal(err)
				}
				s.key = key
				o = ReadOptions{Password: []byte(f.password)}
			}
			head := s.head(f.info)
			if f.shared {
				s.macKey = s.key
				head = "<EncryptionKey>" + f.info + `</EncryptionKey><MACMethod Algorithm="` + f.mac + `"/>`
			}
			if f.info == "" {
				head = strings.Replace(head, "<EncryptionKey></EncryptionKey>", "", 1)
			}
			rows, err := readAll(container(head, totpKey("A1", s.secret(plain)), totpKey("A2", s.secret(testSeed(1, 20)))), o)
			if err != nil || len(rows) != 2 || !bytes.Equal(rows[0].Seed, plain) || !bytes.Equal(rows[1].Seed, testSeed(1, 20)) {
				t.Errorf("%d rows, %v", len(rows), err)
			}
			if !bytes.Equal(o.Key, nil) && !bytes.Equal(o.Key, s.key) {
				t.Error("the caller's key was wiped")
			}
		})
	}
}

func TestPSKCRow(t *testing.T) {
	text := `<?xml version="1.0"?>
<!-- two devices -->
<p:KeyContainer Version="1.0" Id="K" xmlns:p="` + pskcSpace + `" xmlns:other="urn:other">
  <other:Note>passed over</other:Note>
  <p:KeyPackage>
    <p:DeviceInfo>
      <p:Manufacturer>Maker &amp; Sons</p:Manufacturer>
      <p:SerialNo> HW-0001 </p:SerialNo>
      <p:StartDate>2026-01-01T00:00:00Z</p:StartDate>
      <p:ExpiryDate>2031-12-31T23:59:59.000+09:00</p:ExpiryDate>
    </p:DeviceInfo>
    <p:CryptoModuleInfo><p:Id>CM</p:Id></p:CryptoModuleInfo>
    <p:Key
        Id="ABHT00000017"
        Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
      <p:Issuer>Us</p:Issuer>
      <p:AlgorithmParameters>
        <p:Suite>HMAC-SHA256</p:Suite>
        <p:ResponseFormat Length="8" Encoding="DECIMAL" CheckDigits="false"/>
      </p:AlgorithmParameters>
      <p:FriendlyName>front door</p:FriendlyName>
      <p:Data>
        <p:Secret><p:PlainValue>
          MTIzNDU2Nzg5
          MDEyMzQ1Njc4OTA=
        </p:PlainValue></p:Secret>
        <p:Time><p:PlainValue>0</p:PlainValue></p:Time>
        <p:TimeInterval><p:PlainValue>60</p:PlainValue></p:TimeInterval>
        <p:TimeDrift><p:PlainValue>4</p:PlainValue></p:TimeDrift>
      </p:Data>
      <p:UserId>UID=jsmith, DC=example, DC=net</p:UserId>
      <p:Policy>
        <p:ExpiryDate>2030-12-31</p:ExpiryDate>
        <p:PINPolicy PINUsageMode="Local" MinLength="4"/>
        <p:KeyUsage>CR</p:KeyUsage>
        <p:KeyUsage>OTP</p:KeyUsage>
      </p:Policy>
    </p:Key>
  </p:KeyPackage>
  <p:KeyPackage>
    <p:DeviceInfo><p:SerialNo>HW-0002</p:SerialNo><p:UserId>hanako</p:UserId></p:DeviceInfo>
    <p:Key Id="2" Algorithm="http://www.ietf.org/keyprov/pskc#hotp">
      <p:AlgorithmParameters><p:ResponseFormat Length="6" Encoding="DECIMAL"/></p:AlgorithmParameters>
      <p:Data>
        <p:Secret><p:PlainValue>QTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</p:PlainValue></p:Secret>
        <p:Counter><p:PlainValue>41</p:PlainValue></p:Counter>
      </p:Data>
    </p:Key>
  </p:KeyPackage>
</p:KeyContainer>
`
	rows, err := readAll(text, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) int64 {
		u, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return u.Unix()
	}
	want := []Row{
		{Line: 13, Name: "ABHT00000017", User: "jsmith", Seed: Seed("12345678901234567890"), StartText: "2026-01-01T00:00:00Z", ExpiryText: "2030-12-31",
			Token: Token{Serial: "HW-0001", Name: "front door", CredentialID: "ABHT00000017", Form: Hardware, Mode: TOTP, Hash: SHA256, Digits: 8, Period: 60, State: InStock,
				Start: at("2026-01-01T00:00:00Z"), Expiry: at("2030-12-31T09:00:00+09:00"), Last: NoStep}},
		{Line: 42, Name: "2", User: "hanako", Seed: Seed("A2345678901234567890"),
			Token: Token{Serial: "HW-0002", Form: Hardware, Mode: HOTP, Hash: SHA1, Digits: 6, State: InStock, Last: 40}},
	}
	if diff := cmp.Diff(want, rows, cmp.Transformer("octets", func(s Seed) string { return string(s) })); diff != "" {
		t.Error(diff)
	}
	// UTF-16, as some editors save it, and one octet at a time.
	utf16 := append([]byte{0xff, 0xfe}, bytes.ReplaceAll([]byte(strings.ReplaceAll(text, `version="1.0"?>`, `version="1.0" encoding="UTF-16"?>`)), nil, []byte{0})[1:]...)
	n := 0
	if err := ReadTokens(iotest.OneByteReader(bytes.NewReader(utf16)), ReadOptions{}, func(Row) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("UTF-16: %d rows, %v", n, err)
	}
}

func TestPSKCWarnings(t *testing.T) {
	k := totpKey("", plainValue(testSeed(1, 20)))
	k.id, k.data, k.policy = "soft-1", "", "<ExpiryDate>2030-12-31T00:00:00</ExpiryDate>"
	text := strings.Replace(container(k), `<ResponseFormat Length="6" Encoding="DECIMAL"/>`, "", 1)
	rows, err := readAll(text, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := rows[0]
	for _, want := range []string{"read as 6", "read as 30 s", "the Id of the key stands for it", "<ExpiryDate>: the date comes with midnight and no zone; read as 00:00 Asia/Tokyo"} {
		if !strings.Contains(strings.Join(r.Warnings, "\n"), want) {
			t.Errorf("%q is missing in %q", want, r.Warnings)
		}
	}
	if r.Token.Serial != "soft-1" || r.Token.Form != Software || r.Token.Expiry != 1924873200 {
		t.Errorf("%+v", r.Token)
	}
}

func TestPSKCFaults(t *testing.T) {
	seed := plainValue(testSeed(1, 20))
	good := totpKey("A1", seed)
	with := func(change func(*pskcKey)) string {
		k := totpKey("A2", plainValue(testSeed(2, 20)))
		change(&k)
		return container(good, k)
	}
	const key2 = `line 11, key "A2"`
	bomb := `<?xml version="1.0"?><!DOCTYPE k [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>` + "\n" + container(good)[len(`<?xml version="1.0" encoding="UTF-8"?>`):]
	deep := strings.Repeat("<Extensions>", 5000) + strings.Repeat("</Extensions>", 5000)
	for name, c := range map[string]struct{ text, want string }{
		"draft":           {strings.ReplaceAll(container(good), pskcSpace, pskcSpace+":1.0"), "line 2, <KeyContainer>: it is in a draft of PSKC"},
		"no namespace":    {strings.Replace(container(good), ` xmlns="`+pskcSpace+`"`, "", 1), "line 2, <KeyContainer>: want a KeyContainer in the namespace"},
		"unbound prefix":  {strings.NewReplacer("<K", "<pskc:K", "</K", "</pskc:K").Replace(container(good)), "want a KeyContainer in the namespace"},
		"other root":      {"<html><body>404</body></html>", "line 1, <html>: want a KeyContainer"},
		"version":         {strings.Replace(container(good), `Version="1.0"`, `Version="2.0"`, 1), `version "2.0"`},
		"empty container": {container(), "the file holds no token"},
		"only a prologue": {`<?xml version="1.0"?>`, "holds no KeyContainer"},
		"entity bomb":     {bomb, "it declares a document type or entities"},
		"own entity":      {strings.Replace(container(good), "Maker", "&bomb;", 1), "line 4: it uses an entity of its own"},
		"Latin-1":         {strings.Replace(container(good), "UTF-8", "ISO-8859-1", 1), `its encoding is "ISO-8859-1": want UTF-8`},
		"crossed tags":    {strings.Replace(container(good), "</Data></Key>", "</Key></Data>", 1), "line 7: it is not well-formed XML"},
		"second root":     {container(good) + container(good), "line 11: something stands after the end"},
		"long text":       {container("<KeyPackage><DeviceInfo><SerialNo>" + strings.Repeat("x", maxPackage) + "</SerialNo></DeviceInfo></KeyPackage>"), "one element has more than 262144 octets"},
		"long comment":    {container("<!--" + strings.Repeat("x", maxPackage) + "-->"), "one element has more than 262144 octets"},
		"deep":            {with(func(k *pskcKey) { k.key = deep }), "elements stand within each other more than 16 deep"},
		"unknown element": {container("<Keys/>", good), "line 3, <Keys>: RFC 6030 knows no such element"},
		"small letters":   {strings.ReplaceAll(container(good), "Secret>", "secret>"), "<secret>: RFC 6030 knows no such element in <Data>"},
		"no key":          {container("<KeyPackage><DeviceInfo/></KeyPackage>", good), "line 3, <KeyPackage>: it holds no Key"},
		"two secrets":     {with(func(k *pskcKey) { k.data = "<Secret>" + seed + "</Secret>" }), "<Secret>: it stands there twice"},
		"two values":      {with(func(k *pskcKey) { k.secret = "<EncryptedValue/>" + k.secret }), "a plain and an encrypted value"},
		"no value":        {with(func(k *pskcKey) { k.secret = "" }), "<Secret>: it has no value"},
		"no data":         {strings.ReplaceAll(with(func(*pskcKey) {}), "Data>", "Extensions>"), "it has no Data"},
		"short secret":    {with(func(k *pskcKey) { k.secret = plainValue([]byte("1234")) }), `line 13, key "A2", <Secret>: the secret has 4 octets: want 16 to 128`},
		"not base64":      {with(func(k *pskcKey) { k.secret = "<PlainValue>" + hex20 + "!</PlainValue>" }), `<PlainValue>: it is not base64`},
		"algorithm":       {with(func(k *pskcKey) { k.algorithm = pskcSpace + ":pin" }), key2 + `, <Key>: the algorithm "pin" is not taken`},
		"OCRA":            {with(func(k *pskcKey) { k.algorithm = pskcSpace + ":ocra" }), `the algorithm "ocra" is not taken`},
		"no algorithm":    {with(func(k *pskcKey) { k.algorithm = "" }), "a method without a name is not taken"},
		"suite":           {with(func(k *pskcKey) { k.suite = "HMAC-MD5" }), `<Suite>: "HMAC-MD5": want SHA1`},
		"digits":          {with(func(k *pskcKey) { k.digits = "40" }), `<ResponseFormat>: Length "40": want a number from 6 to 8`},
		"hexadecimal":     {strings.Replace(with(func(*pskcKey) {}), "DECIMAL", "HEXADECIMAL", 1), `Encoding "HEXADECIMAL": only codes of digits`},
		"check digit":     {strings.Replace(with(func(*pskcKey) {}), `Encoding=`, `CheckDigits="true" Encoding=`, 1), "codes with a check digit"},
		"interval":        {with(func(k *pskcKey) { k.data = strings.Replace(interval30, "30", "3600", 1) }), `<TimeInterval>: "3600": want a number from 10 to 120`},
		"counter":         {with(func(k *pskcKey) { k.algorithm, k.data = urnHOTP, "<Counter><PlainValue>-1</PlainValue></Counter>" }), `<Counter>: "-1"`},
		"hidden counter":  {with(func(k *pskcKey) { k.algorithm, k.data = urnHOTP, "<Counter><EncryptedValue/></Counter>" }), "the secrets are encrypted under a pre-shared key and none was given"},
		"ambiguous date":  {with(func(k *pskcKey) { k.policy = "<ExpiryDate>01/02/25</ExpiryDate>" }), `line 13, key "A2", <ExpiryDate>: "01/02/25" may be 2025-01-02 or 2025-02-01 or 2001-02-25`},
		"start > expiry": {with(func(k *pskcKey) {
			k.policy = "<StartDate>2031-01-01T00:00:00Z</StartDate><ExpiryDate>2030-01-01T00:00:00Z</ExpiryDate>"
		}), "is not after start"},
		"usage":         {with(func(k *pskcKey) { k.policy = "<KeyUsage>Encrypt</KeyUsage>" }), `the key is for "Encrypt"`},
		"PIN appended":  {with(func(k *pskcKey) { k.policy = `<PINPolicy PINUsageMode="Append"/>` }), `PINUsageMode "Append"`},
		"transactions":  {with(func(k *pskcKey) { k.policy = "<NumberOfTransactions>9</NumberOfTransactions>" }), "<NumberOfTransactions>: this policy is not kept here"},
		"other policy":  {with(func(k *pskcKey) { k.policy = `<x:Days xmlns:x="urn:x"/>` }), "<Days>: this policy is not kept here"},
		"two users":     {with(func(k *pskcKey) { k.key, k.device = "<UserId>a</UserId>", "<UserId>b</UserId>" }), "key and device name two users"},
		"user":          {with(func(k *pskcKey) { k.key = "<UserId>" + strings.Repeat("u", 254) + "</UserId>" }), "<UserId>: want at most 253 octets"},
		"nobody's":      {with(func(k *pskcKey) { k.id, k.serial = "", "" }), "it has neither serial nor user"},
		"serial twice":  {with(func(k *pskcKey) { k.serial = "a1" }), key2 + ", column serial: line 5 has the same one"},
		"secret twice":  {with(func(k *pskcKey) { k.secret = seed }), key2 + ": line 5 has the same secret"},
		"long serial":   {with(func(k *pskcKey) { k.serial = strings.Repeat("9", 65) }), "serial and credential ID have at most 64 octets"},
		"encrypted, no": {with(func(k *pskcKey) { k.secret = "<EncryptedValue/>" }), "the secrets are encrypted under a pre-shared key and none was given"},
	} {
		rows, err := readAll(c.text, ReadOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v: want %q", name, err, c.want)
			continue
		}
		if len(err.Error()) > 2000 || strings.Contains(err.Error(), seed[12:30]) {
			t.Errorf("%s: the error is %d octets long or shows the secret", name, len(err.Error()))
		}
		if len(rows) > 1 {
			t.Errorf("%s: %d rows were handed out", name, len(rows))
		}
	}
}

// Told to go on, the reader gives the good keys of a file with a changed one, and never the changed one.
func TestPSKCGoesOnAfterBadKeys(t *testing.T) {
	s := newSealer()
	bad := totpKey("A2", s.secret(testSeed(2, 20)))
	bad.secret = strings.Replace(bad.secret, "<ValueMAC>", "<ValueMAC>AAAA", 1)
	noKey := "<KeyPackage><DeviceInfo/></KeyPackage>\n"
	text := container(s.head(preShared), totpKey("A1", s.secret(testSeed(1, 20))), bad, noKey, totpKey("A3", s.secret(testSeed(3, 20))))
	var good, faults []string
	err := ReadTokens(strings.NewReader(text), ReadOptions{Key: s.key, Bad: func(e *RowError) error { faults = append(faults, e.Place()); return nil }},
		func(r Row) error { good = append(good, r.Token.Serial); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A1", "A3"}, good); diff != "" {
		t.Error(diff)
	}
	if len(faults) != 2 || !strings.Contains(faults[0], `key "A2", <ValueMAC>`) || !strings.Contains(faults[1], "<KeyPackage>") {
		t.Errorf("faults: %q", faults)
	}
	// What spoils the whole file is no bad row.
	err = ReadTokens(strings.NewReader(text), ReadOptions{Bad: func(*RowError) error { t.Error("Bad was called"); return nil }}, func(Row) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "none was given") {
		t.Errorf("without the key: %v", err)
	}
}

func TestPSKCLongFile(t *testing.T) {
	keys := 5_000
	if os.Getenv("SEKISHO_PROOF") == "1" {
		keys = 100_000
	}
	rest := keys
	chunk := func() string {
		if rest == 0 {
			return ""
		}
		rest--
		if rest == 0 {
			return "</KeyContainer>"
		}
		return totpKey("S"+strconv.Itoa(rest), plainValue(testSeed(rest, 20))).String()
	}
	n, start := 0, time.Now()
	head := strings.TrimSuffix(container(), "</KeyContainer>\n")
	if err := ReadTokens(io.MultiReader(strings.NewReader(head), &chunks{next: chunk}), ReadOptions{}, func(Row) error { n++; return nil }); err != nil || n != keys-1 {
		t.Fatalf("%d keys, %v", n, err)
	}
	t.Logf("%d keys in %v", n, time.Since(start).Round(time.Millisecond))
}

// chunks is a file that is made while it is read.
type chunks struct {
	next func() string
	rest string
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.rest == "" {
		c.rest = c.next()
	}
	if c.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func TestPSKCWipesSecrets(t *testing.T) {
	s := newSealer()
	seed := testSeed(1, 20)
	p := newPSKCReader(bufio.NewReader(strings.NewReader(container(s.head(preShared), totpKey("A1", plainValue(seed)), totpKey("A2", s.secret(seed))))),
		&ReadOptions{Key: s.key})
	var texts [][]byte
	for {
		row, err := p.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, row.Seed, p.pack.child("Key", "Data", "Secret", "PlainValue").octetsOfText())
		clear(row.Seed) // as ReadTokens does
	}
	texts = append(texts, p.crypt.macKey)
	p.close()
	for i, text := range texts {
		if !bytes.Equal(text, make([]byte, len(text))) {
			t.Errorf("text %d was not wiped: %q", i, text)
		}
	}
}

func (e *element) octetsOfText() []byte {
	if e == nil {
		return nil
	}
	return e.text
}

// Codes from outside: oathtool computes them from what was read. pskctool, which opens nothing that is encrypted, finds the
// same in the plain file.
func TestPSKCAgainstOtherPrograms(t *testing.T) {
	oathtool, pskctool := testenv.Need(t, "oathtool"), testenv.Need(t, "pskctool")
	s := newSealer()
	file := func(head string, seal func([]byte) string) string {
		long := totpKey("B2", seal(testSeed(2, 32)))
		long.suite, long.digits = "HMAC-SHA256", "8"
		event := pskcKey{id: "B3", serial: "B3", algorithm: urnHOTP, digits: "6", secret: seal(testSeed(3, 20)), data: "<Counter><PlainValue>5</PlainValue></Counter>"}
		return container(head, totpKey("B1", seal(testSeed(1, 20))), long, event)
	}
	plain := file("", plainValue)
	rows, err := readAll(file(s.head(preShared), s.secret), ReadOptions{Key: s.key})
	if err != nil {
		t.Fatal(err)
	}
	same, err := readAll(plain, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "seeds.xml")
	if err := os.WriteFile(name, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	listed, err := exec.Command(pskctool, "--info", name).CombinedOutput()
	if err != nil {
		t.Fatalf("pskctool: %v\n%s", err, listed)
	}
	for i, r := range rows {
		if !bytes.Equal(r.Seed, same[i].Seed) || !strings.Contains(string(listed), base64.StdEncoding.EncodeToString(r.Seed)) {
			t.Errorf("pskctool or the plain file has another secret of %s:\n%s", r.Token.Serial, listed)
		}
		args, step := []string{"--hotp", "--counter=5"}, int64(5)
		if r.Token.Mode == TOTP {
			args, step = []string{"--totp=" + r.Token.Hash.String(), "--now=2026-11-22 09:00:00 UTC"}, 1795338000/30
		}
		out, err := exec.Command(oathtool, append(args, "--digits="+strconv.Itoa(int(r.Token.Digits)), hex.EncodeToString(r.Seed))...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if code := r.Token.Code(r.Seed, step); code != strings.TrimSpace(string(out)) {
			t.Errorf("%s: code %s, oathtool says %s", r.Token.Serial, code, out)
		}
	}
}

func FuzzPSKC(f *testing.F) {
	s := newSealer()
	key := s.key
	f.Add(container(totpKey("A1", plainValue(testSeed(1, 20)))))
	f.Add(container(s.head(preShared), totpKey("A1", s.secret(testSeed(1, 20))), totpKey("A2", plainValue(testSeed(2, 20)))))
	f.Add(export(f, &Recipient{Key: key}, someExported()...))
	private, der := ourKey()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(export(f, &Recipient{Certificate: cert}, someExported()...))
	s.cipher = xmlEnc + "kw-aes128"
	f.Add(container("<EncryptionKey>"+preShared+"</EncryptionKey>", totpKey("A1", s.value("EncryptedValue", fromHex("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"))), "<ds:Signature/>"))
	f.Add(`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "IterationCount") {
			return // rounds cost time, by intent
		}
		checkRows(t, strings.NewReader(text), ReadOptions{Format: PSKC, Key: key, PrivateKey: private})
	})
}
