package token

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // hash functions of RSA-OAEP
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// Key transport to a certificate (RFC 6030 §6.3): each secret is encrypted by RSA to the recipient's public key. RSA-OAEP is
// taken. RSA with the padding of PKCS #1 v1.5 is refused: whoever can have files tried learns secrets from the answers.

// minRSA is the shortest modulus, in bits, that is taken (NIST SP 800-131A).
const minRSA = 2048

const (
	rsaOAEP1 = xmlEnc + "rsa-oaep-mgf1p" // MGF1 always with SHA-1
	rsaOAEP  = xmlEnc11 + "rsa-oaep"
	rsa15    = xmlEnc + "rsa_1_5"
)

// oaepHashes are the hash functions of RSA-OAEP, by the names of DigestMethod and of MGF.
var oaepHashes = map[string]crypto.Hash{
	"http://www.w3.org/2000/09/xmldsig#sha1":        crypto.SHA1,
	xmlEnc + "sha256":                               crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
	xmlEnc + "sha512":                               crypto.SHA512,
	xmlEnc11 + "mgf1sha1":                           crypto.SHA1,
	xmlEnc11 + "mgf1sha256":                         crypto.SHA256,
	xmlEnc11 + "mgf1sha384":                         crypto.SHA384,
	xmlEnc11 + "mgf1sha512":                         crypto.SHA512,
}

// ParsePrivateKey reads the RSA key that opens a PSKC file made for a certificate: PEM, PKCS #8 or PKCS #1, without a
// password, 2048 bits or more. Certificates in the same file are passed over.
func ParsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	const want = "want an RSA key in PEM (-----BEGIN PRIVATE KEY-----)"
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("the private key of the seed file: " + want)
		}
		text = rest
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		defer clear(block.Bytes)
		if strings.HasPrefix(block.Type, "ENCRYPTED") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, errors.New("the private key of the seed file stands under a password; write it without one: openssl pkey -in FILE -out PLAIN")
		}
		var any any
		any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			any, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		}
		if err != nil {
			return nil, errors.New("the private key of the seed file cannot be read; " + want)
		}
		key, ok := any.(*rsa.PrivateKey)
		switch {
		case !ok:
			return nil, errors.New("the private key of the seed file is not of RSA; " + want)
		case key.N.BitLen() < minRSA:
			return nil, fmt.Errorf("the private key of the seed file has %d bits: want %d or more", key.N.BitLen(), minRSA)
		}
		return key, nil
	}
}

// certificateOf gives the certificate that X509Data holds; nil where it only names one.
func certificateOf(data *element) (*x509.Certificate, error) {
	e := data.child("X509Certificate")
	if e == nil {
		return nil, nil // X509IssuerSerial and others name a certificate that we need not find
	}
	der, err := octets(e)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, e.fault("it is no certificate: want its DER in base64")
	}
	return cert, nil
}

// findRSA makes sure that a private key is there and, where the file holds the certificate, that it is the one.
func (c *pskcCrypt) findRSA(data *element) error {
	cert, err := certificateOf(data)
	if err != nil {
		return err
	}
	owner := ""
	if cert != nil {
		owner = " of " + shownName(cert.Subject.String())
	}
	if c.options.PrivateKey == nil {
		return data.fault("the secrets are encrypted for the certificate%s and no private key was given", owner)
	}
	if cert != nil && !c.options.PrivateKey.PublicKey.Equal(cert.PublicKey) {
		return data.fault("the secrets are encrypted for the certificate%s, and the private key given is not its own", owner)
	}
	c.rsa = c.options.PrivateKey
	return nil
}

// openRSA opens one value by RSA-OAEP (XML encryption 1.1 §5.5.2).
func (c *pskcCrypt) openRSA(method *element, text []byte) ([]byte, error) {
	name := method.attr("Algorithm")
	options := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	for _, part := range []struct {
		element string
		to      *crypto.Hash
	}{{"DigestMethod", &options.Hash}, {"MGF", &options.MGFHash}} {
		given := method.child(part.element)
		if given == nil || (part.element == "MGF" && name == rsaOAEP1) {
			continue
		}
		hash, known := oaepHashes[given.attr("Algorithm")]
		if !known {
			return nil, endError{given.fault("%s is not taken: want SHA1, SHA256, SHA384 or SHA512", algorithm(given.attr("Algorithm")))}
		}
		*part.to = hash
	}
	if label := method.child("OAEPparams"); label != nil {
		var err error
		if options.Label, err = octets(label); err != nil {
			return nil, err
		}
	}
	plain, err := c.rsa.Decrypt(nil, text, options)
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}
