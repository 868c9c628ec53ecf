package powercut

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"
)

// page is what a disk writes whole or not at all, in octets.
const page = 4096

// file is a file, a folder or a symbolic link, twice: as programs see it, and as it stands on the disk.
type file struct {
	id   uint64
	name string // the last one it got
	mode uint32 // with the bits of its type
	uid  uint32
	gid  uint32
	time time.Time // of the last change
	link string    // where a symbolic link points
	refs uint32    // names it has

	data  []byte             // what programs read
	disk  []byte             // what was synced
	dirty map[int64]struct{} // pages that differ, by number

	entries map[string]*file   // of a folder, as programs see it
	synced  map[string]*file   // of a folder, on the disk
	between []map[string]*file // what the folder was since then, oldest first
}

func (f *file) isDir() bool { return f.mode&syscall.S_IFMT == syscall.S_IFDIR }

// touch marks the pages of data[from:to] as not on the disk.
func (f *file) touch(from, to int64) {
	for p := from / page; p*page < to; p++ {
		f.dirty[p] = struct{}{}
	}
	f.time = time.Now()
}

func (f *file) write(b []byte, off int64) {
	end := off + int64(len(b))
	if old := int64(len(f.data)); end > old {
		f.data = append(f.data, make([]byte, end-old)...)
		if off > old {
			f.touch(old, off)
		}
	}
	copy(f.data[off:], b)
	f.touch(off, end)
}

func (f *file) resize(size int64) {
	old := int64(len(f.data))
	if size <= old {
		f.data = f.data[:size:size]
	} else {
		f.data = append(f.data, make([]byte, size-old)...)
	}
	f.touch(min(size, old), max(size, old, int64(len(f.disk))))
}

// sync brings the file's content, or a folder's names, to the disk.
func (f *file) sync() {
	if f.isDir() {
		f.synced, f.between = maps.Clone(f.entries), nil
		return
	}
	size := len(f.data)
	if size <= len(f.disk) {
		f.disk = f.disk[:size:size]
	} else {
		f.disk = append(f.disk, make([]byte, size-len(f.disk))...)
	}
	for p := range f.dirty {
		if at := p * page; at < int64(size) {
			copy(f.disk[at:min(at+page, int64(size))], f.data[at:])
		}
	}
	clear(f.dirty)
}

// changed is called after a folder's names changed.
func (f *file) changed() {
	f.between = append(f.between, maps.Clone(f.entries))
	f.time = time.Now()
}

// Loss is what a power cut takes.
type Loss int

const (
	// AllUnsynced takes everything that was not synced: content, sizes and names.
	AllUnsynced Loss = iota
	// SomePages takes some of it: of what was written since the last sync any pages may have reached the disk, in any
	// order, and of a folder's names any state since.
	SomePages
)

// disk is a tree of files.
type disk struct {
	root   *file
	lastID uint64
}

func newDisk() *disk {
	d := &disk{}
	d.root = d.file(syscall.S_IFDIR|0o700, 0, 0)
	return d
}

// file makes a file that has no name yet.
func (d *disk) file(mode, uid, gid uint32) *file {
	d.lastID++
	f := &file{id: d.lastID, mode: mode, uid: uid, gid: gid, time: time.Now(), dirty: map[int64]struct{}{}}
	if f.isDir() {
		f.entries, f.synced = map[string]*file{}, map[string]*file{}
	}
	return f
}

// syncAll brings everything to the disk, as sync(1) does.
func (d *disk) syncAll() {
	var all func(f *file)
	all = func(f *file) {
		f.sync()
		for _, c := range f.entries {
			all(c)
		}
	}
	all(d.root)
}

// cut gives the tree that is found when the power is back. choices are drawn for [SomePages] only.
func (d *disk) cut(loss Loss, choices *rand.Rand) *disk {
	after := &disk{lastID: d.lastID}
	known := map[*file]*file{} // a file with two names stays one
	var survive func(f *file, name string) *file
	survive = func(f *file, name string) *file {
		if g, ok := known[f]; ok {
			g.refs++
			return g
		}
		g := after.file(f.mode, f.uid, f.gid)
		g.name, g.time, g.link, g.refs = name, f.time, f.link, 1
		known[f] = g
		if f.isDir() {
			entries := f.synced
			if loss == SomePages && len(f.between) > 0 {
				entries = append([]map[string]*file{f.synced}, f.between...)[choices.IntN(len(f.between)+1)]
			}
			for _, n := range slices.Sorted(maps.Keys(entries)) {
				g.entries[n] = survive(entries[n], n)
			}
			g.synced = maps.Clone(g.entries)
		} else {
			g.disk = f.survivors(loss, choices)
			g.data = slices.Clone(g.disk)
		}
		return g
	}
	after.root = survive(d.root, "")
	return after
}

// survivors gives the content that is found after a cut.
func (f *file) survivors(loss Loss, choices *rand.Rand) []byte {
	left := slices.Clone(f.disk)
	if loss != SomePages {
		return left
	}
	size := int64(len(f.data))
	if size < int64(len(left)) && choices.IntN(2) == 0 {
		left = left[:size]
	}
	for _, p := range slices.Sorted(maps.Keys(f.dirty)) {
		at := p * page
		if at >= size || choices.IntN(2) == 0 {
			continue
		}
		end := min(at+page, size)
		if end > int64(len(left)) {
			left = append(left, make([]byte, end-int64(len(left)))...)
		}
		copy(left[at:end], f.data[at:end])
	}
	return left
}

// walOf says whether wal is SQLite's write-ahead log of the file named db.
func walOf(wal, db string) bool { return strings.TrimSuffix(wal, "-wal") == db && wal != db }
