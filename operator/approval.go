package operator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Approval is one act that waits for a second person. What was asked for is fixed by its digest: an agreement covers the
// very act, body and target, and is used once.
type Approval struct {
	ID        uint64
	Right     Right
	Digest    [32]byte // of what exactly is to be done
	Text      string   // what the second person reads
	AskedBy   string
	Asked     time.Time
	Reason    string
	State     ApprovalState
	DecidedBy string
	Decided   time.Time
	Sentence  string // with which it was refused
}

// ApprovalState is how far an approval has come.
type ApprovalState uint8

// The states. They are stored: append, never renumber.
const (
	Asked ApprovalState = iota + 1
	Agreed
	Refused
	Withdrawn
	Used
	Lapsed
)

var approvalStates = [...]string{"", "asked", "agreed", "refused", "withdrawn", "used", "lapsed"}

// String gives the word of the API.
func (s ApprovalState) String() string {
	if int(s) < len(approvalStates) {
		return approvalStates[s]
	}
	return fmt.Sprintf("approval state %d", s)
}

// Lives of an approval.
const (
	AskedLife  = 24 * time.Hour // for the second person to answer
	AgreedLife = time.Hour      // for the first person to do it
)

// Digest fixes an act: the right, the method and path of the call, and its body.
func Digest(right Right, call string, body []byte) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%d\x00%s\x00", right, len(call), call)
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// Refusal says why something was not done: a stable code and a sentence with what to do.
type Refusal struct{ Code, Sentence string }

// Error gives the sentence.
func (r *Refusal) Error() string { return r.Sentence }

// At is the approval as time has left it.
func (a Approval) At(now time.Time) Approval {
	switch {
	case a.State == Asked && now.Sub(a.Asked) >= AskedLife, a.State == Agreed && now.Sub(a.Decided) >= AgreedLife:
		a.State = Lapsed
	}
	return a
}

// Ask puts an approval before the others. The zero State is one that nobody was asked for yet.
func (a Approval) Ask(by Principal, reason string, now time.Time) (Approval, *Refusal) {
	switch {
	case by.Name != a.AskedBy:
		return a, &Refusal{"approval-foreign", "Only " + a.AskedBy + " can ask for this."}
	case a.State != 0:
		return a, &Refusal{"approval-over", fmt.Sprintf("This approval is %v already.", a.At(now).State)}
	case strings.TrimSpace(reason) == "":
		return a, &Refusal{"reason-missing", "Say why; whoever agrees reads it."}
	}
	a.State, a.Asked, a.Reason = Asked, now, reason
	return a, nil
}

// Decide is the second person's word. They need the right themselves, and are somebody else.
func (a Approval) Decide(by Principal, agree bool, sentence string, now time.Time) (Approval, *Refusal) {
	a = a.At(now)
	switch {
	case a.State != Asked:
		return a, &Refusal{"approval-over", fmt.Sprintf("This approval is %v already; ask anew if it is still wanted.", a.State)}
	case by.Name == a.AskedBy:
		return a, &Refusal{"approval-own", "Who asks cannot agree; another operator with the same right has to."}
	case by.Door == Key:
		return a, &Refusal{"approval-key", "A program cannot agree in a person's place; sign in as an operator."}
	case !by.Role.Has(a.Right):
		return a, &Refusal{"no-right", fmt.Sprintf("The role %v has no right to %s, so it cannot agree to it.", by.Role, a.Right)}
	case !agree && sentence == "":
		return a, &Refusal{"sentence-missing", "Say in a sentence why it is refused; whoever asked reads it."}
	}
	a.State, a.DecidedBy, a.Decided, a.Sentence = Refused, by.Name, now, sentence
	if agree {
		a.State = Agreed
	}
	return a, nil
}

// Use spends an agreement on the act it was given for. The caller saves the approval in the transaction of the act, where
// the row is still Agreed, so that it is spent at most once.
func (a Approval) Use(by Principal, digest [32]byte, now time.Time) (Approval, *Refusal) {
	a = a.At(now)
	switch {
	case a.State != Agreed:
		return a, &Refusal{"approval-over", fmt.Sprintf("This approval is %v, not agreed; ask anew if it is still wanted.", a.State)}
	case by.Name != a.AskedBy:
		return a, &Refusal{"approval-foreign", "This approval was given to " + a.AskedBy + "; ask for one of your own."}
	case digest != a.Digest:
		return a, &Refusal{"approval-other", "This approval is for another act (" + hex.EncodeToString(a.Digest[:4]) + "); ask anew for this one."}
	}
	a.State = Used
	return a, nil
}

// Withdraw takes a question back.
func (a Approval) Withdraw(by Principal, now time.Time) (Approval, *Refusal) {
	a = a.At(now)
	switch {
	case by.Name != a.AskedBy:
		return a, &Refusal{"approval-foreign", "Only " + a.AskedBy + " can take this back."}
	case a.State != Asked && a.State != Agreed:
		return a, &Refusal{"approval-over", fmt.Sprintf("This approval is %v already.", a.State)}
	}
	a.State, a.Decided = Withdrawn, now
	return a, nil
}
