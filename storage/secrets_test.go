package storage

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"testing"
)

// The one-shot HMACs are those of the standard library, for every split into parts and from many goroutines.
func TestMACs(t *testing.T) {
	s := &secrets{}
	_, _ = rand.Read(s.chain[:])
	text := make([]byte, 300)
	_, _ = rand.Read(text)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range text {
				h := hmac.New(sha256.New, s.chain[:])
				h.Write(text[:n])
				if got := s.mac(nil, &s.chain, text[:n/3], nil, text[n/3:n]); !bytes.Equal(got, h.Sum(nil)) {
					t.Errorf("%d octets: another HMAC", n)
					return
				}
			}
		})
	}
	all.Wait()
	room := make([]byte, 0, sha256.Size)
	if n := testing.AllocsPerRun(100, func() { s.mac(room, &s.chain, text) }); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}
