package authn

import (
	"context"
	"slices"
	"time"
)

// Directories are those of a site. The first is asked for names without a realm. Names and realms stand once.
type Directories []Branch

// Peek is [Directory].Peek for a name that was read, or [Peeker].PeekInto where the directory has it: u may be room then.
// With known and no user it is nobody's name.
func (ds Directories) Peek(r *NameReading, now time.Time, room *User) (u *User, known bool) {
	if r.Branch == nil {
		return nil, true
	}
	if p, ok := r.Branch.Directory.(Peeker); ok {
		found, known := p.PeekInto(r.Name, now, room)
		if !found {
			room = nil
		}
		return room, known
	}
	return r.Branch.Directory.Peek(r.Name, now)
}

// Lookup is [Directory].Lookup for a name that was read. Only the directory of its realm is asked, so that an outage of
// another one does not matter.
func (ds Directories) Lookup(ctx context.Context, r *NameReading) (*User, error) {
	if r.Branch == nil {
		return nil, r.Err()
	}
	return r.Branch.Directory.Lookup(ctx, r.Name)
}

// BindTime is that of the slowest directory that logins read by n can meet (S20). It is one value for all of them, so that
// the moment of a refusal does not tell which directory was asked, or whether any was.
func (ds Directories) BindTime(n *Names) time.Duration {
	var most time.Duration
	home := n.home(ds)
	for i := range ds {
		if b := &ds[i]; b == home || n.reaches(b) {
			most = max(most, b.Directory.BindTime())
		}
	}
	return most
}

// reaches reports whether a realm that n takes belongs to b.
func (n *Names) reaches(b *Branch) bool {
	if n.Strip == NoForm {
		return false
	}
	if len(n.Realms) == 0 {
		return true
	}
	taken := func(realm string) bool { return slices.Contains(n.Realms, realm) }
	return slices.ContainsFunc(b.Realms, taken) || slices.ContainsFunc(b.UPNSuffixes, taken)
}

func (ds Directories) first() *Branch {
	if len(ds) == 0 {
		return nil
	}
	return &ds[0]
}

// claimAny reports whether names have realms at this site at all.
func (ds Directories) claimAny() bool {
	for i := range ds {
		if len(ds[i].Realms)+len(ds[i].UPNSuffixes) > 0 {
			return true
		}
	}
	return false
}

// claims finds the directory of a realm; whole tells that the realm is part of the name there.
func (ds Directories) claims(realm []byte, form Forms) (b *Branch, whole bool) {
	same := func(s string) bool { return sameRealm(s, realm) }
	for i := range ds {
		switch {
		case slices.ContainsFunc(ds[i].Realms, same):
			return &ds[i], false
		case form == SuffixForm && slices.ContainsFunc(ds[i].UPNSuffixes, same):
			return &ds[i], true
		}
	}
	return nil, false
}
