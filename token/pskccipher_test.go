package token

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // as in the files that are read
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/internal/testenv"
)

// The examples of RFC 3394 §4.1, §4.3 and §4.6 and of RFC 5649 §6.
func TestKeyWrapExamplesOfTheRFCs(t *testing.T) {
	for _, c := range []struct{ cipher, key, text, plain string }{
		{"2001/04/xmlenc#kw-aes128", "000102030405060708090a0b0c0d0e0f", "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5", "00112233445566778899aabbccddeeff"},
		{"2001/04/xmlenc#kw-aes256", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7", "00112233445566778899aabbccddeeff"},
		{"2009/xmlenc11#kw-aes-192-pad", "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a", "c37b7e6492584340bed12207808941155068f738"},
		{"2009/xmlenc11#kw-aes-192-pad", "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "afbeb0f07dfbf5419200f2ccb50bb24f", "466f7250617369"},
	} {
		plain, err := openWith("http://www.w3.org/"+c.cipher, fromHex(c.key), fromHex(c.text))
		if err != nil || hex.EncodeToString(plain) != c.plain {
			t.Errorf("%s: %x, %v", c.cipher, plain, err)
		}
	}
}

// A padded wrap has to begin as RFC 5649 says and to end in zeros: whoever holds the key may still have made another thing.
func TestPaddedWrapIsChecked(t *testing.T) {
	block, err := aes.NewCipher(testSeed(7, 16))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		inside string
		good   bool
	}{
		"5 octets":        {"a65959a6000000050102030405000000", true},
		"other beginning": {"a65959a7000000050102030405000000", false},
		"padding":         {"a65959a6000000050102030405000001", false},
		"too long":        {"a65959a6000000090102030405000000", false},
		"too short":       {"a65959a6000000000000000000000000", false},
	} {
		text := make([]byte, 16)
		block.Encrypt(text, fromHex(c.inside))
		if plain, err := unwrapPadded(block, text); (err == nil) != c.good || (c.good && len(plain) != 5) {
			t.Errorf("%s: %x, %v", name, plain, err)
		}
	}
}

// Whatever stands in the place of the MAC key, the answer is one: padding that is right by chance tells nothing.
func TestMACKeyIsNoOracle(t *testing.T) {
	s := newSealer()
	text := container(s.head(preShared), totpKey("A1", s.secret(testSeed(1, 20))))
	at := strings.Index(text, "<xenc:CipherValue>") + len("<xenc:CipherValue>")
	end := at + strings.Index(text[at:], "<")
	answers := map[string]int{}
	for i := range 200 {
		value := base64.StdEncoding.EncodeToString(testSeed(i, 48))
		for _, bad := range []func(*RowError) error{nil, func(*RowError) error { t.Error("it is no bad row"); return nil }} {
			err := ReadTokens(strings.NewReader(text[:at]+value+text[end:]), ReadOptions{Key: s.key, Bad: bad}, func(Row) error { t.Error("a row"); return nil })
			answers[fmt.Sprint(err)]++
		}
	}
	short := newSealer()
	short.macKey = []byte("123456789012345")
	if err := ReadTokens(strings.NewReader(container(short.head(preShared), totpKey("A1", short.secret(testSeed(1, 20))))), ReadOptions{Key: s.key}, func(Row) error { return nil }); err == nil || !strings.Contains(err.Error(), "the MAC is wrong") {
		t.Errorf("a MAC key of 15 octets: %v", err)
	}
	if len(answers) != 1 {
		t.Errorf("%d answers: %v", len(answers), answers)
	}
}

func openWith(name string, key, text []byte) ([]byte, error) {
	how := pskcCiphers[name]
	block, err := how.block(key)
	if err != nil {
		return nil, err
	}
	return how.open(block, text)
}

// opensslNames are the ciphers as openssl calls them, with the vector it wants.
var opensslNames = map[string][2]string{
	"2001/04/xmlenc#aes128-cbc":    {"-aes-128-cbc", "000102030405060708090a0b0c0d0e0f"},
	"2001/04/xmlenc#aes192-cbc":    {"-aes-192-cbc", "000102030405060708090a0b0c0d0e0f"},
	"2001/04/xmlenc#aes256-cbc":    {"-aes-256-cbc", "000102030405060708090a0b0c0d0e0f"},
	"2001/04/xmlenc#tripledes-cbc": {"-des-ede3-cbc", "0001020304050607"},
	"2001/04/xmlenc#kw-aes128":     {"-id-aes128-wrap", "a6a6a6a6a6a6a6a6"},
	"2001/04/xmlenc#kw-aes192":     {"-id-aes192-wrap", "a6a6a6a6a6a6a6a6"},
	"2001/04/xmlenc#kw-aes256":     {"-id-aes256-wrap", "a6a6a6a6a6a6a6a6"},
	"2001/04/xmlenc#kw-tripledes":  {"-id-smime-alg-CMS3DESwrap", "0000000000000000"},
	"2009/xmlenc11#kw-aes-128-pad": {"-id-aes128-wrap-pad", "a65959a6"},
	"2009/xmlenc11#kw-aes-192-pad": {"-id-aes192-wrap-pad", "a65959a6"},
	"2009/xmlenc11#kw-aes-256-pad": {"-id-aes256-wrap-pad", "a65959a6"},
}

// opensslSeal encrypts as openssl does; CBC gets its vector in front, as XML encryption has it.
func opensslSeal(t *testing.T, name string, key, plain []byte) []byte {
	t.Helper()
	as := opensslNames[name]
	cmd := exec.Command(testenv.Need(t, "openssl"), "enc", as[0], "-K", hex.EncodeToString(key), "-iv", as[1])
	cmd.Stdin = bytes.NewReader(plain)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl enc %s: %v", as[0], err)
	}
	if strings.HasSuffix(name, "cbc") {
		out = append(fromHex(as[1]), out...)
	}
	return out
}

