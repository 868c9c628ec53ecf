package token

import "bytes"

// People type codes on phones and Japanese keyboards: with a blank in the middle as apps show them, in full-width digits,
// with a hyphen. All of that is the same code. What is burnt is the step, never the spelling, so a tolerant reading opens
// nothing twice.

// gaps are what may stand in and around a typed code, as UTF-8.
var gaps = [...]string{
	" ", "\t", "\r", "\n",
	"\u00a0", "\u2009", "\u202f", "\u3000", // no-break, thin, narrow no-break and full-width blank
	"-", "\u2010", "\u2011", "\u2013", "\u2212", "\uff0d", // hyphens, dash, minus and full-width hyphen
}

// blanks are what may stand between two digits of a code that shares its field with a password: apps and input methods
// put these there, and fewer of them means fewer ways to read a password as a code.
var blanks = [...]string{" ", "\u00a0", "\u3000"}

// CleanCode gives the code that was typed: 6 to 8 ASCII digits, leading zeros kept. Full-width digits count as digits;
// blanks and hyphens in and around them are left out. ok is false where anything else was typed. code is part of text
// where it is plain digits with nothing between them, and a copy otherwise.
func CleanCode(text []byte) (code []byte, ok bool) {
	var digits [MaxDigits]byte
	n, start, end := 0, 0, 0
	for at := 0; at < len(text); {
		if d, size := firstDigit(text[at:]); size > 0 {
			if n == MaxDigits {
				return nil, false
			}
			if n == 0 {
				start = at
			}
			digits[n] = d
			n++
			at += size
			end = at
			continue
		}
		size := firstOf(text[at:], gaps[:])
		if size == 0 {
			return nil, false
		}
		at += size
	}
	if n < MinDigits {
		return nil, false
	}
	return codeOf(text[start:end], digits, n), true
}

// SplitLast takes the code of n digits off the end of text; rest is what stands before it, octet for octet. The digits may
// be full-width and single blanks may stand between them ("123 456"). ok is false where text does not end in such a code.
// code is part of text where it is plain digits, and a copy otherwise.
func SplitLast(text []byte, n int) (rest, code []byte, ok bool) {
	if n < MinDigits || n > MaxDigits {
		return text, nil, false
	}
	var digits [MaxDigits]byte
	at := len(text)
	for i := n - 1; i >= 0; i-- {
		if i < n-1 {
			at -= lastOf(text[:at], blanks[:])
		}
		d, size := lastDigit(text[:at])
		if size == 0 {
			return text, nil, false
		}
		digits[i] = d
		at -= size
	}
	return text[:at], codeOf(text[at:], digits, n), true
}

// SplitFirst takes the code of n digits off the beginning of text, as [SplitLast] does at the end.
func SplitFirst(text []byte, n int) (rest, code []byte, ok bool) {
	if n < MinDigits || n > MaxDigits {
		return text, nil, false
	}
	var digits [MaxDigits]byte
	at := 0
	for i := range n {
		if i > 0 {
			at += firstOf(text[at:], blanks[:])
		}
		d, size := firstDigit(text[at:])
		if size == 0 {
			return text, nil, false
		}
		digits[i] = d
		at += size
	}
	return text[at:], codeOf(text[:at], digits, n), true
}

// codeOf gives the digits: the text itself where it is nothing else, so that the usual login allocates nothing.
func codeOf(text []byte, digits [MaxDigits]byte, n int) []byte {
	if len(text) == n {
		return text[:n:n]
	}
	return bytes.Clone(digits[:n])
}

// Full-width digits are U+FF10 to U+FF19: EF BC 90 to EF BC 99.
const wide0, wide1, wide2 = 0xef, 0xbc, 0x90

func firstDigit(b []byte) (digit byte, size int) {
	if len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		return b[0], 1
	}
	if len(b) >= 3 && b[0] == wide0 && b[1] == wide1 && b[2] >= wide2 && b[2] <= wide2+9 {
		return '0' + b[2] - wide2, 3
	}
	return 0, 0
}

func lastDigit(b []byte) (digit byte, size int) {
	if n := len(b); n > 0 && b[n-1] >= '0' && b[n-1] <= '9' {
		return b[n-1], 1
	}
	if n := len(b); n >= 3 && b[n-3] == wide0 {
		return firstDigit(b[n-3:])
	}
	return 0, 0
}

func firstOf(b []byte, list []string) (size int) {
	for _, s := range list {
		if len(b) >= len(s) && string(b[:len(s)]) == s {
			return len(s)
		}
	}
	return 0
}

func lastOf(b []byte, list []string) (size int) {
	for _, s := range list {
		if len(b) >= len(s) && string(b[len(b)-len(s):]) == s {
			return len(s)
		}
	}
	return 0
}
