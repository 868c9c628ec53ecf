package powercut

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node answers the kernel for one file. Everything happens under the file system's lock: one disk, one head.
type node struct {
	fs.Inode
	fs   *FS
	file *file
}

var _ interface {
	fs.NodeLookuper
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeReaddirer
	fs.NodeMkdirer
	fs.NodeCreater
	fs.NodeOpener
	fs.NodeReader
	fs.NodeWriter
	fs.NodeFsyncer
	fs.NodeAllocater
	fs.NodeUnlinker
	fs.NodeRmdirer
	fs.NodeRenamer
	fs.NodeLinker
	fs.NodeSymlinker
	fs.NodeReadlinker
	fs.NodeStatfser
} = (*node)(nil)

// lock takes the file system's lock; the caller defers the unlock.
func (n *node) lock() func() {
	n.fs.mu.Lock()
	return n.fs.mu.Unlock
}

func (f *file) attr(out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink = f.id, f.mode, max(f.refs, 1)
	out.Size = uint64(len(f.data))
	out.Blocks, out.Blksize = (out.Size+511)/512, page
	out.Uid, out.Gid = f.uid, f.gid
	out.SetTimes(&f.time, &f.time, &f.time)
}

// child gives the kernel's handle of a file below this folder.
func (n *node) child(ctx context.Context, f *file, out *fuse.EntryOut) *fs.Inode {
	f.attr(&out.Attr)
	return n.NewInode(ctx, &node{fs: n.fs, file: f}, fs.StableAttr{Mode: f.mode & syscall.S_IFMT, Ino: f.id})
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	defer n.lock()()
	if e := n.fs.may(false); e != 0 {
		return nil, e
	}
	f, ok := n.file.entries[name]
	if !ok {
		return nil, syscall.ENOENT
	}
	return n.child(ctx, f, out), 0
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	defer n.lock()()
	if e := n.fs.may(false); e != 0 {
		return e
	}
	n.file.attr(&out.Attr)
	return 0
}

func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	defer n.lock()()
	if e := n.fs.may(true); e != 0 {
		return e
	}
	if size, ok := in.GetSize(); ok {
		if e := n.fs.resize(n.file, int64(size)); e != 0 {
			return e
		}
	}
	if mode, ok := in.GetMode(); ok {
		n.file.mode = n.file.mode&syscall.S_IFMT | mode&0o7777
	}
	if uid, ok := in.GetUID(); ok {
		n.file.uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		n.file.gid = gid
	}
	if at, ok := in.GetMTime(); ok {
		n.file.time = at
	}
	n.file.attr(&out.Attr)
	return 0
}

func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	defer n.lock()()
	if e := n.fs.may(false); e != 0 {
		return nil, e
	}
	var list []fuse.DirEntry
	for name, f := range n.file.entries {
		list = append(list, fuse.DirEntry{Name: name, Mode: f.mode, Ino: f.id})
	}
	return fs.NewListDirStream(list), 0
}

// add gives a new or known file a name in this folder.
func (n *node) add(name string, f *file) {
	f.name = name
	f.refs++
	n.file.entries[name] = f
	n.file.changed()
}

// make makes a file with a name in this folder.
func (n *node) make(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*file, *fs.Inode, syscall.Errno) {
	if e := n.fs.may(true); e != 0 {
		return nil, nil, e
	}
	if e := n.fs.faults.Write; e != 0 {
		return nil, nil, e
	}
	var uid, gid uint32
	if caller, ok := fuse.FromContext(ctx); ok {
		uid, gid = caller.Uid, caller.Gid
	}
	f := n.fs.disk.file(mode, uid, gid)
	n.add(name, f)
	return f, n.child(ctx, f, out), 0
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	defer n.lock()()
	_, inode, e := n.make(ctx, name, syscall.S_IFDIR|mode&0o7777, out)
	return inode, e
}

func (n *node) Create(ctx context.Context, name string, _, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	defer n.lock()()
	_, inode, e := n.make(ctx, name, syscall.S_IFREG|mode&0o7777, out)
	return inode, nil, fuse.FOPEN_KEEP_CACHE, e
}

func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	defer n.lock()()
	f, inode, e := n.make(ctx, name, syscall.S_IFLNK|0o777, out)
	if e == 0 {
		f.link = target
	}
	return inode, e
}

func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) {
	defer n.lock()()
	return []byte(n.file.link), n.fs.may(false)
}

func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	defer n.lock()()
	if e := n.fs.may(true); e != 0 {
		return nil, e
	}
	f := target.(*node).file
	old := f.name
	n.add(name, f)
	f.name = old
	return n.child(ctx, f, out), 0
}

func (n *node) remove(name string) syscall.Errno {
	if e := n.fs.may(true); e != 0 {
		return e
	}
	f, ok := n.file.entries[name]
	switch {
	case !ok:
		return syscall.ENOENT
	case len(f.entries) > 0:
		return syscall.ENOTEMPTY
	}
	f.refs--
	delete(n.file.entries, name)
	n.file.changed()
	return 0
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	defer n.lock()()
	return n.remove(name)
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	defer n.lock()()
	return n.remove(name)
}

func (n *node) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	defer n.lock()()
	if e := n.fs.may(true); e != 0 {
		return e
	}
	if flags != 0 {
		return syscall.EINVAL // exchange and whiteout: nobody asks for them here
	}
	target := to.(*node)
	f, ok := n.file.entries[name]
	if !ok {
		return syscall.ENOENT
	}
	if there, ok := target.file.entries[newName]; ok {
		if len(there.entries) > 0 {
			return syscall.ENOTEMPTY
		}
		there.refs--
	}
	// One folder's change is one step: after a cut the file has the old name or the new one.
	delete(n.file.entries, name)
	f.name = newName
	target.file.entries[newName] = f
	n.file.changed()
	if target.file != n.file {
		target.file.changed()
	}
	return 0
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	defer n.lock()()
	writes := flags&syscall.O_ACCMODE != syscall.O_RDONLY
	return nil, fuse.FOPEN_KEEP_CACHE, n.fs.may(writes)
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	defer n.lock()()
	if e := n.fs.may(false); e != 0 {
		return nil, e
	}
	if off >= int64(len(n.file.data)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, n.file.data[off:])]), 0
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	defer n.lock()()
	written, e := n.fs.write(n.file, data, off)
	return uint32(written), e
}

func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	defer n.lock()()
	return n.fs.sync(n.file)
}

func (n *node) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	defer n.lock()()
	if mode != 0 {
		return syscall.EOPNOTSUPP
	}
	if end := int64(off + size); end > int64(len(n.file.data)) {
		return n.fs.resize(n.file, end)
	}
	return n.fs.may(true)
}

// Statfs tells of much room, or of none while writes fail for want of it.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	defer n.lock()()
	out.Bsize, out.Frsize, out.NameLen = page, page, 255
	out.Blocks, out.Files, out.Ffree = 1<<24, 1<<20, 1<<20
	out.Bfree = 1 << 23
	if n.fs.faults.Write == syscall.ENOSPC || n.fs.faults.Short {
		out.Bfree = 0
	}
	out.Bavail = out.Bfree
	return n.fs.may(false)
}