// Every cipher opens what openssl sealed with it. The ones that need no MAC open no text of which one bit was changed, and
// whatever does not open does so with the one error.
func TestCiphersAgainstOpenSSL(t *testing.T) {
	if len(opensslNames) != len(pskcCiphers) {
		t.Errorf("%d ciphers are tried of %d", len(opensslNames), len(pskcCiphers))
	}
	for short := range opensslNames {
		name := "http://www.w3.org/" + short
		how := pskcCiphers[name]
		key := testSeed(7, how.key)
		for _, n := range []int{16, 20, 24, 64} {
			if n%8 != 0 && how.whole && !strings.HasSuffix(name, "-pad") {
				continue // key wrap takes whole half-blocks
			}
			plain := testSeed(n, n)
			text := opensslSeal(t, short, key, plain)
			if len(text) < how.least || len(text)%how.step != 0 {
				t.Errorf("%s: %d octets would be refused", short, len(text))
			}
			got, err := openWith(name, key, bytes.Clone(text))
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s, %d octets: %x, %v", short, n, got, err)
			}
			for i := range len(text) * 8 {
				text[i/8] ^= 1 << (i % 8)
				got, err := openWith(name, key, bytes.Clone(text))
				text[i/8] ^= 1 << (i % 8)
				if (err == nil && how.whole) || (err != nil && !errors.Is(err, errSealed)) {
					t.Fatalf("%s, %d octets, bit %d changed: %x, %v", short, n, i, got, err)
				}
			}
			wrong := bytes.Clone(key)
			wrong[5] ^= 2
			if got, err := openWith(name, wrong, text); err == nil && (how.whole || bytes.Equal(got, plain)) {
				t.Errorf("%s: another key opened it", short)
			}
		}
	}
}

// Whole files under each cipher; the MAC key is under the same one, and files of a cipher that proves itself need no MAC.
func TestPSKCOfEachCipher(t *testing.T) {
	for short := range opensslNames {
		how := pskcCiphers["http://www.w3.org/"+short]
		key, macKey, seed := testSeed(99, how.key), testSeed(98, 24), testSeed(1, 32)
		s := &sealer{key: key, macKey: macKey, cipher: "http://www.w3.org/" + short, mac: "http://www.w3.org/2000/09/xmldsig#hmac-sha1", hash: sha1.New}
		text := opensslSeal(t, short, key, seed)
		withMAC := container("<EncryptionKey>"+preShared+`</EncryptionKey><MACMethod Algorithm="`+s.mac+`">`+
			s.value("MACKey", opensslSeal(t, short, key, macKey))+"</MACMethod>", totpKey("A1", s.value("EncryptedValue", text)+s.macOf(text)))
		rows, err := readAll(withMAC, ReadOptions{Key: key})
		if err != nil || len(rows) != 1 || !bytes.Equal(rows[0].Seed, seed) {
			t.Errorf("%s: %d rows, %v", short, len(rows), err)
		}
		wrong := strings.Replace(withMAC, "<ValueMAC>", "<ValueMAC>AAAA", 1)
		if _, err := readAll(wrong, ReadOptions{Key: key}); err == nil || !strings.Contains(err.Error(), "the MAC is wrong") {
			t.Errorf("%s with a wrong MAC: %v", short, err)
		}
		rows, err = readAll(container("<EncryptionKey>"+preShared+"</EncryptionKey>", totpKey("A1", s.value("EncryptedValue", text))), ReadOptions{Key: key})
		if ok := err == nil && len(rows) == 1 && bytes.Equal(rows[0].Seed, seed); ok != how.whole {
			t.Errorf("%s without a MAC: %d rows, %v", short, len(rows), err)
		}
	}
}

