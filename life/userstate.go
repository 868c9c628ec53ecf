package life

import (
	"time"

	"sekisho/token"
)

// UserState is a user's state in the list of users (P2). It is worked out from the holds and never stored.
type UserState struct {
	Stage  UserStage
	Serial string // of the token that is shown; empty: "-"
	Expiry int64  // Unix seconds; 0: none is shown
	More   int    // further tokens of the same kind
	From   int64  // Unix seconds from which a token may be registered again; 0: at once
}

// UserStage names a state, with a stable code for API and CSV.
type UserStage string

// The states.
const (
	InService   UserStage = "in-service"
	RunOut      UserStage = "expired"
	WasRevoked  UserStage = "revoked"
	Waiting     UserStage = "waiting"
	OnlyStopped UserStage = "suspended"
	NeedsNone   UserStage = "exempt"
	HasNone     UserStage = "none" // never had a token, and needs one
)

// Japanese is the word of the list.
func (u UserStage) Japanese() string {
	return map[UserStage]string{InService: "サービス利用中", RunOut: "ハードトークン有効期限切れ", WasRevoked: "失効中", Waiting: "利用開始登録待ち",
		OnlyStopped: "一時停止中", NeedsNone: "-", HasNone: "未登録"}[u]
}

// StateOf gives a user's state at a moment. The first of these that holds is it: a token in service, a token that waits,
// suspended ones, one that ran out, a revoked one; who needs no code and has none in service is exempt.
func StateOf(h *Holder, tokens []token.Token, now time.Time) UserState {
	kinds := map[UserStage][]*token.Token{}
	revoked := false
	for _, hold := range h.Holds {
		var t *token.Token
		for i := range tokens {
			if tokens[i].ID == hold.Token {
				t = &tokens[i]
			}
		}
		expired := t != nil && t.Expiry != 0 && now.Unix() >= t.Expiry
		switch {
		case t == nil:
		case hold.Standing == token.Revoked:
			revoked = true
		case expired:
			kinds[RunOut] = append(kinds[RunOut], t)
		case hold.Standing == token.Active && t.State == token.InUse:
			kinds[InService] = append(kinds[InService], t)
		case hold.Standing == token.Pending:
			kinds[Waiting] = append(kinds[Waiting], t)
		case hold.Standing == token.Suspended:
			kinds[OnlyStopped] = append(kinds[OnlyStopped], t)
		}
	}
	u := UserState{Stage: HasNone}
	if now.Unix() < h.NotBefore {
		u.From = h.NotBefore
	}
	for _, stage := range []UserStage{InService, NeedsNone, Waiting, OnlyStopped, RunOut} {
		if stage == NeedsNone && h.Exempt {
			return UserState{Stage: NeedsNone}
		}
		if found := kinds[stage]; len(found) > 0 {
			t := nearest(found)
			u.Stage, u.Serial, u.Expiry, u.More = stage, t.Serial, t.Expiry, len(found)-1
			return u
		}
	}
	switch {
	case revoked:
		u.Stage = WasRevoked
	case h.Deferred.Times > 0:
		u.Stage = Waiting
	}
	return u
}

// nearest is the token that expires first; those that never do come last.
func nearest(found []*token.Token) *token.Token {
	best := found[0]
	for _, t := range found[1:] {
		if t.Expiry != 0 && (best.Expiry == 0 || t.Expiry < best.Expiry) {
			best = t
		}
	}
	return best
}
