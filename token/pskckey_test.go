package token

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// A file of which any part was changed, or that is opened with something else, gives no token at all.
func TestPSKCEncryptedFaults(t *testing.T) {
	s := newSealer()
	first, second := totpKey("A1", s.secret(testSeed(1, 20))), totpKey("A2", s.secret(testSeed(2, 20)))
	text := container(s.head(preShared), first, second)
	key := ReadOptions{Key: s.key}
	flip := func(s, after string) string { // changes the first base64 letter behind a place
		at := strings.Index(s, after) + len(after)
		for s[at] == ' ' || s[at] == '\n' {
			at++
		}
		b := []byte(s)
		if b[at] == 'A' {
			b[at] = 'B'
		} else {
			b[at] = 'A'
		}
		return string(b)
	}
	wrong := bytes.Clone(s.key)
	wrong[3] ^= 1
	password := "<DerivedKey><KeyDerivationMethod Algorithm=\"" + pbkdf2Names[0] + "\"><PBKDF2-params><Salt><Specified>c2FsdHNhbHQ=</Specified></Salt>" +
		"<IterationCount>10</IterationCount><KeyLength>16</KeyLength></PBKDF2-params></KeyDerivationMethod><MasterKeyName>Kennwort</MasterKeyName></DerivedKey>"
	protected := strings.Replace(text, preShared, password, 1)
	for name, c := range map[string]struct {
		text string
		o    ReadOptions
		want string
	}{
		"no key":           {text, ReadOptions{}, `<EncryptionKey>: the secrets are encrypted under a pre-shared key that the file calls "Carton 7" and none was given`},
		"wrong key":        {text, ReadOptions{Key: wrong}, "the pre-shared key"},
		"short key":        {text, ReadOptions{Key: s.key[:15]}, "its cipher takes a key of 16 octets, and the pre-shared key has 15"},
		"no password":      {protected, key, `encrypted under a password that the file calls "Kennwort" and none was given`},
		"wrong password":   {protected, ReadOptions{Password: []byte("x")}, "the password"},
		"rounds":           {strings.Replace(protected, ">10<", ">10000001<", 1), ReadOptions{Password: []byte("x")}, "want an IterationCount from 1 to 10000000"},
		"no rounds":        {strings.Replace(protected, ">10<", ">0<", 1), ReadOptions{Password: []byte("x")}, "want an IterationCount"},
		"key length":       {strings.Replace(protected, "<KeyLength>16", "<KeyLength>99999999", 1), ReadOptions{Password: []byte("x")}, "want a KeyLength of 16, 24 or 32"},
		"no salt":          {strings.Replace(protected, "c2FsdHNhbHQ=", "", 1), ReadOptions{Password: []byte("x")}, "want a Salt"},
		"no salt element":  {strings.ReplaceAll(protected, "Specified>", "Other>"), ReadOptions{Password: []byte("x")}, "want a Salt"},
		"KDF":              {strings.Replace(protected, "#pbkdf2", "#scrypt", 1), ReadOptions{Password: []byte("x")}, `by "scrypt": only PBKDF2`},
		"PRF":              {strings.Replace(protected, "</KeyLength>", `</KeyLength><PRF Algorithm="urn:md5"/>`, 1), ReadOptions{Password: []byte("x")}, `PRF "md5" is not taken`},
		"certificate":      {strings.Replace(text, preShared, "<ds:X509Data/>", 1), key, "encrypted for the certificate and no private key was given"},
		"retrieval":        {strings.Replace(text, preShared, "<ds:RetrievalMethod/>", 1), key, "it holds RetrievalMethod: only files under"},
		"cipher":           {strings.ReplaceAll(text, "aes128-cbc", "camellia128-cbc"), key, `the cipher "camellia128-cbc" is not taken`},
		"RSA 1.5":          {strings.ReplaceAll(text, "aes128-cbc", "rsa_1_5"), key, "RSA with PKCS #1 v1.5 padding is not taken"},
		"MAC method":       {strings.Replace(text, "#hmac-sha1", "#hmac-md5", 1), key, `<MACMethod>: "hmac-md5" is not taken`},
		"no MAC method":    {text[:strings.Index(text, "<MACMethod")] + text[strings.Index(text, "</MACMethod>")+12:], key, "encrypted secrets and no MACMethod"},
		"MAC key by name":  {strings.NewReplacer("<MACKey>", "<MACKeyReference>", "</MACKey>", "</MACKeyReference>").Replace(text), key, "it holds MACKeyReference: want MACKey"},
		"no MAC":           {text[:strings.Index(text, "<ValueMAC>")] + text[strings.Index(text, "</ValueMAC>")+11:], key, "<EncryptedValue>: it has no ValueMAC"},
		"first MAC":        {flip(text, "<ValueMAC>"), key, `key "A1", <ValueMAC>: the MAC is wrong: either the pre-shared key is not the one`},
		"second MAC":       {text[:strings.LastIndex(text, "<Key ")] + flip(text[strings.LastIndex(text, "<Key "):], "<ValueMAC>"), key, `key "A2", <ValueMAC>: the MAC is wrong while others of the file are right`},
		"first secret":     {flip(text, "<EncryptedValue><xenc:EncryptionMethod Algorithm=\""+s.cipher+"\"/><xenc:CipherData><xenc:CipherValue>"), key, `key "A1", <ValueMAC>: the MAC is wrong`},
		"MACs exchanged":   {container(s.head(preShared), exchangeMACs(first, second)), key, "the MAC is wrong"},
		"cut value":        {strings.Replace(text, "\n</xenc:CipherValue></xenc:CipherData></EncryptedValue>", "AAAA</xenc:CipherValue></xenc:CipherData></EncryptedValue>", 1), key, "<CipherValue>:"},
		"no cipher value":  {strings.Replace(text, "<EncryptedValue>", "<EncryptedValue></EncryptedValue><EncryptedValue>", 1), key, "twice"},
		"plain among them": {container(s.head(preShared), first, totpKey("A2", "<PlainValue>AAAA</PlainValue>")), key, "the secret has 3 octets"},
	} {
		rows, err := readAll(c.text, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v: want %q", name, err, c.want)
		}
		if len(rows) > 1 {
			t.Errorf("%s: %d rows were handed out", name, len(rows))
		}
	}
	// Cut anywhere, the file is refused, and says so at the place of the cut.
	for cut := 1; cut < len(strings.TrimRight(text, "\n")); cut += 13 {
		if _, err := readAll(text[:cut], key); err == nil || !strings.HasPrefix(err.Error(), "reading the ") {
			t.Fatalf("cut after %d of %d octets: %v", cut, len(text), err)
		}
	}
	lines := strings.SplitAfter(text, "\n")
	_, err := readAll(strings.Join(lines[:len(lines)-4], ""), key)
	if want := fmt.Sprintf("line %d: the file breaks off here", len(lines)-3); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("cut in the last key: %v: want %s", err, want)
	}
}

