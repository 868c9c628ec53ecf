package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"sekisho/authn"
)

// FileConfig names the file of a file directory.
type FileConfig struct {
	// File is YAML with up to 1,000 users. It is read at start; a file that everybody may read is refused, because hashes of
	// passwords can be guessed at leisure. Required.
	File string `yaml:"file"`
}

const (
	maxFileUsers  = 1000
	maxFileOctets = 4 << 20
)

// fileUser is a user as the file has them.
type fileUser struct {
	Name     string   `yaml:"name"`
	ID       string   `yaml:"id"`       // default: the name; then a new name makes a new person
	Password string   `yaml:"password"` // argon2id in PHC form; empty: no password opens
	Groups   []string `yaml:"groups"`
	Mail     string   `yaml:"mail"`
	Disabled bool     `yaml:"disabled"`
}

// File is a directory from a file, for the demo and for break-glass accounts.
type File struct {
	name   string
	byName map[string]*authn.User
	hashes map[string]passwordHash // by id
	times  bindTimes
}

var _ authn.Directory = (*File)(nil)

// Check reads the file and reports its faults as OpenFile does.
func (c FileConfig) Check() error {
	_, err := OpenFile("", c)
	return err
}

// OpenFile reads a directory file; name is what [authn.User].Directory will say. All faults are reported at once, each
// with file, line and column.
func OpenFile(name string, c FileConfig) (*File, error) {
	if c.File == "" {
		return nil, errors.New("file: it is missing; name the YAML file with the users")
	}
	text, err := readPrivate(c.File, maxFileOctets)
	if err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	return parseFile(name, c.File, text)
}

// parseFile reads the text of a directory file.
func parseFile(name, path string, text []byte) (*File, error) {
	// The parser's own messages show the lines around a fault, which may hold a hash; so only place and message are taken.
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, yamlFault(path, err)
	}
	var content struct {
		Users []fileUser `yaml:"users"`
	}
	err = yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&content)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, yamlFault(path, err)
	}
	if len(content.Users) > maxFileUsers {
		return nil, fmt.Errorf("%s: %d users; a file directory takes %d, more belong into LDAP", path, len(content.Users), maxFileUsers)
	}
	f := &File{name: name, byName: make(map[string]*authn.User), hashes: make(map[string]passwordHash)}
	var faults []error
	for i, fu := range content.Users {
		for _, fault := range f.add(fu) {
			faults = append(faults, fmt.Errorf("%s: users[%d]: %w", placeOf(path, tree, i, fault.key), i, fault.err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return f, nil
}

// fileFault is what is wrong with one key of a user.
type fileFault struct {
	key string
	err error
}

func (f *File) add(fu fileUser) (faults []fileFault) {
	fault := func(key string, err error) { faults = append(faults, fileFault{key, err}) }

	folded, err := foldName([]byte(fu.Name))
	if err != nil {
		_, why, _ := strings.Cut(err.Error(), ": ")
		fault("name", errors.New(why))
		return faults
	}
	key := foldCase(folded)
	if f.byName[key] != nil {
		fault("name", errors.New("another user has the same name; names are compared without case and width"))
	}
	id := orDefault(fu.ID, key)
	if len(id) > maxID && fu.ID != "" {
		fault("id", fmt.Errorf("it has more than %d octets", maxID))
	}
	if _, taken := f.hashes[id]; taken {
		fault("id", errors.New("another user has the same id; an id belongs to one person for ever"))
	}
	var hash passwordHash
	if fu.Password != "" {
		if hash, err = parseHash(fu.Password); err != nil {
			fault("password", err)
		}
	}
	u := &authn.User{Directory: f.name, ID: id, Name: strings.TrimSpace(fu.Name)}
	for _, g := range fu.Groups {
		if g = FoldGroup(g); g != "" && !slices.Contains(u.Groups, g) {
			u.Groups = append(u.Groups, g)
		}
	}
	slices.Sort(u.Groups)
	if fu.Disabled {
		u.Barred = authn.UserDisabled
	}
	f.byName[key], f.hashes[id] = u, hash
	return faults
}

// yamlFault gives place and message of a fault that the YAML library found, without the lines around it.
func yamlFault(path string, err error) error {
	var fault yaml.Error
	if errors.As(err, &fault) && fault.GetToken() != nil && fault.GetToken().Position != nil {
		at := fault.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", path, at.Line, at.Column, fault.GetMessage())
	}
	return fmt.Errorf("%s: not YAML that can be read", path)
}

// placeOf finds where a key of a user stands, or the user where the key is missing.
func placeOf(path string, tree *ast.File, user int, key string) string {
	for _, at := range []string{fmt.Sprintf("$.users[%d].%s", user, key), fmt.Sprintf("$.users[%d]", user)} {
		p, err := yaml.PathString(at)
		if err != nil {
			continue
		}
		if node, err := p.FilterFile(tree); err == nil && node != nil && node.GetToken() != nil {
			pos := node.GetToken().Position
			return fmt.Sprintf("%s:%d:%d", path, pos.Line, pos.Column)
		}
	}
	return path
}

// Peek answers always for users of the file. The user is shared: nobody may change it.
func (f *File) Peek(name []byte, _ time.Time) (*authn.User, bool) {
	folded, err := foldName(name)
	if err != nil {
		return nil, false
	}
	u := f.byName[foldCase(folded)]
	return u, u != nil
}

// Lookup finds a user, without regard to case, width and blanks around the name.
func (f *File) Lookup(_ context.Context, name []byte) (*authn.User, error) {
	folded, err := foldName(name)
	if err != nil {
		return nil, err
	}
	if u := f.byName[foldCase(folded)]; u != nil {
		return u, nil
	}
	return nil, authn.ErrUnknownUser
}

// Authenticate compares a password in constant time. Two are compared at once in the whole process; the others wait
// within their context.
func (f *File) Authenticate(ctx context.Context, u *authn.User, password authn.Secret) (authn.BindResult, error) {
	if u == nil || u.Directory != f.name {
		return authn.BindResult{}, fmt.Errorf("directory %s: the user is not one of its own", f.name)
	}
	if u.Barred != 0 {
		return authn.BindResult{Barred: u.Barred}, nil
	}
	hash := f.hashes[u.ID]
	if hopeless(password.Reveal()) || len(hash.sum) == 0 {
		return authn.BindResult{}, nil
	}
	began := time.Now()
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
	case <-ctx.Done():
		return authn.BindResult{}, fmt.Errorf("directory %s: waiting to compare a password: %w", f.name, ctx.Err())
	}
	ok := hash.matches(password.Reveal())
	now := time.Now()
	f.times.add(now, now.Sub(began))
	if err := ctx.Err(); err != nil {
		return authn.BindResult{}, fmt.Errorf("directory %s: comparing a password: %w", f.name, err)
	}
	return authn.BindResult{OK: ok}, nil
}

// BindTime is the 99th percentile of comparisons over the last 10 minutes, in steps of 250 ms upward (S20).
func (f *File) BindTime() time.Duration { return f.times.p99(time.Now()) }

// FailureLimit is 0: a file locks nobody.
func (f *File) FailureLimit() int { return 0 }
