package radius

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

func nativeUint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

func putNativeUint32(b []byte, v uint32) { binary.NativeEndian.PutUint32(b, v) }

// putControlHeader writes a struct cmsghdr for size octets of data and gives where they begin. Its first field has the
// size of a pointer.
func putControlHeader(b []byte, level, typ, size int) int {
	n := unix.CmsgLen(size)
	if unix.SizeofPtr == 8 {
		binary.NativeEndian.PutUint64(b, uint64(n))
		putNativeUint32(b[8:], uint32(level))
		putNativeUint32(b[12:], uint32(typ))
	} else {
		putNativeUint32(b, uint32(n))
		putNativeUint32(b[4:], uint32(level))
		putNativeUint32(b[8:], uint32(typ))
	}
	return unix.CmsgLen(0)
}
