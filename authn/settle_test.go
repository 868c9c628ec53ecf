package authn

import (
	"testing"
	"time"

	"sekisho/token"
)

// withFit says what the best of the fits is, under a policy that lets a login activate.
func withFit(e *evaluation) *evaluation {
	e.fit = NoFit
	for _, f := range e.fits {
		if fit := fitOf(&Policy{ActivateAtLogin: true}, f.shut); fit.rank() > e.fit.rank() {
			e.fit = fit
		}
	}
	return e
}

func TestBurnIsOnEveryTokenThatMatches(t *testing.T) {
	at := func(step int64) time.Time { return time.Unix(step*30+10, 0) }
	now := at(1000)
	hard := &token.Token{ID: 1, Form: token.Hardware, Mode: token.TOTP, Period: 30, Digits: 6, Last: 5}
	soft := &token.Token{ID: 2, Form: token.Software, Mode: token.TOTP, Period: 30, Digits: 8, Last: token.NoStep}
	match := func(tok *token.Token, step int64, shut Reason) fitted {
		return fitted{tok, token.Match{Result: token.Fresh, Step: step}, shut}
	}
	for name, c := range map[string]struct {
		fits    []fitted
		step    Step
		digits  uint8
		token   token.ID
		at      int64
		drifts  map[token.ID]int16
		actives map[token.ID]bool
	}{
		"accept":        {fits: []fitted{match(hard, 1001, 0), match(soft, 1000, 0)}, step: Step{Row: 9, Do: DoAccept, Effects: Burn | Clear | Know}, token: 1, at: 1001, drifts: map[token.ID]int16{1: 1}},
		"open one last": {fits: []fitted{match(hard, 1001, TokenRevoked), match(soft, 1000, 0)}, step: Step{Row: 9, Do: DoAccept, Effects: Burn | Clear | Know}, token: 2, at: 1000, drifts: map[token.ID]int16{1: 1}},
		"pending": {fits: []fitted{match(hard, 1000, TokenRevoked), match(soft, 1000, TokenPending)}, step: Step{Row: 9, Do: DoAccept, Effects: Burn | Clear | Know | Activate},
			token: 2, at: 1000, actives: map[token.ID]bool{2: true}},
		"pending beside an open one": {fits: []fitted{match(hard, 1000, 0), match(soft, 1000, TokenPending)}, step: Step{Row: 9, Do: DoAccept, Effects: Burn | Clear | Know}, token: 1, at: 1000},
		"refused by state":           {fits: []fitted{match(hard, 999, TokenSuspended)}, step: Step{Row: 9, Do: DoReject, Effects: Burn | TellPerson}, token: 1, at: 999},
		"first of two":               {fits: []fitted{match(hard, 1001, 0)}, step: Step{Row: 13, Do: DoReject, Effects: Burn | StartPair}, token: 1, at: 1001},
	} {
		acc := &Account{ID: 9}
		e := &Event{Step: token.NoStep}
		settle(&settlement{step: c.step, acc: acc, eval: withFit(&evaluation{fits: c.fits, digits: 6}), limits: &NormalLimits, now: now, counts: true, source: 3}, e)
		if e.Token != c.token || e.Step != c.at {
			t.Errorf("%s: the event names token %d step %d, want %d and %d", name, e.Token, e.Step, c.token, c.at)
		}
		if len(e.Burnt) != len(c.fits) {
			t.Fatalf("%s: %d tokens are burnt, want %d", name, len(e.Burnt), len(c.fits))
		}
		for i, b := range e.Burnt {
			if b.Token != c.fits[i].token.ID || b.Last != c.fits[i].match.Step || b.Drift != c.drifts[b.Token] || b.Activated != c.actives[b.Token] {
				t.Errorf("%s: burnt %+v", name, b)
			}
		}
	}
}

