package authn

import "testing"

// TestSharedReplyAllocatesNothing: rules cost the hot path no memory where no value is the user's own.
func TestSharedReplyAllocatesNothing(t *testing.T) {
	book := &ReplyBook{
		Rules: []*ReplyRule{
			{Name: "it", Clients: []string{"vpn"}, Groups: []string{"it"}, Set: []Attribute{{"Class", "it"}}},
			{Name: "own", Groups: []string{"other"}, Set: []Attribute{{"Class", "${user}"}}},
			{Name: "sales", Attributes: map[string][]string{"department": {"HR", "sales"}}, Set: []Attribute{{"Class", "sales"}}},
		},
		Encode: func([]Attribute) ([]byte, error) { return []byte{1}, nil },
	}
	c, p := &Client{Name: "gw", Service: "vpn"}, &Policy{Reply: []Attribute{{"Session-Timeout", "60"}}}
	u := &User{Name: "bob", Groups: []string{"vpn", "it"}, Attributes: map[string][]string{"department": {"Sales"}}}
	if got := testing.AllocsPerRun(100, func() {
		if g, err := book.grant(c, u, p); err != nil || g.rules != "it" {
			t.Fatal(g, err)
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestGrantsAreBounded: a configuration with more combinations than are kept goes on working.
func TestGrantsAreBounded(t *testing.T) {
	book := &ReplyBook{Encode: func([]Attribute) ([]byte, error) { return nil, nil }}
	for range maxGrants + 10 {
		if _, err := book.grant(&Client{}, &User{}, &Policy{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(book.kept); n == 0 || n > maxGrants {
		t.Errorf("%d are kept", n)
	}
}
