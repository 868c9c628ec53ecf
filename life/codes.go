package life

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"strings"
	"time"

	"sekisho/token"
)

// Temporary is a set of single-use codes for somebody whose token is not at hand (P6). Each code is drawn when it is shown
// and only its keyed hash is kept, so that nobody else, and no database, ever holds one.
type Temporary struct {
	Until int64 // Unix seconds at which the set ends
	Most  uint8 // codes in all
	Spent uint8
	Live  [32]byte   // hash of the one that was shown and not used; zero: none
	Used  [][32]byte // of those that were used, to tell a repeated one from a wrong one
	By    string     // who gave them
}

// FirstLogin is one code for a login of somebody who never had a token, with an optional limited set of attributes.
type FirstLogin struct {
	Hash       [32]byte
	Until      int64
	Attributes string // name of the set that the reply is limited to; empty: none
	Used       bool
}

// Recovery is the printed code: 16 characters, one use, replaced on use.
type Recovery struct {
	Hash  [32]byte
	Tries []int64 // wrong ones
}

// Purpose keeps the hashes of one kind of code from matching as another.
type Purpose string

// The purposes.
const (
	ForTemporary Purpose = "temporary"
	ForFirst     Purpose = "first-login"
	ForRecovery  Purpose = "recovery"
)

// HashCode is an HMAC-SHA256 under a key of the installation, bound to purpose and account.
func HashCode(key [32]byte, p Purpose, account AccountID, code Typed) (sum [32]byte) {
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte(p))
	m.Write([]byte{0})
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(account))
	m.Write(id[:])
	m.Write(code)
	m.Sum(sum[:0])
	return sum
}

// DrawDigits draws a code of eight digits, each set equally likely.
func DrawDigits() Typed {
	code := make(Typed, 8)
	ten := big.NewInt(10)
	for i := range code {
		d, _ := rand.Int(rand.Reader, ten) // never fails: the program ends where the system has no randomness
		code[i] = byte('0' + d.Int64())
	}
	return code
}

// recoveryLetters leaves out what is misread on paper: 0, 1, I, L, O, U. 30 letters to the 16th are 78 bits.
const recoveryLetters = "23456789ABCDEFGHJKMNPQRSTVWXYZ"

// DrawRecovery draws a printed code of 16 characters.
func DrawRecovery() Typed {
	code := make(Typed, 16)
	n := big.NewInt(int64(len(recoveryLetters)))
	for i := range code {
		d, _ := rand.Int(rand.Reader, n)
		code[i] = recoveryLetters[d.Int64()]
	}
	return code
}

// CleanRecovery gives a printed code as it was drawn: in capitals, without blanks and hyphens.
func CleanRecovery(typed string) Typed {
	return Typed(strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "\u3000", "").Replace(typed)))
}

func (t *Temporary) stage(now time.Time) Stage {
	switch {
	case t.Most == 0:
		return None
	case now.Unix() >= t.Until || t.Spent >= t.Most:
		return Ended
	}
	return Running
}

func (f *FirstLogin) stage(now time.Time) Stage {
	switch {
	case f.Hash == [32]byte{}:
		return None
	case f.Used || now.Unix() >= f.Until:
		return Ended
	}
	return Open
}

// evening is the next time of day at which temporary codes end.
func (a Act) evening() time.Time {
	now := a.Now.In(a.Rules.zone())
	year, month, d := now.Date()
	end, _ := onWall(year, month, d, a.Rules.TempUntil, now.Location())
	if !end.After(now) {
		end, _ = onWall(year, month, d+1, a.Rules.TempUntil, now.Location())
	}
	return end
}

// end gives when something temporary ends, bounded by the role; zero asks for the default.
func (a Act) tempEnd(until int64, about string) (int64, *Refusal) {
	most := a.Now.Add(a.Rules.TempMost)
	if until == 0 {
		return min(a.evening().Unix(), most.Unix()), nil
	}
	if a.By == ByMaster {
		most = a.Now.Add(a.Rules.TempMaster)
	}
	switch {
	case until > most.Unix():
		return 0, refuse(TempTooLong, about)
	case until <= a.Now.Unix():
		return 0, refuse(TooLate, about)
	}
	return until, nil
}