// A 3DES key of 16 octets stands for one of 24; wrong parity is no fault; equal parts make it a DES key.
func TestTripleDESKeys(t *testing.T) {
	const name = "2001/04/xmlenc#tripledes-cbc"
	plain, full := testSeed(1, 20), "http://www.w3.org/"+name
	key := testSeed(7, 24)
	copy(key[16:], key)
	text := opensslSeal(t, name, key, plain)
	if got, err := openWith(full, key[:16], bytes.Clone(text)); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("16 octets: %x, %v", got, err)
	}
	for i := range key {
		key[i] ^= 1
	}
	if got, err := openWith(full, key, bytes.Clone(text)); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("other parity: %x, %v", got, err)
	}
	for _, equal := range [][2]int{{0, 8}, {8, 16}} {
		weak := testSeed(7, 24)
		copy(weak[equal[1]:], weak[equal[0]:equal[0]+8])
		weak[equal[1]] ^= 1 // parity hides nothing
		if _, err := openWith(full, weak, text); !errors.Is(err, errWeakKey) {
			t.Errorf("a weak key: %v", err)
		}
	}
	if _, err := openWith(full, bytes.Repeat([]byte{9}, 16), text); !errors.Is(err, errWeakKey) {
		t.Errorf("a weak key of 16 octets: %v", err)
	}
	s := newSealer()
	s.cipher = full
	secret := s.value("EncryptedValue", text)
	_, err := readAll(container("<EncryptionKey>"+preShared+"</EncryptionKey>", `<MACMethod Algorithm="`+s.mac+`"/>`, totpKey("A1", secret+"<ValueMAC>AAAA</ValueMAC>")), ReadOptions{Key: key[:15]})
	if err == nil || !strings.Contains(err.Error(), "its cipher takes a key of 24 octets, and the pre-shared key has 15") {
		t.Errorf("15 octets: %v", err)
	}
}

// ourKey is an RSA key with its certificate in DER; making one takes a while.
var ourKey = sync.OnceValues(func() (*rsa.PrivateKey, []byte) {
	key, err := rsa.GenerateKey(rand.Reader, minRSA)
	if err != nil {
		panic(err)
	}
	model := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "seeds"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, model, model, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return key, der
})

func forCertificate(der []byte) string {
	return "<EncryptionKey><ds:X509Data><ds:X509Certificate>" + base64.StdEncoding.EncodeToString(der) + "</ds:X509Certificate></ds:X509Data></EncryptionKey>"
}

// rsaValue is a secret under RSA-OAEP, as openssl makes it or, where that cannot, Go.
func rsaValue(text []byte, algorithm, parameters string) string {
	return `<EncryptedValue><xenc:EncryptionMethod Algorithm="` + algorithm + `">` + parameters + "</xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue>" +
		base64.StdEncoding.EncodeToString(text) + "</xenc:CipherValue></xenc:CipherData></EncryptedValue>"
}

