package life

import (
	"testing"

	"sekisho/token"
)

// What the list shows of a user (O6).
func TestP2States(t *testing.T) {
	for _, e := range []struct {
		what string
		make func(*house)
		want UserState
	}{
		{"nothing", func(*house) {}, UserState{Stage: HasNone}},
		{"exempt", func(h *house) { h.holder(taro).Exempt = true }, UserState{Stage: NeedsNone}},
		{"exempt with a token", func(h *house) { h.holder(taro).Exempt = true; h.hold(taro, hard, token.Active) }, UserState{Stage: InService, Serial: "10000010", Expiry: noon.Add(100 * day).Unix()}},
		{"two", func(h *house) { h.hold(taro, spare, token.Active); h.hold(taro, hard, token.Active) }, UserState{Stage: InService, Serial: "10000010", Expiry: noon.Add(100 * day).Unix(), More: 1}},
		{"waiting", func(h *house) { h.hold(taro, spare, token.Pending) }, UserState{Stage: Waiting, Serial: "10000011"}},
		{"deferred", func(h *house) { h.holder(taro).Deferred.Times = 1 }, UserState{Stage: Waiting}},
		{"suspended", func(h *house) { h.hold(taro, spare, token.Suspended) }, UserState{Stage: OnlyStopped, Serial: "10000011"}},
		{"revoked", func(h *house) { h.hold(taro, spare, token.Revoked); h.holder(taro).NotBefore = noon.Unix() + 9 }, UserState{Stage: WasRevoked, From: noon.Unix() + 9}},
		{"expired", func(h *house) { h.hold(taro, spare, token.Active); h.token(spare).Expiry = noon.Unix() }, UserState{Stage: RunOut, Serial: "10000011", Expiry: noon.Unix()}},
	} {
		h := newHouse()
		e.make(h)
		got := StateOf(h.holder(taro), h.s.Tokens, noon)
		if got != e.want || got.Stage.Japanese() == "" {
			t.Errorf("%s: %+v, want %+v", e.what, got, e.want)
		}
	}
}
