package authn

import (
	"strings"
	"testing"
)

func TestPINHash(t *testing.T) {
	key := [32]byte{1}
	h, err := HashPIN(key, 7, []byte("4711"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := HashPIN(key, 7, []byte("4711"))
	if err != nil {
		t.Fatal(err)
	}
	if h == again || h.Salt == again.Salt {
		t.Error("two hashes of one PIN are equal: the salt is not random")
	}
	// What HMAC gives for a salt, an account and a PIN of zeros; a guard that trusts Sum alone would let it match.
	var zero PINHash
	forged := PINHash{Sum: zero.sum(key, 7, nil)}
	salted := h
	salted.Salt[0] ^= 1
	for name, c := range map[string]struct {
		hash    PINHash
		key     [32]byte
		account AccountID
		pin     string
		want    bool
	}{
		"right":           {h, key, 7, "4711", true},
		"wrong":           {h, key, 7, "4712", false},
		"longer":          {h, key, 7, "47110", false},
		"empty":           {h, key, 7, "", false},
		"full-width":      {h, key, 7, "\uff14\uff17\uff11\uff11", false},
		"other key":       {h, [32]byte{2}, 7, "4711", false},
		"other account":   {h, key, 8, "4711", false},
		"other salt":      {salted, key, 7, "4711", false},
		"zero hash":       {zero, key, 7, "4711", false},
		"zero hash empty": {zero, key, 7, "", false},
		"empty PIN right": {forged, key, 7, "", false},
	} {
		if got := c.hash.Matches(c.key, c.account, []byte(c.pin)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if _, err := HashPIN(key, 7, nil); err == nil {
		t.Error("an empty PIN was hashed")
	}
}

func TestCheckPIN(t *testing.T) {
	for _, c := range []struct{ pin, name, want string }{
		{"4711", "bob", ""},
		{"a7c9", "bob", ""},
		{"1235", "bob", ""},
		{"1233", "bob", ""},
		{"AbCe", "bob", ""},
		{"bob1", "bob", ""},
		{strings.Repeat("a1", 8), "bob", ""},
		{"", "", "0 characters"},
		{"471", "bob", "choose 4 to 16"},
		{strings.Repeat("a1", 8) + "x", "bob", "choose 4 to 16"},
		{"47 11", "bob", "letters"},
		{"47-11", "bob", "letters"},
		{"\uff14\uff17\uff11\uff11", "bob", "letters"},
		{"47@11", "bob", "letters"},
		{"47[1", "bob", "letters"},
		{"47\x101", "bob", "letters"},
		{"47\x00\x00", "bob", "letters"},
		{"1111", "bob", "repeated"},
		{"aAaA", "bob", "repeated"},
		{"1234", "bob", "run"},
		{"4321", "bob", "run"},
		{"7890", "bob", "run"},
		{"0987", "bob", "run"},
		{"23456789", "bob", "run"},
		{"abCD", "bob", "run"},
		{"dcba", "bob", "run"},
		{"alice", "Alice", "user name"},
		{"ALICE", "alice@example.org", "user name"},
		{"alice", `EXAMPLE\alice`, "user name"},
	} {
		err := CheckPIN(c.pin, c.name, MinPIN, MaxPIN)
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q of %s: %v: want %q", c.pin, c.name, err, c.want)
		}
		if err != nil && len(c.pin) > 3 && c.want != "run" && strings.Contains(err.Error(), c.pin) {
			t.Errorf("the sentence shows the PIN: %v", err)
		}
	}
}