func TestPSKCForCertificate(t *testing.T) {
	key, der := ourKey()
	other, err := rsa.GenerateKey(rand.Reader, minRSA)
	if err != nil {
		t.Fatal(err)
	}
	pub := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(pub, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	seal := func(hash, mgf string, label string) []byte {
		args := []string{"pkeyutl", "-encrypt", "-certin", "-inkey", pub, "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:" + hash, "-pkeyopt", "rsa_mgf1_md:" + mgf}
		if label != "" {
			args = append(args, "-pkeyopt", "rsa_oaep_label:"+hex.EncodeToString([]byte(label)))
		}
		cmd := exec.Command(testenv.Need(t, "openssl"), args...)
		cmd.Stdin = bytes.NewReader(testSeed(1, 20))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("openssl pkeyutl: %v", err)
		}
		return out
	}
	const dsig = "http://www.w3.org/2000/09/xmldsig#"
	good := ReadOptions{PrivateKey: key}
	file := func(algorithm, parameters string, text []byte) string {
		return container(forCertificate(der), totpKey("A1", rsaValue(text, algorithm, parameters)))
	}
	digest := func(uri string) string { return `<ds:DigestMethod Algorithm="` + uri + `"/>` }
	sha1Text := seal("sha1", "sha1", "")
	for name, c := range map[string]struct {
		text string
		o    ReadOptions
		want string
	}{
		"SHA-1 by default":             {file(rsaOAEP1, "", sha1Text), good, ""},
		"SHA-1":                        {file(rsaOAEP1, digest(dsig+"sha1"), sha1Text), good, ""},
		"SHA-256, MGF1 with SHA-1":     {file(rsaOAEP1, digest(xmlEnc+"sha256"), seal("sha256", "sha1", "")), good, ""},
		"SHA-512, MGF1 with SHA-256":   {file(rsaOAEP, digest(xmlEnc+"sha512")+`<MGF Algorithm="`+xmlEnc11+`mgf1sha256"/>`, seal("sha512", "sha256", "")), good, ""},
		"a label":                      {file(rsaOAEP1, `<xenc:OAEPparams>bGFiZWw=</xenc:OAEPparams>`, seal("sha1", "sha1", "label")), good, ""},
		"the certificate is but named": {strings.Replace(file(rsaOAEP1, "", sha1Text), forCertificate(der), "<EncryptionKey><ds:X509Data><ds:X509SubjectName>CN=seeds</ds:X509SubjectName></ds:X509Data></EncryptionKey>", 1), good, ""},
		"another label":                {file(rsaOAEP1, `<xenc:OAEPparams>bGFiZWw=</xenc:OAEPparams>`, sha1Text), good, "the private key does not open it"},
		"no key":                       {file(rsaOAEP1, "", sha1Text), ReadOptions{}, `encrypted for the certificate of "CN=seeds" and no private key was given`},
		"another's key":                {file(rsaOAEP1, "", sha1Text), ReadOptions{PrivateKey: other}, "and the private key given is not its own"},
		"cut":                          {file(rsaOAEP1, "", sha1Text[:200]), good, "200 octets are no whole text"},
		"longer":                       {file(rsaOAEP1, "", append(bytes.Clone(sha1Text), sha1Text...)), good, "the private key does not open it"},
		"PKCS #1 v1.5":                 {file(rsa15, "", sha1Text), good, "RSA with PKCS #1 v1.5 padding is not taken"},
		"MD5":                          {file(rsaOAEP1, digest("urn:md5"), sha1Text), good, `<DigestMethod>: "md5" is not taken`},
		"AES for a certificate":        {file(xmlEnc+"aes128-cbc", "", sha1Text), good, "is no cipher of one: want RSA-OAEP"},
		"RSA with no certificate":      {strings.Replace(file(rsaOAEP1, "", sha1Text), forCertificate(der), "", 1), ReadOptions{Key: testSeed(1, 16)}, `the cipher "rsa-oaep-mgf1p" is not taken`},
		"no certificate":               {strings.Replace(file(rsaOAEP1, "", sha1Text), forCertificate(der), forCertificate([]byte("x")), 1), good, "it is no certificate"},
		"a MAC and no method":          {strings.Replace(file(rsaOAEP1, "", sha1Text), "</EncryptedValue>", "</EncryptedValue><ValueMAC>AAAA</ValueMAC>", 1), good, "no MACMethod"},
		"a MAC of no key":              {strings.NewReplacer("</EncryptedValue>", "</EncryptedValue><ValueMAC>AAAA</ValueMAC>", "</EncryptionKey>", `</EncryptionKey><MACMethod Algorithm="`+dsig+`hmac-sha1"/>`).Replace(file(rsaOAEP1, "", sha1Text)), good, "a certificate's key makes no MACs"},
	} {
		rows, err := readAll(c.text, c.o)
		switch {
		case c.want == "" && (err != nil || len(rows) != 1 || !bytes.Equal(rows[0].Seed, testSeed(1, 20))):
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v: want %s", name, err, c.want)
		}
	}
	// Every fault of the text has one answer: nothing tells padding from length.
	for i := 0; i < len(sha1Text); i += 17 {
		text := bytes.Clone(sha1Text)
		text[i] ^= 4
		if _, err := readAll(file(rsaOAEP1, "", text), good); err == nil || !strings.Contains(err.Error(), "<EncryptedValue>: the private key does not open it") {
			t.Errorf("octet %d changed: %v", i, err)
		}
	}
	// A MAC whose key came by RSA is checked.
	text, err := rsa.EncryptOAEP(crypto.SHA1.New(), rand.Reader, &key.PublicKey, testSeed(5, 20), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &sealer{macKey: testSeed(5, 20), hash: sha512.New}
	macKey := strings.NewReplacer("<EncryptedValue>", "<MACKey>", "</EncryptedValue>", "</MACKey>").Replace(rsaValue(text, rsaOAEP1, ""))
	maced := container(forCertificate(der), `<MACMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha512">`, macKey, "</MACMethod>",
		totpKey("A1", rsaValue(sha1Text, rsaOAEP1, "")+s.macOf(sha1Text)))
	if rows, err := readAll(maced, good); err != nil || !bytes.Equal(rows[0].Seed, testSeed(1, 20)) {
		t.Errorf("with a MAC: %v", err)
	}
	if _, err := readAll(strings.Replace(maced, "<ValueMAC>", "<ValueMAC>AAAA", 1), good); err == nil || !strings.Contains(err.Error(), "the MAC is wrong") {
		t.Errorf("with a wrong MAC: %v", err)
	}
}

func TestParsePrivateKey(t *testing.T) {
	key, der := ourKey()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for name, c := range map[string]struct{ text, want string }{
		"PKCS #8":             {encode("PRIVATE KEY", pkcs8), ""},
		"PKCS #1":             {encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), ""},
		"after a certificate": {encode("CERTIFICATE", der) + encode("PRIVATE KEY", pkcs8), ""},
		"a certificate":       {encode("CERTIFICATE", der), "want an RSA key in PEM"},
		"nothing":             {"", "want an RSA key in PEM"},
		"garbage":             {encode("PRIVATE KEY", der), "cannot be read"},
		"password":            {encode("ENCRYPTED PRIVATE KEY", pkcs8), "stands under a password"},
		"EC":                  {opensslKey(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "is not of RSA"},
		"short":               {opensslKey(t, "genrsa", "1024"), "has 1024 bits: want 2048"},
	} {
		got, err := ParsePrivateKey([]byte(c.text))
		switch {
		case c.want == "" && (err != nil || !got.Equal(key)):
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v: want %s", name, err, c.want)
		}
	}
}

func opensslKey(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(testenv.Need(t, "openssl"), args...).Output()
	if err != nil {
		t.Fatalf("openssl %s: %v", args, err)
	}
	return string(out)
}

// Counter and interval may be encrypted, as big-endian integers.
func TestPSKCEncryptedNumbers(t *testing.T) {
	s := newSealer()
	file := func(algorithm, element string, octets []byte) string {
		k := totpKey("A1", s.secret(testSeed(1, 20)))
		k.algorithm, k.data = algorithm, "<"+element+">"+s.secret(octets)+"</"+element+">"
		return container(s.head(preShared), k)
	}
	for _, c := range []struct {
		algorithm, element string
		octets             []byte
		last               int64
		period             uint16
		fault              string
	}{
		{urnHOTP, "Counter", []byte{0, 0, 0, 0, 0, 0, 1, 2}, 257, 0, ""},
		{urnHOTP, "Counter", []byte{41}, 40, 0, ""},
		{urnTOTP, "TimeInterval", []byte{0, 0, 0, 60}, NoStep, 60, ""},
		{urnTOTP, "TimeInterval", []byte{0, 0, 14, 16}, 0, 0, `<TimeInterval>: "3600": want a number from 10 to 120`},
		{urnHOTP, "Counter", bytes.Repeat([]byte{255}, 8), 0, 0, "want a number from 0 to"},
		{urnHOTP, "Counter", bytes.Repeat([]byte{1}, 9), 0, 0, "its encrypted value has 9 octets: want an integer of 1 to 8"},
	} {
		rows, err := readAll(file(c.algorithm, c.element, c.octets), ReadOptions{Key: s.key})
		switch {
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%s %x: %v: want %s", c.element, c.octets, err, c.fault)
		case c.fault == "" && (err != nil || rows[0].Token.Last != c.last || rows[0].Token.Period != c.period):
			t.Errorf("%s %x: %v, %+v", c.element, c.octets, err, rows)
		}
	}
}

// Keys of one device come in under the device's serial and their own Id; the same key twice is a fault (RFC 6030, figure 10).
func TestPSKCSeveralKeysOfADevice(t *testing.T) {
	key := func(id string, i int) pskcKey {
		k := totpKey("9999999", plainValue(testSeed(i, 20)))
		k.id = id
		return k
	}
	both := strings.Replace(key("3", 1).String(), "</KeyPackage>", "", 1)
	second := key("4", 2).String()
	oneDevice := both + second[strings.Index(second, "<Key "):]
	for name, text := range map[string]string{"two packages": container(key("3", 1), key("4", 2)), "one package": container(oneDevice)} {
		rows, err := readAll(text, ReadOptions{})
		if err != nil || len(rows) != 2 || rows[0].Token.Serial != "9999999" || rows[1].Token.Serial != "9999999/4" ||
			len(rows[0].Warnings) != 0 || !strings.Contains(fmt.Sprint(rows[1].Warnings), `its device has several keys; this one is known as "9999999/4" here`) {
			t.Errorf("%s: %v, %+v", name, err, rows)
		}
	}
	for name, text := range map[string]string{"the same Id": container(key("3", 1), key("3", 2)), "no Id": container(key("3", 1), key("", 2)),
		"the third again": container(key("3", 1), key("4", 2), key("4", 3)), "serials for Ids": container(key("9999999", 1), key("4", 2))} {
		if _, err := readAll(text, ReadOptions{}); err == nil || !strings.Contains(err.Error(), "column serial: line ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A signed file is refused, wherever the signature stands and whatever stands before it, unless it is said to be ignored.
func TestPSKCSignedFile(t *testing.T) {
	signed := container(totpKey("A1", plainValue(testSeed(1, 20))), "<ds:Signature><ds:SignedInfo/></ds:Signature>")
	for _, o := range []ReadOptions{{}, {Bad: func(*RowError) error { t.Error("a signature is no bad row"); return nil }}} {
		err := ReadTokens(strings.NewReader(signed), o, func(Row) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "<Signature>: the file is signed, and signatures cannot be checked here") {
			t.Errorf("signed: %v", err)
		}
	}
	if rows, err := readAll(signed, ReadOptions{IgnoreSignature: true}); err != nil || len(rows) != 1 {
		t.Errorf("ignored: %d rows, %v", len(rows), err)
	}
}

// A file that pskctool signed.
func TestPSKCSignedByPSKCTool(t *testing.T) {
	private, der := ourKey()
	name := filepath.Join(t.TempDir(), "plain.xml")
	pair := filepath.Join(t.TempDir(), "pair.pem")
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pair, append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(container(totpKey("A1", plainValue(testSeed(1, 20))))), 0o600); err != nil {
		t.Fatal(err)
	}
	signed := runPSKCTool(t, "--sign", "--quiet", "--sign-key", pair, "--sign-crt", pair, name)
	if _, err := readAll(signed, ReadOptions{}); err == nil || !strings.Contains(err.Error(), "<Signature>: the file is signed") {
		t.Errorf("signed: %v\n%s", err, signed)
	}
	if rows, err := readAll(signed, ReadOptions{IgnoreSignature: true}); err != nil || len(rows) != 1 || !bytes.Equal(rows[0].Seed, testSeed(1, 20)) {
		t.Errorf("signed and ignored: %v", err)
	}
}

func TestPSKCNames(t *testing.T) {
	k := totpKey("A1", plainValue(testSeed(1, 20)))
	k.key = "<FriendlyName>Front door</FriendlyName><FriendlyName xml:lang=\"ja\">正面</FriendlyName>"
	rows, err := readAll(container(k), ReadOptions{})
	if err != nil || rows[0].Token.Name != "Front door" {
		t.Errorf("%v, %+v", err, rows)
	}
	k.key = "<FriendlyName>" + strings.Repeat("n", 129) + "</FriendlyName>"
	rows, err = readAll(container(k), ReadOptions{})
	if err != nil || rows[0].Token.Name != "" || len(rows[0].Warnings) != 1 {
		t.Errorf("a long name: %v, %+v", err, rows)
	}
}

func FuzzKeyWrap(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), fromHex("138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, key, text []byte) {
		for name, how := range pskcCiphers {
			if !how.fits(len(key)) {
				continue
			}
			if plain, err := openWith(name, key, text); err == nil && len(plain) >= len(text) {
				t.Errorf("%s: %d octets out of %d", name, len(plain), len(text))
			}
		}
	})
}
