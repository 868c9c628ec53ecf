package authn

import "fmt"

// Tell is what a person who proved both factors may read in the Reply-Message when the state of their token refuses them
// (P4). With anything less proven a Reject says nothing at all, so that it does not tell what was right.
type Tell struct {
	Silent      bool   // nothing is told then either
	RegisterURL string // where people register a token; empty: the text names no place
}

// MaxMessage is the longest message in octets, in both languages together: one Reply-Message attribute.
const MaxMessage = 253

// toldText is one message in two languages; where names that the place for a new registration follows.
type toldText struct {
	ja, en string
	where  bool
}

var told = map[Reason]toldText{
	TokenExpired:    {"トークンの有効期限が切れました。新しいトークンを登録してください", "Token expired, register the new one", true},
	TokenNotStarted: {"トークンの利用開始日前です", "This token cannot be used yet", false},
	TokenSuspended:  {"トークンは一時停止中です。窓口へご連絡ください", "Token suspended, contact the help desk", false},
	TokenRevoked:    {"トークンは失効しています。窓口へご連絡ください", "Token revoked, contact the help desk", false},
	TokenPending:    {"トークンの利用開始登録が済んでいません", "Token not registered yet", true},
}

// message is the text for a reason; empty where there is none to tell.
func (t Tell) message(r Reason, l Language) string {
	text, ok := told[r]
	if !ok || t.Silent {
		return ""
	}
	place := ""
	if text.where && t.RegisterURL != "" {
		place = ": " + t.RegisterURL
	}
	switch l {
	case Japanese:
		return text.ja + place
	case English:
		return text.en + place
	}
	return text.ja + place + " / " + text.en
}

// Check says that a message would not fit into one Reply-Message.
func (t Tell) Check() error {
	longest := 0
	for r := range told {
		longest = max(longest, len(t.message(r, BothLanguages)))
	}
	if longest > MaxMessage {
		return fmt.Errorf("with it a Reply-Message has %d octets, and %d fit; choose one that is %d octets shorter", longest, MaxMessage, longest-MaxMessage)
	}
	return nil
}