// GiveTemporary begins a set of temporary codes; one that was running ends. until 0 is the default.
func (a Act) GiveTemporary(s State, to AccountID, until int64) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(to)
	if no != nil {
		return Change{}, no
	}
	if _, no := w.row(TemporaryKind, Issue, h.Temporary.stage(a.Now), h.Name); no != nil {
		return Change{}, no
	}
	if no := w.here(h); no != nil {
		return Change{}, no
	}
	until, no = a.tempEnd(until, h.Name)
	if no != nil {
		return Change{}, no
	}
	w.begin(Issue, h, until, a.Name)
	return w.done(), nil
}

func (w *work) begin(verb Verb, h *Holder, until int64, by string) {
	from := h.Temporary.stage(w.Now)
	h.Temporary = Temporary{Until: until, Most: uint8(w.Rules.TempCodes), By: by}
	w.holders[h.Account] = true
	w.step(Step{Kind: TemporaryKind, Verb: verb, Account: h.Account, From: from, To: Running})
	w.notify(NoticeTemporary, h, 0, until)
}

// Recover gives temporary codes for the printed recovery code, which is replaced: next is the hash of the new one, to be
// shown once.
func (a Act) Recover(s State, typed, next [32]byte) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(a.Account)
	if no != nil {
		return Change{}, no
	}
	if _, no := w.row(TemporaryKind, Reset, h.Temporary.stage(a.Now), h.Name); no != nil {
		return Change{}, no
	}
	if !a.Proven {
		return Change{}, refuse(ProofNeeded, h.Name)
	}
	if no := w.here(h); no != nil {
		return Change{}, no
	}
	if h.Recovery.Hash == [32]byte{} {
		return Change{}, refuse(NoRecovery, h.Name)
	}
	tries, from, ok := a.Rules.Recovery.take(h.Recovery.Tries, a.Now)
	if !ok {
		return Change{}, refuseUntil(TriesUsed, h.Name, a.at(from))
	}
	if !same(h.Recovery.Hash, typed) {
		h.Recovery.Tries = tries
		w.holders[h.Account] = true
		return w.done(), refuse(WrongCode, h.Name)
	}
	h.Recovery = Recovery{Hash: next}
	until, _ := a.tempEnd(0, h.Name)
	w.begin(Reset, h, until, "recovery code")
	return w.done(), nil
}

// SetRecovery keeps the hash of a new printed code, in place of the one before. The person proved password and a code.
func (a Act) SetRecovery(s State, hash [32]byte) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(a.Account)
	switch {
	case no != nil:
		return Change{}, no
	case a.By != ByPerson:
		return Change{}, refuse(NotAllowed, "")
	case !a.Proven:
		return Change{}, refuse(ProofNeeded, h.Name)
	}
	h.Recovery = Recovery{Hash: hash, Tries: h.Recovery.Tries}
	w.holders[h.Account] = true
	return w.done(), nil
}

// ShowTemporary makes a code, drawn by the caller, the one that works: shown on the person's own page alone. The one shown
// before and not used is void, so that there is one to guess at a time.
func (a Act) ShowTemporary(s State, hash [32]byte) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(a.Account)
	if no != nil {
		return Change{}, no
	}
	if _, no := w.row(TemporaryKind, Show, h.Temporary.stage(a.Now), h.Name); no != nil {
		return Change{}, no
	}
	if !a.Proven {
		return Change{}, refuse(ProofNeeded, h.Name)
	}
	h.Temporary.Live = hash
	w.holders[h.Account] = true
	w.step(Step{Kind: TemporaryKind, Verb: Show, Account: h.Account, From: Running, To: Running})
	return w.done(), nil
}