func TestPairs(t *testing.T) {
	tok := &token.Token{ID: 4, Form: token.Software, Mode: token.TOTP, Period: 30, Digits: 6}
	at := func(step int64) *evaluation {
		return &evaluation{fit: FitsOpen, pairCost: 180_000, fits: []fitted{{token: tok, match: token.Match{Result: token.Fresh, Step: step}}}}
	}
	acc := &Account{ID: 1}
	now := noon
	do := func(e Effects, ev *evaluation, counts bool) *Event {
		event := &Event{}
		if m := settle(&settlement{step: Step{Row: 13, Do: DoReject, Effects: e}, acc: acc, eval: ev, limits: &NormalLimits, now: now, counts: counts,
			source: 7, client: "gw"}, event); m != nil {
			acc.Memory = *m
		}
		if event.GuardSet {
			acc.Guard.Apply(event.Guard)
		}
		return event
	}
	pair := func() *Pair { return acc.Memory.pair(7, "gw", now) }

	do(Burn|StartPair, at(100), true)
	p := pair()
	if p == nil || p.Token != 4 || p.Step != 100 || p.Tries != 3 {
		t.Fatalf("after a first code: %+v", p)
	}
	for step, want := range map[int64]bool{99: false, 100: false, 101: true, 102: true, 103: false} {
		if got := p.second(at(step)); got != want {
			t.Errorf("step %d after 100: second %v, want %v", step, got, want)
		}
	}
	other := at(101)
	other.fits[0].token = &token.Token{ID: 5}
	if p.second(other) {
		t.Error("another token's code is the second one")
	}
	if acc.Memory.pair(8, "gw", now) != nil || acc.Memory.pair(0, "gw", now) != nil {
		t.Error("another source has the pair")
	}
	if acc.Memory.pair(7, "gw", now.Add(3*time.Minute)) != nil || acc.Memory.pair(7, "gw", now.Add(3*time.Minute-time.Second)) == nil {
		t.Error("the pair does not live three minutes")
	}

	// A claim has one holder, and is given back.
	acc.Memory = *claim(acc, 7, "gw", now.Add(time.Second))
	if pair().Claimed != now.UnixMilli()+1000 {
		t.Error("the pair is not claimed")
	}
	do(ReleasePair, at(101), true)
	if pair().Claimed != 0 {
		t.Error("the claim was not given back")
	}

	// Misses: three tries and the charge; what counted less than 10 s ago takes neither.
	do(MissPair|CountSource|KeepText, &evaluation{pairCost: 180_000}, true)
	do(MissPair|CountSource|KeepText, &evaluation{pairCost: 180_000}, false)
	if got := acc.Guard.Spent(PotPair, now); got != 180_000 || pair() == nil || pair().Tries != 2 {
		t.Errorf("after one miss that counts and one that does not: %d spent, pair %+v", got, pair())
	}
	do(MissPair, &evaluation{pairCost: 180_000}, true)
	do(MissPair, &evaluation{pairCost: 180_000}, true)
	if pair() != nil {
		t.Errorf("after three misses: %+v", pair())
	}
	do(MissPair, &evaluation{pairCost: 180_000}, true)
	if got := acc.Guard.Spent(PotPair, now); got != 4*180_000 {
		t.Errorf("misses without a pair: %d spent, want %d", got, 4*180_000)
	}

	// A new first code takes the place of the old one; an end ends it.
	do(Burn|StartPair, at(200), true)
	do(Burn|StartPair, at(300), true)
	if len(acc.Memory.Pairs) != 1 || pair().Step != 300 {
		t.Errorf("after two first codes: %+v", acc.Memory.Pairs)
	}
	do(Burn|Clear|Know|EndPair, at(301), true)
	if pair() != nil {
		t.Error("an accept left the pair")
	}

	// Without a trusted source pairs are per client.
	m := Memory{Pairs: []Pair{{Client: "gw", Until: now.Unix() + 10}}}
	if m.pair(0, "gw", now) == nil || m.pair(0, "other", now) != nil || m.pair(7, "gw", now) != nil {
		t.Error("pairs without a source are not kept per client")
	}
}

