package authn

import (
	"bytes"
	crand "crypto/rand"
	"crypto/sha256"
	"math/rand/v2"
	"testing"
	"time"
)

func testStates(epoch uint32) *states {
	return &states{epoch: epoch, derive: func(p string) [32]byte { return sha256.Sum256([]byte("test key " + p)) }}
}

func TestStateSaysWhatItWasTold(t *testing.T) {
	s := testStates(3)
	b := stateBinding{client: "asa", account: 7, name: []byte("bob"), station: []byte("198.51.100.7")}
	nonces := make(map[[12]byte]bool)
	for try := uint8(1); try < 6; try++ {
		for proof := Open; proof <= Wrong; proof++ {
			state, nonce, err := s.seal(dialogue{try: try, proof: proof, generation: 99}, b, noon)
			if err != nil {
				t.Fatal(err)
			}
			if len(state) != StateLength || len(state) > 64 {
				t.Fatalf("the State has %d octets", len(state))
			}
			for _, c := range state {
				if c <= ' ' || c > '~' {
					t.Fatalf("the State has the octet %#x", c)
				}
			}
			if nonces[nonce] {
				t.Fatal("a nonce came twice")
			}
			nonces[nonce] = true
			d, err := s.open(state, b, noon.Add(2*time.Second))
			if err != nil || d.try != try || d.proof != proof || d.generation != 99 || d.nonce != nonce || !d.issued.Equal(noon) {
				t.Fatalf("opened %+v, %v", d, err)
			}
		}
	}
}

func TestStateIsBound(t *testing.T) {
	s := testStates(3)
	base := stateBinding{client: "asa", account: 7, name: []byte("bob"), station: []byte("198.51.100.7")}
	lastMoment := time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC)
	for name, c := range map[string]struct {
		seal, open stateBinding
		with       *states
		issued     time.Time
		after      time.Duration
		ok         bool
	}{
		"as it was":         {base, base, s, noon, 0, true},
		"119 s old":         {base, base, s, noon, 119 * time.Second, true},
		"121 s old":         {base, base, s, noon, 121 * time.Second, false},
		"a day old":         {base, base, s, noon, days(1), false},
		"two days old":      {base, base, s, noon, days(2), false},
		"from the future":   {base, base, s, noon, -3 * time.Second, false},
		"over midnight":     {base, base, s, lastMoment, 60 * time.Second, true},
		"name of a known":   {base, stateBinding{"asa", 7, []byte("BOB"), base.station}, s, noon, 0, true},
		"other client":      {base, stateBinding{"asa2", 7, base.name, base.station}, s, noon, 0, false},
		"other account":     {base, stateBinding{"asa", 8, base.name, base.station}, s, noon, 0, false},
		"other station":     {base, stateBinding{"asa", 7, base.name, []byte("198.51.100.8")}, s, noon, 0, false},
		"no account":        {base, stateBinding{"asa", 0, base.name, base.station}, s, noon, 0, false},
		"other epoch":       {base, base, testStates(4), noon, 0, false},
		"other store":       {base, base, &states{epoch: 3, derive: func(string) [32]byte { return [32]byte{1} }}, noon, 0, false},
		"other unknown":     {stateBinding{"asa", 0, []byte("eve"), nil}, stateBinding{"asa", 0, []byte("mal"), nil}, s, noon, 0, false},
		"same unknown":      {stateBinding{"asa", 0, []byte("eve"), nil}, stateBinding{"asa", 0, []byte("eve"), nil}, s, noon, 0, true},
		"name runs over":    {stateBinding{"asa", 0, []byte("ab"), []byte("c")}, stateBinding{"asa", 0, []byte("a"), []byte("bc")}, s, noon, 0, false},
		"name with a blank": {stateBinding{"asa", 0, []byte("a\x00b"), []byte("c")}, stateBinding{"asa", 0, []byte("a"), []byte("b\x00c")}, s, noon, 0, false},
	} {
		state, _, err := s.seal(dialogue{try: 1, proof: Right}, c.seal, c.issued)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.with.open(state, c.open, c.issued.Add(c.after)); (err == nil) != c.ok {
			t.Errorf("%s: %v, want it to open: %v", name, err, c.ok)
		}
	}
}

