package mutants

const (
	tokenTests = "TestEvaluateWindow|TestWindowIsExact|TestCoincidence|TestDriftAfter|TestGuessCosts|TestDay|TestStateAt"
	guardTests = "TestGuessCosts|TestMissesInARow|TestTheft|TestPotsAreExact|TestPotsRoll|TestKnownSources|TestGuardReplay|TestGuardMerge"
	ruleTests  = "TestBurnIsOnEveryTokenThatMatches|TestPairs|TestRefusedTextsAndEpisodes|TestRefunds|TestActs|TestActsLeaveHeldAlone"
)

// List is every planted fault. So far they are in the rules of token and authn; radius, storage, directory, operator, mail
// and audit have none yet.
var List = []Mutant{
	// A step opens once.
	{"token/code.go", "if g.matches(t.Last, code) {", "if false {", "I1", "token", tokenTests},
	{"token/code.go", "return t.Last + 1, min(", "return t.Last, min(", "I1", "token", tokenTests},
	{"token/code.go", "return max(t.Last+1, at-int64(w.Back)), at", "return at - int64(w.Back), at", "I1", "token", tokenTests},
	{"token/code.go", "at-int64(w.Back)), at + int64(w.Ahead)", "at-int64(w.Back)), at + int64(w.Ahead) + 1", "I1", "token", tokenTests},
	{"token/code.go", "m.Result, m.Step = Fresh, s\n", "m.Result, m.Step = Fresh, s\n\t\t\tbreak\n", "I1", "token", tokenTests},
	{"token/code.go", "m.Result, m.Step = Used, s\n", "m.Result, m.Step = Miss, s\n", "I1", "token", tokenTests},
	{"authn/settle.go", "range s.eval.fits {", "range s.eval.fits[:1] {", "I1", "authn", ruleTests},
	{"authn/settle.go", "if s.step.Has(Burn) {", "if false {", "I1", "authn", ruleTests},
	{"authn/settle.go", "Last: f.match.Step, Drift", "Last: f.match.Step - 1, Drift", "I1", "authn", ruleTests},

	// What is over opens nothing.
	{"token/token.go", "now.Unix() >= t.Expiry {", "now.Unix() > t.Expiry {", "I4", "token", tokenTests},
	{"token/token.go", "t.State != Destroyed && t.Expiry != 0 &&", "t.Expiry != 0 &&", "I4", "token", tokenTests},
	{"authn/acts.go", "next.Generation++\n", "", "I4", "authn", ruleTests},
	{"authn/acts.go", "next.Assignments = slices.Clone(a.Assignments)\n", "", "I4", "authn", "TestActsLeaveHeldAlone"},
	{"authn/acts.go", "return s != nil && s.Standing != token.Revoked", "return s != nil", "I4", "authn", ruleTests},
	{"authn/acts.go", "case t.State == token.InUse && !share:", "case false:", "I4", "authn", ruleTests},

	// Limits hold exactly.
	{"token/code.go", "m.Candidates = int(high - low + 1)", "m.Candidates = int(high - low)", "I5", "token", tokenTests},
	{"token/code.go", "return int64(n) * 6 *", "return int64(n) * 3 *", "I5", "token", tokenTests},
	{"token/code.go", "int(today) < int(t.DriftDay)+driftEvery", "int(today) <= int(t.DriftDay)+driftEvery", "I5", "token", tokenTests},
	{"authn/account.go", "c.Pot == p && int(c.Day)+year >=", "int(c.Day)+year >=", "I5", "authn", guardTests},
	{"authn/settle.go", "s.now.Add(w + time.Second - 1).Unix()", "s.now.Add(w - time.Second).Unix()", "I5", "authn", guardTests},
}