// UseTemporary takes a code at a login, once. A wrong one is for the login rules to count.
func (a Act) UseTemporary(s State, who AccountID, hash [32]byte) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(who)
	if no != nil {
		return Change{}, no
	}
	if _, no := w.row(TemporaryKind, Use, h.Temporary.stage(a.Now), h.Name); no != nil {
		return Change{}, no
	}
	t := &h.Temporary
	for _, used := range t.Used {
		if same(used, hash) {
			return Change{}, refuse(AlreadyUsed, h.Name)
		}
	}
	if !same(t.Live, hash) {
		return Change{}, refuse(WrongCode, h.Name)
	}
	t.Used, t.Live = append(t.Used, hash), [32]byte{}
	t.Spent++
	w.holders[h.Account] = true
	w.step(Step{Kind: TemporaryKind, Verb: Use, Account: h.Account, From: Running, To: t.stage(a.Now)})
	return w.done(), nil
}

// EndTemporary ends the set: by hand, or by a login with the token itself, which is at hand again.
func (a Act) EndTemporary(s State, who AccountID) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(who)
	if no != nil {
		return Change{}, no
	}
	if _, no := w.row(TemporaryKind, End, h.Temporary.stage(a.Now), h.Name); no != nil {
		return Change{}, no
	}
	h.Temporary.Until = a.Now.Unix()
	h.Temporary.Live = [32]byte{}
	w.holders[h.Account] = true
	w.step(Step{Kind: TemporaryKind, Verb: End, Account: h.Account, From: Running, To: Ended})
	return w.done(), nil
}

// everHeld reports that a user has, or had, a token in service.
func everHeld(h *Holder) bool {
	for _, hold := range h.Holds {
		if hold.Standing != token.Pending && (hold.Standing != token.Revoked || hold.Before != token.Pending) {
			return true
		}
	}
	return false
}

// GiveFirstLogin gives somebody who never had a token a code for one login, to reach the place where tokens are registered.
// attributes names the set that the reply is limited to; empty for none.
func (a Act) GiveFirstLogin(s State, to AccountID, hash [32]byte, attributes string, until int64) (Change, *Refusal) {
	w := a.open(s)
	h, no := w.subject(to)
	if no != nil {
		return Change{}, no
	}
	from := h.First.stage(a.Now)
	if _, no := w.row(FirstLoginKind, Issue, from, h.Name); no != nil {
		return Change{}, no
	}
	if no := w.here(h); no != nil {
		return Change{}, no
	}
	if everHeld(h) {
		return Change{}, refuse(HasToken, h.Name)
	}
	until, no = a.tempEnd(until, h.Name)
	if no != nil {
		return Change{}, no
	}
	h.First = FirstLogin{Hash: hash, Until: until, Attributes: attributes}
	w.holders[h.Account] = true
	w.step(Step{Kind: FirstLoginKind, Verb: Issue, Account: h.Account, From: from, To: Open})
	w.notify(NoticeTemporary, h, 0, until)
	return w.done(), nil
}

// UseFirstLogin takes the code at a login, once, and gives the name of the attributes.
func (a Act) UseFirstLogin(s State, who AccountID, hash [32]byte) (attributes string, c Change, no *Refusal) {
	w := a.open(s)
	h, no := w.subject(who)
	if no != nil {
		return "", Change{}, no
	}
	if _, no := w.row(FirstLoginKind, Use, h.First.stage(a.Now), h.Name); no != nil {
		return "", Change{}, no
	}
	switch {
	case everHeld(h):
		return "", Change{}, refuse(HasToken, h.Name)
	case !same(h.First.Hash, hash):
		return "", Change{}, refuse(WrongCode, h.Name)
	}
	h.First.Used = true
	w.holders[h.Account] = true
	w.step(Step{Kind: FirstLoginKind, Verb: Use, Account: h.Account, From: Open, To: Ended})
	return h.First.Attributes, w.done(), nil
}
