package radius

import (
	"bytes"
	"testing"
)

// TestOddAttributes: a gateway may have its own idea of any attribute but those that bear the proof or the form of the
// packet. A wrong length or value is that attribute's alone (RFC 6929 section 2.8): the login goes on, with name and
// password as they were sent.
func TestOddAttributes(t *testing.T) {
	own := map[byte]bool{attrMessageAuth: true, 1: true, 2: true, 3: true, 24: true, 60: true, 70: true, 79: true}
	values := [][]byte{{}, {0}, {0xff, 0xff, 0xff}, {0, 0, 0, 200}, {0, 0, 1, 55, 26, 200}, bytes.Repeat([]byte{0}, 16), bytes.Repeat([]byte{0xff}, 253)}
	for typ := 1; typ < 256; typ++ {
		if own[byte(typ)] {
			continue
		}
		r := newRig(t, accept)
		for i, v := range values {
			for _, times := range []int{1, 2} {
				b := pap(byte(i*2+times), "open sesame")
				for range times {
					b = rawAttr(b, byte(typ), v)
				}
				answers := r.deliver(authPort, sign(b, testSecret, headerLen+2))
				if len(answers) != 1 || answers[0][0] != byte(AccessAccept) {
					t.Fatalf("attribute %d as %x, %d times: %d answers; log:\n%s", typ, v, times, len(answers), r.log)
				}
			}
		}
		for _, l := range r.auth.seen() {
			if string(l.Name) != "nemo" || string(l.Text.Reveal()) != "open sesame" {
				t.Fatalf("attribute %d: the login is of %q", typ, l.Name)
			}
		}
	}
}
