package token

import (
	"crypto/cipher"
	"crypto/sha1" // the checksum of RFC 3217
	"crypto/subtle"
	"encoding/binary"
	"slices"
)

// Key wrap: AES (RFC 3394), AES with padding (RFC 5649) and 3DES (RFC 3217). A wrapped value shows by itself whether the key
// is right and nothing was changed.

const (
	wrapVector       uint64 = 0xa6a6a6a6a6a6a6a6 // RFC 3394 §2.2.3.1
	paddedWrapPrefix uint32 = 0xa65959a6         // RFC 5649 §3; the length of the text follows
)

// tdesWrapVector is that of the outer encryption (RFC 3217 §3.1).
var tdesWrapVector = []byte{0x4a, 0xdd, 0xa2, 0x2c, 0x79, 0xe8, 0x21, 0x05}

// unwrapAES undoes RFC 3394 §2.2.2. The text is whole half-blocks of 8 octets, three at least.
func unwrapAES(b cipher.Block, text []byte) ([]byte, error) {
	if len(text) < 24 || len(text)%8 != 0 {
		return nil, errSealed
	}
	vector, plain := unwrapRounds(b, text)
	if subtle.ConstantTimeCompare(octetsOf(vector), octetsOf(wrapVector)) != 1 {
		clear(plain)
		return nil, errSealed
	}
	return plain, nil
}

// unwrapPadded undoes RFC 5649 §4.2.
func unwrapPadded(b cipher.Block, text []byte) ([]byte, error) {
	if len(text) < 16 || len(text)%8 != 0 {
		return nil, errSealed
	}
	var vector uint64
	var plain []byte
	if len(text) == 16 {
		block := make([]byte, 16)
		b.Decrypt(block, text)
		vector, plain = binary.BigEndian.Uint64(block), block[8:]
	} else {
		vector, plain = unwrapRounds(b, text)
	}
	n := int(uint32(vector))
	if uint32(vector>>32) != paddedWrapPrefix || n > len(plain) || n <= len(plain)-8 ||
		subtle.ConstantTimeCompare(plain[n:], make([]byte, len(plain)-n)) != 1 {
		clear(plain)
		return nil, errSealed
	}
	return plain[:n], nil
}

// unwrapRounds is the index form of RFC 3394 §2.2.2: six passes over the half-blocks, backwards.
func unwrapRounds(b cipher.Block, text []byte) (vector uint64, plain []byte) {
	vector, plain = binary.BigEndian.Uint64(text), slices.Clone(text[8:])
	n := len(plain) / 8
	block := make([]byte, 16)
	defer clear(block)
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			half := plain[8*(i-1) : 8*i]
			binary.BigEndian.PutUint64(block, vector^uint64(n*j+i))
			copy(block[8:], half)
			b.Decrypt(block, block)
			vector = binary.BigEndian.Uint64(block)
			copy(half, block[8:])
		}
	}
	return vector, plain
}

// unwrapTDES undoes RFC 3217 §3.2, for a text of any length in whole blocks, as XML encryption §5.6.2 has it. The parity of
// what comes out is not looked at: it is a seed and no DES key.
func unwrapTDES(b cipher.Block, text []byte) ([]byte, error) {
	const block = 8
	if len(text) < 4*block || len(text)%block != 0 {
		return nil, errSealed
	}
	outer := make([]byte, len(text))
	defer clear(outer)
	cipher.NewCBCDecrypter(b, tdesWrapVector).CryptBlocks(outer, text)
	slices.Reverse(outer)
	plain := make([]byte, len(outer)-block)
	cipher.NewCBCDecrypter(b, outer[:block]).CryptBlocks(plain, outer[block:])
	seed := plain[:len(plain)-block]
	sum := sha1.Sum(seed)
	if subtle.ConstantTimeCompare(sum[:block], plain[len(seed):]) != 1 {
		clear(plain)
		return nil, errSealed
	}
	return seed, nil
}

func octetsOf(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