// TestStateForged changes States in 10^5 ways; none may open as anything but itself.
func TestStateForged(t *testing.T) {
	s := testStates(3)
	b := stateBinding{client: "asa", account: 7, station: []byte("198.51.100.7")}
	var made [][]byte
	for range 20 {
		state, _, err := s.seal(dialogue{try: 1, proof: Wrong}, b, noon)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, state)
	}
	r := rand.New(rand.NewPCG(8, 9))
	opened := 0
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range 100_000 {
		old := made[i%len(made)]
		state := bytes.Clone(old)
		switch r.IntN(5) {
		case 0: // a flipped bit
			state[r.IntN(len(state))] ^= 1 << r.IntN(8)
		case 1: // other characters
			for range 1 + r.IntN(4) {
				state[r.IntN(len(state))] = alphabet[r.IntN(len(alphabet))]
			}
		case 2: // two States spliced
			cut := r.IntN(len(state))
			copy(state[cut:], made[r.IntN(len(made))][cut:])
		case 3: // cut or drawn out
			state = append(state[:r.IntN(len(state)+1)], state[:r.IntN(3)]...)
		case 4: // noise
			for k := range state {
				state[k] = alphabet[r.IntN(len(alphabet))]
			}
		}
		if slicesContain(made, state) {
			continue
		}
		if _, err := s.open(state, b, noon); err == nil {
			opened++
		}
	}
	if opened != 0 {
		t.Errorf("%d of 100,000 changed States opened", opened)
	}
}

func slicesContain(all [][]byte, one []byte) bool {
	for _, a := range all {
		if bytes.Equal(a, one) {
			return true
		}
	}
	return false
}

func FuzzStateOpen(f *testing.F) {
	// A key of this process alone: the seeds of the corpus are another's.
	var key [32]byte
	_, _ = crand.Read(key[:])
	s := &states{derive: func(p string) [32]byte { return sha256.Sum256(append(key[:], p...)) }}
	b := stateBinding{client: "asa", account: 7}
	state, _, err := s.seal(dialogue{try: 1}, b, noon)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(state)
	f.Add([]byte(nil))
	f.Add(bytes.Repeat([]byte("A"), StateLength))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := s.open(in, b, noon); err == nil && !bytes.Equal(in, state) {
			t.Errorf("%q opened", in)
		}
	})
}

func TestKeptPasswords(t *testing.T) {
	var k keeper
	text := []byte("correct horse")
	k.put([12]byte{1}, text, noon)
	text[0] = 'X' // the caller's octets are its own
	if p, ok := k.get([12]byte{1}, noon.Add(120*time.Second)); !ok || string(p.Reveal()) != "correct horse" {
		t.Errorf("after 120 s: %q, %v", p.Reveal(), ok)
	}
	if _, ok := k.get([12]byte{1}, noon.Add(121*time.Second)); ok {
		t.Error("after 121 s the password is still handed out")
	}
	if _, ok := k.get([12]byte{2}, noon); ok {
		t.Error("another nonce has a password")
	}
	held := k.kept[[12]byte{1}].text
	k.sweep(noon.Add(121 * time.Second))
	if len(k.kept) != 0 || !bytes.Equal(held, make([]byte, len(held))) {
		t.Error("sweeping left the password")
	}
	for i := range keptPasswords + 50 {
		k.put([12]byte{byte(i), byte(i >> 8), byte(i >> 16)}, text, noon)
	}
	if len(k.kept) != keptPasswords {
		t.Errorf("%d passwords are kept, want %d", len(k.kept), keptPasswords)
	}
	k.put([12]byte{99, 99, 99}, text, noon.Add(3*time.Minute))
	if len(k.kept) != 1 {
		t.Errorf("%d passwords are kept when all but one have ended", len(k.kept))
	}
}

func TestPromptsFit(t *testing.T) {
	p := DefaultPrompts
	for _, s := range []string{p.First, p.Again, p.Next} {
		if len(s) > 240 || s == "" {
			t.Errorf("%q has %d octets", s, len(s))
		}
	}
	if p.First == p.Next || p.First == p.Again || p.Again == p.Next {
		t.Error("two prompts are equal: ocserv takes an equal text for the same question")
	}
}
