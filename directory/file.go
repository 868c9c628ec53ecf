package directory

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sekisho/authn"
	"sekisho/internal/conf"
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

// fileContent is the file.
type fileContent struct {
	Users []fileUser `yaml:"users"`
}

// fileUser is a user as the file has them.
type fileUser struct {
	Name     string   `yaml:"name"`
	ID       string   `yaml:"id"`       // default: the name; then a new name makes a new person
	Password string   `yaml:"password"` // argon2id in PHC form; empty: no password opens
	Groups   []string `yaml:"groups"`
	Mail     string   `yaml:"mail"` // for notices; it becomes the attribute mail
	Disabled bool     `yaml:"disabled"`
	// Attributes are what else rules and mails know: name, reading, phone, language, department and names of your own, each
	// one value or a list.
	Attributes map[string][]string `yaml:"attributes"`
}

// File is a directory from a file, for the demo and for break-glass accounts.
type File struct {
	name   string
	byName map[string]*authn.User
	hashes map[string]passwordHash // by id
	times  bindTimes
}

var (
	_ authn.Directory = (*File)(nil)
	_ authn.Peeker    = (*File)(nil)
)

// Check reads the file and gives what is wrong with it; faults inside the file come as one, with their places.
func (c FileConfig) Check() Faults {
	if _, err := OpenFile("", c); err != nil {
		return Faults{{"file", err.Error(), "mend it and try again"}}
	}
	return nil
}

// OpenFile reads a directory file; name is what [authn.User].Directory will say. All faults of the file are reported at
// once, each with line, column and what to do.
func OpenFile(name string, c FileConfig) (*File, error) {
	if c.File == "" {
		return nil, errors.New("no file is named")
	}
	text, err := readPrivate(c.File)
	if err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	return parseFile(name, c.File, text)
}

// readPrivate reads a file that everybody else may neither read nor write.
func readPrivate(file string) ([]byte, error) {
	st, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	switch {
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", file)
	case st.Mode().Perm()&0o006 != 0:
		return nil, fmt.Errorf("%s is open to everybody (mode %04o); run: chmod 640 %[1]s", file, st.Mode().Perm())
	case st.Size() > maxFileOctets:
		return nil, fmt.Errorf("%s has %d octets, more than the %d it may have", file, st.Size(), maxFileOctets)
	}
	return os.ReadFile(file)
}

// parseFile reads the text of a directory file.
func parseFile(name, path string, text []byte) (*File, error) {
	var content fileContent
	doc := conf.Parse(&content, path, text)
	if n := len(content.Users); n > maxFileUsers {
		doc.Fault("users", fmt.Sprintf("there are %d users, more than the %d a file may have", n, maxFileUsers), "use LDAP for so many")
		return nil, doc.Err()
	}
	f := &File{name: name, byName: make(map[string]*authn.User), hashes: make(map[string]passwordHash)}
	for i, fu := range content.Users {
		f.add(fu, func(key, problem, advice string) { doc.Fault(fmt.Sprintf("users[%d].%s", i, key), problem, advice) })
	}
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return f, nil
}

// add takes a user in, or says what is wrong with them.
func (f *File) add(fu fileUser, fault func(key, problem, advice string)) {
	folded, err := foldName([]byte(fu.Name))
	if err != nil {
		_, why, _ := strings.Cut(err.Error(), ": ")
		fault("name", why, "give the name that the person types")
		return
	}
	key := authn.FoldCase(folded)
	if f.byName[key] != nil {
		fault("name", "another user has the same name", "give each their own; case and width of letters make no difference")
	}
	id := orDefault(fu.ID, key)
	if len(fu.ID) > maxID || !utf8.ValidString(fu.ID) {
		fault("id", fmt.Sprintf("it is not text of at most %d octets", maxID), "shorten it")
	}
	if _, taken := f.hashes[id]; taken {
		fault("id", "another user has the same id", "give each their own; tokens belong to the id, not to the name")
	}
	var hash passwordHash
	if fu.Password != "" {
		if hash, err = parseHash(fu.Password); err != nil {
			fault("password", err.Error(), "make one with the argon2 program or another that writes PHC strings")
		}
	}
	if _, err := mail.ParseAddress(fu.Mail); fu.Mail != "" && err != nil {
		fault("mail", "it is not a mail address", "write it like alice@example.com")
	}
	u := &authn.User{Directory: f.name, ID: id, Name: strings.TrimSpace(fu.Name), Attributes: fu.attributes(fault)}
	for _, g := range fu.Groups {
		if g = FoldGroup(g); g != "" {
			u.Groups = append(u.Groups, g)
		}
	}
	slices.Sort(u.Groups)
	u.Groups = slices.Compact(u.Groups)
	if fu.Disabled {
		u.Barred = authn.UserDisabled
	}
	f.byName[key], f.hashes[id] = u, hash
}

// attributes gives what is kept beside name and groups, or says what is wrong with it.
func (fu fileUser) attributes(fault func(key, problem, advice string)) map[string][]string {
	all := make(map[string][]string, len(fu.Attributes)+1)
	for name, values := range fu.Attributes {
		key := "attributes." + name
		if !mappedName.MatchString(name) {
			fault(key, "this is not a name that rules could use", "write up to 32 small letters, digits, - and _, a letter first")
		}
		if len(plainTexts(slices.Clone(values))) != len(values) {
			fault(key, fmt.Sprintf("not all of it is text of 1 to %d octets in a line, %d values at most", maxAttributeValue, maxAttributeValues),
				"shorten it")
		}
		all[name] = values
	}
	if len(all) > maxAttributes {
		fault("attributes", fmt.Sprintf("there are %d", len(all)), fmt.Sprintf("give %d at most", maxAttributes))
	}
	switch {
	case fu.Mail != "" && len(all["mail"]) > 0:
		fault("mail", "it stands under attributes too", "give it once")
	case fu.Mail != "":
		all["mail"] = []string{fu.Mail}
	}
	return all
}

// Peek answers always for users of the file. The user is shared: nobody may change it.
func (f *File) Peek(name []byte, _ time.Time) (*authn.User, bool) {
	folded, err := foldName(name)
	if err != nil {
		return nil, false
	}
	u := f.byName[authn.FoldCase(folded)]
	return u, u != nil
}

// PeekInto is Peek into the caller's room. Whoever is not in the file is nobody.
func (f *File) PeekInto(name []byte, _ time.Time, room *authn.User) (found, known bool) {
	var octets [authn.MaxName]byte
	folded, err := authn.AppendFolded(octets[:0], name)
	if err != nil {
		return false, true
	}
	u := f.byName[string(folded)]
	if u == nil {
		return false, true
	}
	*room = *u
	return true, true
}

// Lookup finds a user, without regard to case, width and blanks around the name.
func (f *File) Lookup(_ context.Context, name []byte) (*authn.User, error) {
	folded, err := foldName(name)
	if err != nil {
		return nil, err
	}
	if u := f.byName[authn.FoldCase(folded)]; u != nil {
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

// FailureLimit is zero: a file locks nobody.
func (f *File) FailureLimit() authn.Lockout { return authn.Lockout{} }
