package authn

import (
	"fmt"
	"strings"
	"unicode"
)

// Steps tells in sentences how a name was read, for the people who set up names and gateways. typed is what was typed, n
// the rules it was read by. What is quoted is printable.
func (r *NameReading) Steps(ds Directories, n *Names, typed []byte) []string {
	if r.fault != nil {
		_, why, _ := strings.Cut(r.fault.Error(), ": ")
		return []string{"No directory is asked: " + why + "."}
	}
	var steps []string
	say := func(format string, a ...any) { steps = append(steps, fmt.Sprintf(format, a...)) }
	if string(typed) != string(r.folded) {
		say("Blanks around a name and the width of letters make no difference: it is read as %s.", legible(r.folded))
	}
	switch {
	case !ds.claimAny():
		say("No directory claims a realm, so the name is not taken apart.")
	case r.form == PrefixForm:
		say(`What stands before the \ is the realm: %s.`, legible(r.realm))
	case r.form == SuffixForm:
		say("What stands behind the @ is the realm: %s.", legible(r.realm))
	case r.why == twoRealms:
	case n.Strip == NoForm:
		say("This client takes no name apart.")
	default:
		say("It has no realm.")
	}
	if r.Branch == nil {
		say("No directory is asked: %s.", r.refusal())
		return steps
	}
	switch {
	case r.form == NoForm && n.Default != "":
		say("Names without a realm belong to %s at this client.", legible([]byte(n.Default)))
	case r.form == NoForm && len(ds) > 1:
		say("Names without a realm belong to directory %s.", r.Branch.Name)
	case r.whole:
		say("It is a UPN suffix of directory %s and belongs to the name.", r.Branch.Name)
	case r.form != NoForm:
		say("Directory %s has the users of this realm.", r.Branch.Name)
	}
	say("Directory %s is asked for %s.", r.Branch.Name, legible(r.Name))
	return steps
}

// refusal says why no directory is asked, as a clause.
func (r *NameReading) refusal() string {
	switch r.why {
	case noBody:
		return "one of the two parts is empty"
	case twoRealms:
		return `it has more than one \ or @, so it could be read in two ways`
	case noRealm:
		return "this client takes names with a realm only"
	case barredRealm:
		return "this client does not take the realm " + legible(r.realm)
	}
	return "no directory claims the realm " + legible(r.realm)
}

// legible is a folded name for people: what a terminal or a page could take for more than text is replaced.
func legible(text []byte) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return unicode.ReplacementChar
		}
		return c
	}, string(text))
}
