package freeradius

import (
	"strings"

	"sekisho/authn"
)

// User is one entry of a users file that names a person.
type User struct {
	Line     int
	Name     string
	Password authn.Secret // empty: none was given
	Denied   bool         // Auth-Type := Reject
	Reply    []authn.Attribute
}

// ReadUsers reads the simple part of a users file: entries of a person's name, a Cleartext-Password or Auth-Type :=
// Reject, and reply attributes with =, := or +=. File names it in what is left over.
func ReadUsers(file, text string) (users []User, left []Left) {
	r := usersReader{file: file, seen: map[string]bool{}}
	for line := range strings.Lines(text) {
		r.line++
		words, problem := split(line)
		if problem != "" {
			r.leave("the line", problem)
			continue
		}
		if len(words) == 0 {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			r.reply(words)
		} else {
			r.begin(words)
		}
	}
	r.end()
	return r.users, r.left
}

type usersReader struct {
	file    string
	line    int
	seen    map[string]bool
	current *User // nil where an entry is left out as a whole
	skipped bool  // the lines of such an entry are no news
	users   []User
	left    []Left
}

func (r *usersReader) leave(what, why string) {
	r.left = append(r.left, Left{r.file, r.line, what, why})
}

func (r *usersReader) end() {
	if r.current != nil {
		r.users = append(r.users, *r.current)
	}
	r.current = nil
}

// skip leaves out an entry as a whole.
func (r *usersReader) skip(what, why string) {
	r.current, r.skipped = nil, true
	r.leave(what, why+"; the entry is left out")
}

// begin reads the first line of an entry: the name and what is checked.
func (r *usersReader) begin(words []word) {
	r.end()
	r.skipped = false
	name := words[0].text
	switch {
	case name == "DEFAULT" && !words[0].quoted:
		r.skip(name, "holds for everybody, which policies and reply rules do here")
		return
	case strings.HasPrefix(name, "$INCLUDE") && !words[0].quoted:
		r.skip(name, "name the included file to the command too")
		return
	case r.seen[name]:
		r.skip("user "+name, "stands twice")
		return
	}
	r.seen[name] = true
	r.current = &User{Line: r.line, Name: name}
	for _, item := range items(words[1:]) {
		if len(item) != 3 {
			r.skip("user "+name, "want ATTRIBUTE OPERATOR VALUE between commas")
			return
		}
		attribute, op, value := item[0].text, item[1].text, item[2].text
		switch {
		case strings.EqualFold(attribute, "Cleartext-Password") && (op == ":=" || op == "="):
			r.current.Password = authn.NewSecret([]byte(value))
		case strings.EqualFold(attribute, "Auth-Type") && op == ":=" && strings.EqualFold(value, "Reject"):
			r.current.Denied = true
		case strings.HasSuffix(strings.ToLower(attribute), "-password"):
			r.skip(attribute, "only Cleartext-Password can be taken; ask the person for a new password")
			return
		default:
			r.skip(attribute, "this check has to become a policy")
			return
		}
	}
}

// reply reads a line of reply attributes.
func (r *usersReader) reply(words []word) {
	if r.current == nil {
		if !r.skipped {
			r.leave(words[0].text, "belongs to no entry")
		}
		return
	}
	for _, item := range items(words) {
		switch {
		case len(item) != 3:
			r.leave(item[0].text, "want ATTRIBUTE OPERATOR VALUE between commas")
		case strings.EqualFold(item[0].text, "Fall-Through"):
			r.leave(item[0].text, "there are no further entries to look at")
		case item[1].text != "=" && item[1].text != ":=" && item[1].text != "+=":
			r.leave(item[0].text, "the operator "+item[1].text+" is not taken")
		case !item[2].quoted && strings.HasPrefix(item[2].text, "`") || strings.Contains(item[2].text, "%{"):
			r.leave(item[0].text, "its value is worked out there; write a reply rule")
		default:
			r.current.Reply = append(r.current.Reply, authn.Attribute{Name: item[0].text, Value: item[2].text})
		}
	}
}

// items cuts words at commas; empty pieces are none.
func items(words []word) [][]word {
	var all [][]word
	var item []word
	for _, w := range words {
		if !w.is(",") {
			item = append(item, w)
			continue
		}
		if len(item) > 0 {
			all = append(all, item)
		}
		item = nil
	}
	if len(item) > 0 {
		all = append(all, item)
	}
	return all
}
