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
	} else {
		putNativeUint32(b, uint32(n))
	}
	putNativeUint32(b[unix.SizeofPtr:], uint32(level))
	putNativeUint32(b[unix.SizeofPtr+4:], uint32(typ))
	return unix.CmsgLen(0)
}

// nextControl takes one control message off ancillary data as the kernel wrote it.
func nextControl(b []byte) (level, typ int, data, rest []byte, ok bool) {
	if len(b) < unix.CmsgLen(0) {
		return 0, 0, nil, nil, false
	}
	n := uint64(nativeUint32(b))
	if unix.SizeofPtr == 8 {
		n = binary.NativeEndian.Uint64(b)
	}
	if n < uint64(unix.CmsgLen(0)) || n > uint64(len(b)) {
		return 0, 0, nil, nil, false
	}
	level, typ = int(nativeUint32(b[unix.SizeofPtr:])), int(nativeUint32(b[unix.SizeofPtr+4:]))
	data = b[unix.CmsgLen(0):n]
	return level, typ, data, b[min(unix.CmsgSpace(len(data)), len(b)):], true
}
