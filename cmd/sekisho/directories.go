package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/directory"
	"sekisho/internal/conf"
	"sekisho/storage"
)

// DirectoryConfig says where users come from.
type DirectoryConfig struct {
	// Name is kept with each account, so that users of another directory are not taken for these. Default: the type.
	Name string `yaml:"name"`
	// Type is ldap, file, or none: no directory, where gateways check passwords themselves and users are those to whom
	// tokens were assigned. Required.
	Type string `yaml:"type"`
	// Realms whose users are here: EXAMPLE\user and user@example stand for user. Where no directory has any, names are never
	// taken apart; else a name of a realm that nobody claims is refused. Each of the further directories needs one, or a UPN
	// suffix. Default: none.
	Realms []string `yaml:"realms"`
	// UPNSuffixes stand behind an @ as realms do, but the directory is asked for the whole name, user@suffix: user_filter
	// has to compare an attribute that holds it, such as userPrincipalName or mail. Default: none.
	UPNSuffixes []string             `yaml:"upn_suffixes"`
	LDAP        directory.LDAPConfig `yaml:"ldap"`
	File        directory.FileConfig `yaml:"file"`
}

// directories gives the first directory and the further ones, to be changed in place.
func (c *Config) directories() []*DirectoryConfig {
	all := []*DirectoryConfig{&c.Directory}
	for i := range c.Directories {
		all = append(all, &c.Directories[i])
	}
	return all
}

// directoryKey is where the n-th of directories stands in the configuration.
func directoryKey(n int) string {
	if n == 0 {
		return "directory"
	}
	return "directories[" + strconv.Itoa(n-1) + "]"
}

func (c *Config) checkDirectories(doc *conf.Doc) (warnings []string) {
	names, realms := map[string]bool{}, map[string]string{}
	for n, d := range c.directories() {
		key := directoryKey(n)
		d.check(doc, key)
		if names[d.Name] && d.Name != "" {
			doc.Fault(key+".name", strconv.Quote(d.Name)+" is also the name of another directory", "give each a name of its own and never change it: accounts belong to it")
		}
		names[d.Name] = true
		for _, list := range []struct {
			key    string
			values []string
		}{{".realms", d.Realms}, {".upn_suffixes", d.UPNSuffixes}} {
			for i, text := range list.values {
				at := fmt.Sprintf("%s%s[%d]", key, list.key, i)
				realm, err := authn.FoldRealm(text)
				switch {
				case err != nil:
					doc.Fault(at, strconv.Quote(text)+" is no realm: "+err.Error(), `write what stands before the \ or behind the @, such as EXAMPLE or example.com`)
				case realms[realm] != "":
					doc.Fault(at, strconv.Quote(text)+" is claimed by "+realms[realm]+" too", "leave it where its users are")
				}
				realms[realm] = at
			}
		}
		if n > 0 && len(d.Realms)+len(d.UPNSuffixes) == 0 {
			doc.Fault(key+".realms", "is missing, so nobody of this directory could log in", "name the realms whose users it has")
		}
		if w := authn.LockoutWarning(max(0, d.LDAP.FailureLimit)); w != "" && d.Type == "ldap" && c.asksPasswords() {
			warnings = append(warnings, key+".ldap.failure_limit: "+w)
		}
	}
	c.checkNames(doc, realms)
	return append(warnings, c.checkPolicyDirectories(doc)...)
}

// checkPolicyDirectories wants policies to name directories that there are, and to ask nobody for a password that no
// directory knows.
func (c *Config) checkPolicyDirectories(doc *conf.Doc) (warnings []string) {
	for i, p := range c.Policies {
		key := fmt.Sprintf("policies[%d].", i)
		for j, name := range p.Directories {
			if !slices.ContainsFunc(c.directories(), func(d *DirectoryConfig) bool { return d.Name == name }) {
				doc.Fault(fmt.Sprintf("%sdirectories[%d]", key, j), "there is no directory "+strconv.Quote(name), "write the name of a directory, or its type where it has no other name")
			}
		}
		if p.Deny || p.FirstFactor != "password" {
			continue
		}
		var without []string
		known := false
		for _, d := range c.directories() {
			switch {
			case !p.isFor(d):
			case d.Type != "none":
				known = true
			case !slices.ContainsFunc(c.Policies[:i], func(q PolicyConfig) bool { return q.isForAllOf(d) }):
				without = append(without, d.Name)
			}
		}
		const advice = "set first_factor: pin or gateway"
		switch {
		case len(without) == 0:
		case !known:
			doc.Fault(key+"first_factor", "directory "+strings.Join(without, ", ")+" has no passwords", advice)
		default:
			warnings = append(warnings, fmt.Sprintf("policy %q asks users of directory %s for a password, which they do not have; put a policy with directories: [%[2]s] before it, and %s there",
				p.Name, strings.Join(without, ", "), advice))
		}
	}
	return warnings
}

// isFor tells whether the policy can hold for anybody of a directory. One of type none has no groups.
func (p PolicyConfig) isFor(d *DirectoryConfig) bool {
	return (len(p.Directories) == 0 || slices.Contains(p.Directories, d.Name)) &&
		(d.Type != "none" || len(p.Groups) == 0 || len(p.Users) > 0)
}

