package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificates are files in PEM form, readable by everybody, because servers under test give up their rights before they
// read them. They hold ECDSA P-256 keys and are valid for a day.
type Certificates struct {
	Dir        string
	CA         string // signed both
	ServerCert string // server.lab.test, localhost, 127.0.0.1, ::1, 198.18.7.1
	ServerKey  string
	ClientCert string // client.lab.test
	ClientKey  string
}

// PKI makes a throw-away certificate authority, a server certificate and a client certificate.
func PKI(t testing.TB) *Certificates {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := &Certificates{Dir: dir}
	ca := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Lab"}, CommonName: "Lab CA"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	caKey := newKey(t)
	c.CA, _ = writeCert(t, dir, "ca", ca, ca, caKey, nil)
	leaf := func(name string, hosts []string, ips ...net.IP) (cert, key string) {
		return writeCert(t, dir, name, &x509.Certificate{
			Subject:     pkix.Name{Organization: []string{"Lab"}, CommonName: hosts[0]},
			DNSNames:    hosts,
			IPAddresses: ips,
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, ca, newKey(t), caKey)
	}
	c.ServerCert, c.ServerKey = leaf("server", []string{"server.lab.test", "localhost"},
		net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.IPv4(198, 18, 7, 1))
	c.ClientCert, c.ClientKey = leaf("client", []string{"client.lab.test"})
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// writeCert signs a certificate with the issuer's key, or with its own where there is none, and writes both files.
func writeCert(t testing.TB, dir, name string, c, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) (cert, keyFile string) {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = serial
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if issuerKey == nil {
		issuerKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", keyDER)
	return cert, keyFile
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
}