func exchangeMACs(a, b pskcKey) string {
	mac := func(s string) string { return s[strings.Index(s, "<ValueMAC>"):] }
	a.secret, b.secret = strings.Replace(a.secret, mac(a.secret), mac(b.secret), 1), strings.Replace(b.secret, mac(b.secret), mac(a.secret), 1)
	return fmt.Sprint(a, b)
}

func TestParseTransportKey(t *testing.T) {
	want := fromHex("7a0c41d2e6539b88f01522c3d4996e1b")
	for _, text := range []string{"7a0c41d2e6539b88f01522c3d4996e1b", "7A:0C:41:D2:E6:53:9B:88:F0:15:22:C3:D4:99:6E:1B", "7a0c41d2 e6539b88 f01522c3 d4996e1b\n",
		base64.StdEncoding.EncodeToString(want)} {
		if key, err := ParseTransportKey([]byte(text)); err != nil || !bytes.Equal(key, want) {
			t.Errorf("%s: %x, %v", text, key, err)
		}
	}
	for _, text := range []string{"", "7a0c", "7a0c41d2e6539b88f01522c3d4996e1", "the key of carton 7", base64.StdEncoding.EncodeToString(want[:15])} {
		if key, err := ParseTransportKey([]byte(text)); err == nil || strings.Contains(err.Error(), "7a0c") {
			t.Errorf("%q: %x, %v", text, key, err)
		}
	}
}
