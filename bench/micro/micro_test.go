// Package micro measures the pieces of one login.
package micro

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding"
	"encoding/binary"
	"testing"
	"time"

	"sekisho/bench/internal/otpgen"
	"sekisho/bench/internal/rad"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"layeh.com/radius"
	"layeh.com/radius/rfc2759"
	"layeh.com/radius/rfc2865"
)

var secret = []byte("testing123")

func request() []byte {
	c := rad.NewCtx(secret)
	a := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	b := rad.Begin(nil, rad.CodeRequest, 7, &a)
	b = rad.AppendAttr(b, rad.AttrUserName, []byte("user000001"))
	b = rad.AppendAttr(b, rad.AttrNASIPAddress, []byte{127, 0, 0, 1})
	b = c.AppendPAP(b, &a, []byte("password12123456"))
	c.FinishRequest(b)
	return b
}

func BenchmarkHMACMD5New(b *testing.B) {
	p := request()
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		m := hmac.New(md5.New, secret)
		m.Write(p)
		m.Sum(nil)
	}
}

func BenchmarkHMACMD5Reset(b *testing.B) {
	p := request()
	m := hmac.New(md5.New, secret)
	var s [16]byte
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		m.Reset()
		m.Write(p)
		m.Sum(s[:0])
	}
}

func BenchmarkMD5Response(b *testing.B) {
	p := request()[:38]
	var s [16]byte
	h := md5.New()
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		h.Reset()
		h.Write(p)
		h.Write(secret)
		h.Sum(s[:0])
	}
}

func BenchmarkUnhidePAP16(b *testing.B) {
	p := request()
	c := rad.NewCtx(secret)
	h := rad.Find(p, rad.AttrUserPassword)
	var d [128]byte
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		c.UnhidePAP(d[:0], p[4:20], h)
	}
}

// All RADIUS crypto of one login, allocation-free.
func BenchmarkVerifyUnhideSign(b *testing.B) {
	p := request()
	c := rad.NewCtx(secret)
	m := hmac.New(md5.New, secret)
	var s, got [16]byte
	var d [128]byte
	out := make([]byte, 0, 256)
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		ma := rad.Find(p, rad.AttrMsgAuth)
		copy(got[:], ma)
		clear(ma)
		m.Reset()
		m.Write(p)
		if !hmac.Equal(m.Sum(s[:0]), got[:]) {
			b.Fatal()
		}
		copy(ma, got[:])
		c.UnhidePAP(d[:0], p[4:20], rad.Find(p, rad.AttrUserPassword))
		var a [16]byte
		copy(a[:], p[4:20])
		out = rad.Begin(out, rad.CodeAccept, p[1], &a)
		c.SignResponse(out, a[:])
	}
}

func BenchmarkLayehParse(b *testing.B) {
	p := request()
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		if _, err := radius.Parse(p, secret); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLayehIsAuthenticRequest(b *testing.B) {
	p := request()
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		radius.IsAuthenticRequest(p, secret)
	}
}

func BenchmarkLayehResponseEncode(b *testing.B) {
	p, _ := radius.Parse(request(), secret)
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		if _, err := p.Response(radius.CodeAccessAccept).Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLayehGetNamePassword(b *testing.B) {
	p, _ := radius.Parse(request(), secret)
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		rfc2865.UserName_GetString(p)
		rfc2865.UserPassword_GetString(p)
	}
}

func BenchmarkMSCHAPv2Verify(b *testing.B) {
	ac, pc := make([]byte, 16), make([]byte, 16)
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		nt, _ := rfc2759.GenerateNTResponse(ac, pc, []byte("user000001"), []byte("123456"))
		rfc2759.GenerateAuthenticatorResponse(ac, pc, nt, []byte("user000001"), []byte("123456"))
	}
}

func BenchmarkPquernaValidateSkew1(b *testing.B) {
	u := otpgen.Derive("bench", 1)
	s := u.SecretBase32()
	t := time.Now()
	code, _ := totp.GenerateCode(s, t)
	o := totp.ValidateOpts{Period: 30, Skew: 1, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
	b.Run("current", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; i < b.N; i++ {
			totp.ValidateCustom(code, s, t, o)
		}
	})
	b.Run("wrong", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; i < b.N; i++ {
			totp.ValidateCustom("000000", s, t, o)
		}
	})
}

func BenchmarkCandidateHMACNew(b *testing.B) {
	u := otpgen.Derive("bench", 1)
	var m [8]byte
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		binary.BigEndian.PutUint64(m[:], uint64(i))
		h := hmac.New(sha1.New, u.Secret[:])
		h.Write(m[:])
		h.Sum(nil)
	}
}

// One hmac for a token, reset for each further candidate.
func BenchmarkCandidateHMACReset(b *testing.B) {
	u := otpgen.Derive("bench", 1)
	var m [8]byte
	var s [20]byte
	h := hmac.New(sha1.New, u.Secret[:])
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		binary.BigEndian.PutUint64(m[:], uint64(i))
		h.Reset()
		h.Write(m[:])
		h.Sum(s[:0])
	}
}

// Key pads hashed for each candidate, no allocation.
func BenchmarkCandidateOwn(b *testing.B) {
	c := otpgen.NewCoder()
	u := otpgen.Derive("bench", 1)
	var d [8]byte
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		c.Append(d[:0], u.Secret[:], uint64(i), 6)
	}
}

// The two pad states kept for each token (2x96 bytes) and restored.
func BenchmarkCandidateRestored(b *testing.B) {
	u := otpgen.Derive("bench", 1)
	st := func(x byte) []byte {
		var pad [64]byte
		copy(pad[:], u.Secret[:])
		for i := range pad {
			pad[i] ^= x
		}
		h := sha1.New()
		h.Write(pad[:])
		s, _ := h.(encoding.BinaryMarshaler).MarshalBinary()
		return s
	}
	in, out := st(0x36), st(0x5c)
	h := sha1.New()
	r := h.(encoding.BinaryUnmarshaler)
	var m [8]byte
	var s, s2 [20]byte
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		binary.BigEndian.PutUint64(m[:], uint64(i))
		r.UnmarshalBinary(in)
		h.Write(m[:])
		h.Sum(s[:0])
		r.UnmarshalBinary(out)
		h.Write(s[:])
		h.Sum(s2[:0])
	}
}

func BenchmarkMapLookup1M(b *testing.B) {
	m := make(map[string]*int, 1000000)
	names := make([][]byte, 1000000)
	for i := range names {
		n := otpgen.Name(i)
		names[i] = []byte(n)
		m[n] = new(int)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if m[string(names[(i*7919)%1000000])] == nil {
			b.Fatal()
		}
	}
}