// isForAllOf tells whether the policy holds for everybody of a directory, so that none behind it does.
func (p PolicyConfig) isForAllOf(d *DirectoryConfig) bool {
	return p.isFor(d) && len(p.Clients)+len(p.Groups)+len(p.Users) == 0
}

// checkNames wants every realm that a client names to have a directory; claimed tells where each realm was given.
func (c *Config) checkNames(doc *conf.Doc, claimed map[string]string) {
	for i, cl := range c.Radius.Clients {
		key := fmt.Sprintf("radius.clients[%d].names.", i)
		known := func(at, text string, suffixes bool) {
			realm, err := authn.FoldRealm(text)
			where, ok := claimed[realm]
			switch {
			case err != nil: // the section's own check tells
			case !ok:
				doc.Fault(at, "no directory claims the realm "+strconv.Quote(text), "add it to the realms of the directory that has its users")
			case !suffixes && strings.Contains(where, ".upn_suffixes["):
				doc.Fault(at, strconv.Quote(text)+" is a UPN suffix, which belongs to the name", "name one of the directory's realms")
			}
		}
		for j, text := range cl.Names.Realms {
			known(fmt.Sprintf("%srealms[%d]", key, j), text, true)
		}
		if cl.Names.DefaultRealm != "" {
			known(key+"default_realm", cl.Names.DefaultRealm, false)
		}
	}
}

// check reports what is wrong with one directory.
func (d *DirectoryConfig) check(doc *conf.Doc, key string) {
	var faults directory.Faults
	switch d.Type {
	case "ldap":
		faults = d.LDAP.Check()
	case "file":
		faults = d.File.Check()
	case "none":
	default:
		oneOf(doc, key+".type", d.Type, "ldap", "file", "none")
	}
	for _, f := range faults {
		doc.Fault(key+"."+d.Type+"."+f.Key, f.Problem, f.Advice)
	}
}

// asksPasswords tells whether any login is checked by a directory.
func (c *Config) asksPasswords() bool {
	return slices.ContainsFunc(c.Policies, func(p PolicyConfig) bool { return !p.Deny && p.FirstFactor == "password" })
}

// onlyType tells whether all directories are of these types.
func (c *Config) onlyType(types ...string) bool {
	return !slices.ContainsFunc(c.directories(), func(d *DirectoryConfig) bool { return !slices.Contains(types, d.Type) })
}

var errDirectoryType = errors.New("its type is none of ldap, file, none")

// openDirectories opens every directory of the configuration; after an error none stays open.
func (c *Config) openDirectories(db *storage.DB) (authn.Directories, error) {
	var all authn.Directories
	for _, d := range c.directories() {
		b := authn.Branch{Name: d.Name, Realms: foldRealms(d.Realms), UPNSuffixes: foldRealms(d.UPNSuffixes)}
		var err error
		switch d.Type {
		case "ldap":
			b.Directory, err = directory.OpenLDAP(d.Name, d.LDAP)
		case "file":
			b.Directory, err = directory.OpenFile(d.Name, d.File)
		case "none":
			b.Directory = db.Directory(d.Name)
		default:
			err = errDirectoryType
		}
		if err != nil {
			closeDirectories(all)
			return nil, fmt.Errorf("opening directory %s: %w", d.Name, err)
		}
		all = append(all, b)
	}
	return all, nil
}

func closeDirectories(all authn.Directories) {
	for _, b := range all {
		if d, ok := b.Directory.(interface{ Close() }); ok {
			d.Close()
		}
	}
}

// directoryHealth tells in words how the servers of a directory are; usable while one of them is not known to be down.
func directoryHealth(d authn.Directory) (words string, usable bool) {
	l, ok := d.(*directory.LDAP)
	if !ok {
		return "ok", true
	}
	servers := l.Health()
	var down []string
	for _, s := range servers {
		if s.Down {
			down = append(down, fmt.Sprintf("%s is down since %s: %v", s.URL, s.Since.UTC().Format(time.RFC3339), s.Err))
		}
	}
	if len(down) == 0 {
		return "ok", true
	}
	return fmt.Sprintf("%d of %d servers answer; %s", len(servers)-len(down), len(servers), strings.Join(down, "; ")), len(down) < len(servers)
}

// foldRealms brings realms of a configuration that was checked into the form in which they are compared.
func foldRealms(realms []string) []string {
	folded := make([]string, len(realms))
	for i, r := range realms {
		folded[i], _ = authn.FoldRealm(r)
	}
	return folded
}

// lockouts watches the directories' lockout thresholds, which are learnt some time after the start where the configuration
// does not give them.
type lockouts map[string]int

// look gives a sentence for each directory whose threshold has changed and is too low.
func (l lockouts) look(all authn.Directories) (warnings []string) {
	for _, b := range all {
		now := b.Directory.FailureLimit().Wrong
		if was, known := l[b.Name]; known && was == now {
			continue
		}
		l[b.Name] = now
		if w := authn.LockoutWarning(now); w != "" {
			warnings = append(warnings, "directory "+b.Name+": "+w)
		}
	}
	return warnings
}