func TestRefusedTextsAndEpisodes(t *testing.T) {
	acc := &Account{ID: 1}
	now := noon
	keep := func(text, code uint64) {
		if m := settle(&settlement{step: Step{Row: 12, Do: DoReject, Effects: KeepText | CountSource}, acc: acc, eval: &evaluation{}, now: now,
			source: 7, text: text, code: code}, &Event{}); m != nil {
			acc.Memory = *m
		}
	}
	keep(1, 11)
	m := &acc.Memory
	for after, want := range map[time.Duration]bool{0: true, 29 * time.Second: true, 30 * time.Second: false} {
		if got := m.repeated(1, 7, now.Add(after)); got != want {
			t.Errorf("the same text after %v: repeated %v, want %v", after, got, want)
		}
	}
	if m.repeated(2, 7, now) || m.repeated(1, 8, now) || m.repeated(1, 0, now) {
		t.Error("another text, another source or no source at all repeats")
	}
	for after, want := range map[time.Duration]bool{0: true, 9 * time.Second: true, 10 * time.Second: false} {
		if got := m.counted(11, now.Add(after)); got != want {
			t.Errorf("the same code after %v: counted %v, want %v", after, got, want)
		}
	}
	if m.counted(12, now) {
		t.Error("another code is counted already")
	}
	for i := range uint64(100) {
		keep(100+i, 0)
	}
	if len(acc.Memory.Wrong) != textsKept {
		t.Errorf("%d texts are kept, want %d", len(acc.Memory.Wrong), textsKept)
	}
	now = now.Add(time.Minute)
	keep(5, 5)
	if len(acc.Memory.Wrong) != 1 {
		t.Errorf("%d texts are kept a minute later, want 1", len(acc.Memory.Wrong))
	}
}

// TestRefunds holds which rows leave a charge: 10 on the class, 15 on the pair, 11 one theft, no other.
func TestRefunds(t *testing.T) {
	tok := &token.Token{ID: 4, Form: token.Software, Mode: token.TOTP, Period: 30, Digits: 6}
	ev := &evaluation{fit: FitsOpen, cost: 100, pairCost: 10, digits: 6, fits: []fitted{{token: tok, match: token.Match{Result: token.Fresh, Step: 9}}}}
	seen := make(map[string]bool)
	for i := range 3_000 {
		// A spread of endings: every account effect with each neighbour.
		effects := Effects(i*7919) & (CountSource | CountMiss | CountTheft | Burn | Clear | Know | StartPair | EndPair | MissPair | ReleasePair | KeepText)
		counts := 0
		for _, e := range []Effects{CountMiss, CountTheft, MissPair} {
			if effects&e != 0 {
				counts++
			}
		}
		if counts > 1 {
			continue
		}
		acc := &Account{ID: 1}
		e := &Event{}
		settle(&settlement{step: Step{Do: DoReject, Effects: effects}, acc: acc, eval: ev, limits: &NormalLimits, class: ClassKnown, now: noon, counts: true}, e)
		if e.GuardSet {
			acc.Guard.Apply(e.Guard)
		}
		want := [5]int64{}
		switch {
		case effects&CountMiss != 0:
			want[PotK] = 100
		case effects&CountTheft != 0:
			want[PotTheft] = 1
		case effects&MissPair != 0:
			want[PotPair] = 10
		}
		for p := PotU; p <= PotTheft; p++ {
			if got := acc.Guard.Spent(p, noon); got != want[p] {
				t.Fatalf("effects %b: pot %d has %d, want %d", effects, p, got, want[p])
			}
		}
		seen[string(rune(counts))] = true
	}
	if len(seen) != 2 {
		t.Error("the spread missed endings with or without a charge")
	}
}
