package authn

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Sentence is one sentence for people, in both languages.
type Sentence struct{ English, Japanese string }

// Steps tells in sentences how a name was read, for the people who set up names and gateways. typed is what was typed, n
// the rules it was read by. What is quoted is printable.
func (r *NameReading) Steps(ds Directories, n *Names, typed []byte) []Sentence {
	if r.fault != nil {
		return []Sentence{refusedName(faultOf(r.fault))}
	}
	var steps []Sentence
	say := func(english, japanese string, a ...any) {
		steps = append(steps, Sentence{fmt.Sprintf(english, a...), fmt.Sprintf(japanese, a...)})
	}
	if string(typed) != string(r.folded) {
		say("Blanks around a name and the width of letters make no difference: it is read as %s.", "前後の空白と全角・半角の違いは区別せず、%s と読みます。", legible(r.folded))
	}
	switch {
	case !ds.claimAny():
		say("No directory claims a realm, so the name is not taken apart.", "レルムを持つディレクトリがないため、名前を分けません。")
	case r.form == PrefixForm:
		say(`What stands before the \ is the realm: %s.`, `\ の前がレルムです: %s。`, legible(r.realm))
	case r.form == SuffixForm:
		say("What stands behind the @ is the realm: %s.", "@ の後ろがレルムです: %s。", legible(r.realm))
	case r.why == twoRealms:
	case n.Strip == NoForm:
		say("This client takes no name apart.", "このVPN装置では名前を分けません。")
	default:
		say("It has no realm.", "レルムは付いていません。")
	}
	if r.Branch == nil {
		return append(steps, refusedName(r.refusal()))
	}
	switch {
	case r.form == NoForm && n.Default != "":
		say("Names without a realm belong to %s at this client.", "このVPN装置では、レルムのない名前は %s のものです。", legible([]byte(n.Default)))
	case r.form == NoForm && len(ds) > 1:
		say("Names without a realm belong to directory %s.", "レルムのない名前はディレクトリ %s のものです。", r.Branch.Name)
	case r.whole:
		say("It is a UPN suffix of directory %s and belongs to the name.", "ディレクトリ %s のUPNサフィックスであり、名前の一部です。", r.Branch.Name)
	case r.form != NoForm:
		say("Directory %s has the users of this realm.", "このレルムの利用者はディレクトリ %s にいます。", r.Branch.Name)
	}
	say("Directory %s is asked for %s.", "ディレクトリ %s に %s を問い合わせます。", r.Branch.Name, legible(r.Name))
	return steps
}

// refusedName makes a sentence of why no directory is asked.
func refusedName(why Sentence) Sentence {
	return Sentence{"No directory is asked: " + why.English + ".", "どのディレクトリにも問い合わせません: " + why.Japanese + "。"}
}

// faultOf says as a clause why octets are nobody's name.
func faultOf(err error) Sentence {
	_, english, _ := strings.Cut(err.Error(), ": ")
	japanese := "名前に制御文字があります"
	switch {
	case errors.Is(err, errNameLong):
		japanese = fmt.Sprintf("名前が%dオクテットを超えています", MaxName)
	case errors.Is(err, errNameUTF8):
		japanese = "名前がUTF-8ではありません"
	case errors.Is(err, errNameBlank):
		japanese = "名前が空白です"
	}
	return Sentence{english, japanese}
}

// refusal says why no directory is asked, as a clause.
func (r *NameReading) refusal() Sentence {
	switch r.why {
	case noBody:
		return Sentence{"one of the two parts is empty", "レルムか名前のどちらかが空です"}
	case twoRealms:
		return Sentence{`it has more than one \ or @, so it could be read in two ways`, `\ または @ が2つ以上あり、二通りに読めます`}
	case noRealm:
		return Sentence{"this client takes names with a realm only", "このVPN装置はレルムの付いた名前だけを受け付けます"}
	case barredRealm:
		return Sentence{"this client does not take the realm " + legible(r.realm), "このVPN装置はレルム " + legible(r.realm) + " を受け付けません"}
	}
	return Sentence{"no directory claims the realm " + legible(r.realm), "レルム " + legible(r.realm) + " を持つディレクトリがありません"}
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
