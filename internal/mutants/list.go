package mutants

const (
	tokenTests = "TestEvaluateWindow|TestWindowIsExact|TestCoincidence|TestDriftAfter|TestGuessCosts|TestDay|TestStateAt"
	guardTests = "TestGuessCosts|TestMissesInARow|TestTheft|TestPotsAreExact|TestPotsRoll|TestKnownSources|TestGuardReplay|TestGuardMerge"
	ruleTests  = "TestBurnIsOnEveryTokenThatMatches|TestPairs|TestRefusedTextsAndEpisodes|TestRefunds|TestActs|TestActsLeaveHeldAlone"
)

// List is every planted fault.
var List = []Mutant{
	// A step opens once.
	{"token/code.go", "if g.matches(t.Last, code) {", "if false {", "I1", "token", tokenTests},
	{"token/code.go", "return t.Last + 1, min(", "return t.Last, min(", "I1", "token", tokenTests},
	{"token/code.go", "return max(t.Last+1, at-int64(w.Back)), at", "return at - int64(w.Back), at", "I1", "token", tokenTests},
	{"token/code.go", "at-int64(w.Back)), at + int64(w.Ahead)", "at-int64(w.Back)), at + int64(w.Ahead) + 1", "I1", "token", tokenTests},
	{"token/code.go", "m.Result, m.Step = Fresh, s\n", "m.Result, m.Step = Fresh, s\n\t\t\tbreak\n", "I1", "token", tokenTests},
	{"token/code.go", "m.Result, m.Step = Used, s\n", "m.Result, m.Step = Miss, s\n", "I1", "token", tokenTests},
	{"token/code.go", "if len(code) != int(t.Digits) || len(code) < MinDigits {", "if len(code) < MinDigits {", "I1", "token", tokenTests},
	{"authn/settle.go", "range s.eval.fits {", "range s.eval.fits[:1] {", "I1", "authn", ruleTests},
	{"authn/settle.go", "if s.step.Has(Burn) {", "if false {", "I1", "authn", ruleTests},
	{"authn/settle.go", "Last: f.match.Step, Drift", "Last: f.match.Step - 1, Drift", "I1", "authn", ruleTests},

	// What is over opens nothing.
	{"token/token.go", "now.Unix() >= t.Expiry {", "now.Unix() > t.Expiry {", "I4", "token", tokenTests},
	{"token/token.go", "t.State != Destroyed && t.Expiry != 0 &&", "t.Expiry != 0 &&", "I4", "token", tokenTests},
	{"authn/acts.go", "next.Generation++\n", "", "I4", "authn", ruleTests},
	{"authn/acts.go", "next.Assignments = slices.Clone(a.Assignments)\n", "", "I4", "authn", "TestActsLeaveHeldAlone"},
	{"authn/acts.go", "return s != nil && s.Standing != token.Revoked", "return s != nil", "I4", "authn", ruleTests},
	{"authn/acts.go", "case t.State == token.Destroyed:\n\t\treturn Change{}, refusal(\"token-destroyed\", \"Token %s is destroyed and cannot be used again.\", label(t))\n\tcase t.StateAt(a.Now) == token.Expired:\n\t\treturn Change{}, refusal(\"token-expired\", \"Token %s has expired; choose another one.\", label(t))\n\tcase acc.Holds(id):", "case t.StateAt(a.Now) == token.Expired:\n\t\treturn Change{}, refusal(\"token-expired\", \"Token %s has expired; choose another one.\", label(t))\n\tcase acc.Holds(id):", "I4", "authn", ruleTests},
	{"authn/acts.go", "case t.State == token.InUse && !share:", "case false:", "I4", "authn", ruleTests},

	// Limits hold exactly.
	{"token/code.go", "m.Candidates = int(high - low + 1)", "m.Candidates = int(high - low)", "I5", "token", tokenTests},
	{"token/code.go", "return int64(n) * 6 *", "return int64(n) * 3 *", "I5", "token", tokenTests},
	{"token/code.go", "int(today) < int(t.DriftDay)+driftEvery", "int(today) <= int(t.DriftDay)+driftEvery", "I5", "token", tokenTests},
	{"token/code.go", "off > 0 && t.Drift < driftCap", "off > 0", "I5", "token", tokenTests},
	{"token/code.go", "off < 0 && t.Drift > -driftCap", "off < 0", "I5", "token", tokenTests},
	{"token/code.go", "if t.Mode != TOTP || t.Form != Hardware {", "if t.Mode != TOTP {", "I5", "token", tokenTests},
	{"authn/account.go", "c.Pot == p && int(c.Day)+year >= int(today)", "c.Pot == p", "I5", "authn", guardTests},
	{"authn/account.go", "c.Pot == p && int(c.Day)+year >=", "int(c.Day)+year >=", "I5", "authn", guardTests},
	{"authn/account.go", "k.Hash == source && int(k.Day)+knownDays >= int(today)", "k.Hash == source", "I5", "authn", guardTests},
	{"authn/account.go", "old.Amount = max(old.Amount, c.Amount)", "old.Amount += c.Amount", "I5", "authn", guardTests},
	{"authn/account.go", "if len(g.Known) < knownLimit {", "if true {", "I5", "authn", guardTests},
	{"authn/account.go", "g.Row[c] = max(g.Row[c], o.Row[c])", "g.Row[c] = o.Row[c]", "I5", "authn", guardTests},
	{"authn/account.go", "g.Wait[c] = max(g.Wait[c], o.Wait[c])", "g.Wait[c] = o.Wait[c]", "I5", "authn", guardTests},
	{"authn/account.go", "g.TheftRun = max(g.TheftRun, o.TheftRun)", "g.TheftRun = o.TheftRun", "I5", "authn", guardTests},
	{"authn/account.go", "g.Stopped |= o.Stopped", "g.Stopped = o.Stopped", "I5", "authn", guardTests},
	{"authn/acts.go", "a.held() >= MostTokens", "a.held() > MostTokens", "I5", "authn", ruleTests},
	{"authn/acts.go", "len(a.Assignments) >= MostHolds &&", "len(a.Assignments) > MostHolds &&", "I5", "authn", ruleTests},
	{"authn/settle.go", "case s.step.Has(CountMiss):", "case false:", "I5", "authn", guardTests},
	{"authn/settle.go", "case s.step.Has(CountTheft):", "case false:", "I5", "authn", guardTests},
	{"authn/settle.go", "case s.step.Has(MissPair):", "case false:", "I5", "authn", ruleTests},
	{"authn/settle.go", "if s.counts {", "if true {", "I5", "authn", ruleTests},
	{"authn/settle.go", "g.Row[c] >= s.limits.Row[c] &&", "g.Row[c] > s.limits.Row[c] &&", "I5", "authn", guardTests},
	{"authn/settle.go", "g.TheftRun >= s.limits.TheftRun ||", "false ||", "I5", "authn", guardTests},
	{"authn/settle.go", "|| inYear >= s.limits.TheftYear)", ")", "I5", "authn", guardTests},
	{"authn/settle.go", "Spent(PotTheft, s.now) + 1", "Spent(PotTheft, s.now)", "I5", "authn", guardTests},
	{"authn/settle.go", "s.now.Add(w + time.Second - 1).Unix()", "s.now.Add(w - time.Second).Unix()", "I5", "authn", guardTests},
}
