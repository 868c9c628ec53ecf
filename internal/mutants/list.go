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
	{"authn/settle.go", "range s.eval.fits {", "range s.eval.fits[:1] {", "I1", "authn", ruleTests},
	{"authn/settle.go", "if s.step.Has(Burn) {", "if false {", "I1", "authn", ruleTests},
	{"authn/settle.go", "Last: f.match.Step, Drift", "Last: f.match.Step - 1, Drift", "I1", "authn", ruleTests},

	// What is over opens nothing.
	{"token/token.go", "now.Unix() >= t.Expiry {", "now.Unix() > t.Expiry {", "I4", "token", tokenTests},
	{"token/token.go", "t.State != Destroyed && t.Expiry != 0 &&", "t.Expiry != 0 &&", "I4", "token", tokenTests},
	{"authn/acts.go", "next.Generation++\n", "", "I4", "authn", ruleTests},
	{"authn/acts.go", "return s != nil && s.Standing != token.Revoked", "return s != nil", "I4", "authn", ruleTests},
	{"life/hold.go", "	if !share && w.others(id, h.Account) > 0 {\n", "	if false {\n", "I4", "life", "TestGuards"},

	// Limits hold exactly.
	{"token/code.go", "m.Candidates = int(high - low + 1)", "m.Candidates = int(high - low)", "I5", "token", tokenTests},
	{"token/code.go", "return int64(n) * 6 *", "return int64(n) * 3 *", "I5", "token", tokenTests},
	{"token/code.go", "int(today) < int(t.DriftDay)+driftEvery", "int(today) <= int(t.DriftDay)+driftEvery", "I5", "token", tokenTests},
	{"authn/account.go", "c.Pot == p && int(c.Day)+year >=", "int(c.Day)+year >=", "I5", "authn", guardTests},
	{"authn/settle.go", "s.now.Add(w + time.Second - 1).Unix()", "s.now.Add(w - time.Second).Unix()", "I5", "authn", guardTests},
	// radius: nothing is taken from who does not prove the secret.
	{"radius/digest.go", "return subtle.ConstantTimeCompare(d.mac.Sum(d.sum[:0]), raw[maAt:maAt+16]) == 1", "return true", "I2", "radius", "TestSigned|TestMessageAuthPolicy"},
	{"radius/digest.go", "return subtle.ConstantTimeCompare(d.md.Sum(d.sum[:0]), raw[4:headerLen]) == 1", "return true", "I9", "radius", "TestAccounting|TestAccountingFaults|TestDiscards|TestMetrics|TestRFC2865Examples"},
	{"radius/access.go", "case c.messageAuth == messageAuthRequired, raised, p.kinds&kindEAP != 0:", "case raised, p.kinds&kindEAP != 0:", "I2", "radius", "TestMessageAuthPolicy"},
	{"radius/access.go", "case c.messageAuth == messageAuthRequired, raised, p.kinds&kindEAP != 0:", "case c.messageAuth == messageAuthRequired, p.kinds&kindEAP != 0:", "I2", "radius", "TestMessageAuthPolicy|TestRatchet"},
	{"radius/access.go", "case c.limitProxies && p.proxyState > 0:", "case false:", "I2", "radius", "TestMessageAuthPolicy"},
	{"radius/access.go", "		return nil, faultMessageAuthWrong\n", "		return c.current(), noFault\n", "I2", "radius", "TestSigned|TestMessageAuthPolicy"},
	{"radius/access.go", "	case p.kinds.several():\n", "	case false:\n", "I9", "radius", "TestMethods|TestDiscards|TestPasswords|TestNoLogins"},
	{"radius/access.go", "	case p.repeated:\n", "	case false:\n", "I9", "radius", "TestDiscards|TestGatewayPackets|TestNoLogins|TestLenience"},
	// radius: a repetition gets the same answer and changes nothing.
	{"radius/cache.go", "		if old.same(digest, raw) {\n", "		if false {\n", "I3", "radius", "TestDuplicates|TestConflict"},
	{"radius/cache.go", "return e.digest == digest && e.length == len(raw) && ", "return ", "I3", "radius", "TestConflict"},
	{"radius/cache.go", "		old.abandoned = true\n", "", "I3", "radius", "TestReusedIdentifier|TestIdentifierWrap|TestRepetitions"},
	{"radius/cache.go", "now.Sub(rc.oldest.born) >= cacheLife", "now.Sub(rc.oldest.born) >= 10*cacheLife", "I3", "radius", "TestCacheBounds|TestDuplicates|TestRepetitions"},
	{"radius/turns.go", "func (t *turn) spend() *request { return t.of.Swap(nil) }", "func (t *turn) spend() *request { return t.of.Load() }", "I3", "radius", "TestAnsweredTwice|TestParallel"},
	{"radius/stamp.go", "return p.age > c.login.RetryAfter/2", "return false", "I7", "radius", "TestStale"},
	{"radius/stamp.go", "	if stamp == 0 || d < 0 || d > stampTrust {\n", "	if stamp == 0 {\n", "I7", "radius", "TestStale"},
	{"radius/access.go", "	case at.After(late):\n", "	case false:\n", "I8", "radius", "TestRefusalsLeaveInSlots|TestSlots|TestLateAccept|TestRefusalsAreEqual"},
	{"radius/access.go", "	case at.After(now):\n", "	case false:\n", "I8", "radius", "TestRefusalsLeaveInSlots|TestRefusalsAreEqual"},
	{"radius/access.go", "r.send(d.Batched, !now.After(late))", "r.send(d.Batched, true)", "I7", "radius", "TestLateAccept"},

	// storage: durable before the answer, and the file is the one that lives.
	{"storage/commit.go", "	if n, err := res.RowsAffected(); err != nil || n != 1 {\n", "	if _, err := res.RowsAffected(); err != nil {\n", "I1", "storage", "TestFenced"},
	{"storage/state.go", "	r.last = max(r.last, b.Last)\n", "	r.last = b.Last\n", "I1", "storage", "TestStore|TestReplayEqualsLive|TestCountsSurviveFault|TestImport"},
	{"storage/recover.go", "			r.last = max(r.last, old.tokens.at(o).last)\n", "			r.last = min(r.last, old.tokens.at(o).last)\n", "I1", "storage", "TestCountsSurviveFault|TestCommitFails|TestCommitUnknown"},
	{"storage/update.go", "		t.Last = max(t.Last, x.r.last)\n", "", "I1", "storage", "TestStore|TestSeedKnownAgain"},
	{"storage/imports.go", "		t.Last = max(t.Last, last)\n", "		t.Last = min(t.Last, last)\n", "I1", "storage", "TestSeedKnownAgain|TestImport"},
	{"storage/queue.go", "	if q.places >= q.limit {\n", "	if false {\n", "I7", "storage", "TestStore|TestPingHangs|TestHandedOut"},
	{"storage/queue.go", "	if q.stopped != nil {\n		return q.stopped\n	}\n	if q.places", "	if q.places", "I2", "storage", "TestFaultStopsAccepting|TestCommitFails"},
	{"storage/mark.go", "	case m.seq < k.Seq:\n", "	case false:\n", "I1", "storage", "TestNotLiving"},
	{"storage/mark.go", "	case !k.found:\n", "	case false:\n", "I1", "storage", "TestNotLiving"},
	{"storage/mark.go", "	case !bytes.Equal(k.Machine, machine) || !bytes.Equal(m.machine, machine):\n", "	case false:\n", "I1", "storage", "TestNotLiving"},
	{"storage/mark.go", "	case !bytes.Equal(m.incarnation, k.Incarnation) && !bytes.Equal(m.incarnation, k.Next):\n", "	case false:\n", "I1", "storage", "TestNotLiving|TestTakeOverCut"},
	{"storage/mark.go", "	if sum := sha256.Sum256(b); !bytes.Equal(sum[:16], slot[markHead-16:markHead]) {\n", "	if false {\n", "I1", "storage", "TestTornMark|TestMarkChanged"},
	{"storage/mark.go", "} else if !best.found || n > number {", "} else if !best.found {", "I1", "storage", "TestTornMark|TestMarkChanged"},
	{"storage/living.go", "	if err := flock(l.own); errors.Is(err, syscall.EWOULDBLOCK) {\n", "	if err := error(nil); errors.Is(err, syscall.EWOULDBLOCK) {\n", "I1", "storage", "TestOtherPaths"},
	{"storage/living.go", "	if at, err := inodeAt(l.looks[0]); err != nil || at != l.inode {\n", "	if _, err := inodeAt(l.looks[0]); err != nil {\n", "I2", "storage", "TestFileGone"},
	{"storage/load.go", "now.Sub(ev.At) <= verdictLife", "true", "I3", "storage", "TestVerdictsAndNonces"},
	{"storage/journal.go", "	if !bytes.Equal(c.secrets.link(c.head, r.first, r.count, r.at, r.cores), r.chain) {\n", "	if false && !bytes.Equal(r.cores, r.chain) {\n", "I6", "storage", "TestChainFlips"},

	// authn: dead things stay dead.
	{"authn/login.go", "	if f.Round == AnswerRound && t.state.generation != acc.Generation {\n", "	if false {\n", "I4", "authn", "TestStateForged|TestStateIsBound|TestChallenge"},
	{"authn/memo.go", "acc.Generation == m.generation && ", "", "I4", "authn", "TestMemoAttacked"},
	{"authn/ending.go", "func (a *Authenticator) clockDoubt() bool { return a.Clock != nil && a.Clock.Doubt() }", "func (a *Authenticator) clockDoubt() bool { return false }", "I1", "authn", "TestClockJumps|TestClockInDoubt"},
	{"authn/ending.go", "	if !t.answered.CompareAndSwap(false, true) {\n", "	if false {\n", "I3", "authn", "TestDoneOnce|TestAttemptsGoBackLast|TestAttemptsAfterAPanic"},
	{"authn/message.go", "	if m.State != MessageWaiting || now.Before(m.Due) {\n", "	if now.Before(m.Due) {\n", "I5", "authn", "TestMessageClaim"},
	{"authn/message.go", "	case !m.Until.IsZero() && !now.Before(m.Until):\n", "	case false:\n", "I9", "authn", "TestMessageAgain"},

	// operator: who may not, does not.
	{"operator/operator.go", "		if !p.Scope.Covers(person) && !person.Self {\n", "		if false && !person.Self {\n", "I8", "operator", "TestDecide"},
	{"operator/operator.go", " || p.Only != nil && !slices.Contains(p.Only, right) {\n		return NoRight", " {\n		return NoRight", "I5", "operator", "TestDecide"},
	{"operator/operator.go", "	if p.NoToken && row.Class != Reads {\n", "	if false {\n", "I4", "operator", "TestDecide"},
	{"operator/operator.go", "		if row.OnOperators && person.Operator != Nobody && p.Role != Master && !person.Self {\n", "		if false {\n", "I5", "operator", "TestDecide"},
	{"operator/operator.go", "return !at.IsZero() && !at.After(now) && now.Sub(at) < life", "return !at.IsZero() && now.Sub(at) < life", "I5", "operator", "TestDecide"},
	{"operator/operator.go", "	if r.Class == Changes && (policy.EveryTime || t.Count > policy.askAbove()) {\n", "	if r.Class == Changes && policy.EveryTime {\n", "I5", "operator", "TestDecide"},
	{"operator/operator.go", "	if !agreed && asksSecond(right, t, policy) {\n", "	if false {\n", "I5", "operator", "TestDecide"},
	{"operator/approval.go", "	case by.Name == a.AskedBy:\n", "	case false:\n", "I5", "operator", "TestApproval"},
	{"operator/approval.go", "	case digest != a.Digest:\n", "	case false:\n", "I5", "operator", "TestApproval"},
	{"operator/approval.go", "a.State == Agreed && now.Sub(a.Decided) >= AgreedLife", "false", "I5", "operator", "TestApproval"},
	{"operator/key.go", "subtle.ConstantTimeCompare(sum[:], k.Hash[:]) != 1 || ", "subtle.ConstantTimeCompare(sum[:], k.Hash[:]) > 1 || ", "I6", "operator", "TestKeys"},
	{"operator/key.go", " || !now.Before(k.Expires)", "", "I4", "operator", "TestKeys"},
	{"operator/key.go", "!k.Revoked.IsZero() || ", "", "I4", "operator", "TestKeys"},
	{"operator/key.go", "	case role > by.Role:\n", "	case false:\n", "I5", "operator", "TestKeys"},
	{"operator/key.go", "	case !scope.Within(by.Scope):\n", "	case false:\n", "I5", "operator", "TestKeys"},
	{"operator/limit.go", "p.Door != LocalSocket && d.Done >= limit {", "p.Door != LocalSocket && d.Done > limit {", "I5", "operator", "TestDaily"},
	{"operator/limit.go", "		seen[t] = true\n", "		seen[t+string(rune(len(seen)))] = true\n", "I5", "operator", "TestChecklist"},

	// mail, audit, backup: once, all of it, or nothing.
	{"mail/smtp.go", "	case known && fault.Reason == gomail.ErrSMTPDataClose && code == 0:\n", "	case false:\n", "I5", "mail", "TestOutcomes"},
	{"mail/smtp.go", "	if err != nil || strings.ContainsAny(to.Address, \"\\r\\n<>,;\\\" \") {\n", "	if err != nil {\n", "I9", "mail", "TestAddressesAreData"},
	{"mail/smtp.go", "		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))\n", "		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))\n", "I6", "mail", "TestStartTLSStripped"},
	{"mail/template.go", "			b.WriteString(oneLine(values[l.field[i]]))\n", "			b.WriteString(values[l.field[i]])\n", "I9", "mail", "TestRealServer|FuzzTemplate"},
	{"mail/mail.go", "	if n, err := s.Outbox.Interrupted(s.Now()); err != nil {\n", "	if n, err := 0, error(nil); err != nil {\n", "I5", "mail", "TestNeverTwice"},
	{"audit/stream.go", "		s.sent.Store(s.sent.Load() - min(s.sent.Load(), overlap))\n", "", "I2", "audit", "TestServerComesBack"},
	{"audit/stream.go", "		from = newest\n", "", "I2", "audit", "TestRestoredDatabase"},
	{"audit/record.go", "	if people {\n", "	if true {\n", "I6", "audit", "TestWithoutPeople"},
	{"backup/seal.go", "	r.buf, r.ended = plain, &kind[0] == &last[0]\n", "	r.buf, r.ended = plain, false\n", "I9", "backup", "TestRoundTrip|TestDamage"},
	{"backup/seal.go", "		if n, _ := r.r.Read(one[:]); n > 0 {\n", "		if n, _ := r.r.Read(one[:]); n > 1 {\n", "I9", "backup", "TestDamage"},
	{"backup/key.go", "	if !strings.EqualFold(write(prefix, b[:keySize]), s) {\n", "	if false {\n", "I9", "backup", "TestKeys"},

	// directory: an answer reaches its own question, and what was sent counts.
	{"directory/line.go", "	if q.left -= len(octets); q.left < 0 {\n", "	if q.left -= len(octets); false {\n", "I9", "directory", "TestAnswerIsBounded"},
	{"directory/conn.go", "		err = fmt.Errorf(\"%w: %w\", authn.ErrNotSent, err)\n", "", "I5", "directory", "TestNotSent|TestDeadConnectionIsNotUsedForABind|TestBindIsSentOnce"},
	{"directory/queue.go", "	if delay > patience-patience/8 || len(q.waiting) >= maxWaiting {\n", "	if len(q.waiting) >= maxWaiting {\n", "I7", "directory", "TestQueueRefusesInTime"},

	// life: from when, for how long, how often.
	{"life/end.go", "func (w *work) lastMaster(h *Holder, id token.ID) *Refusal {\n", "func (w *work) lastMaster(h *Holder, id token.ID) *Refusal {\n\tif h != nil {\n\t\treturn nil\n\t}\n", "I5", "life", "TestO10OwnToken|TestGuards"},
	{"life/activation.go", "	case !same(v.Session, session):\n		return v, Change{}, refuse(StartElse, h.Name)\n", "", "I5", "life", "TestK3OneStartOneUse|TestGuards|TestK3Starts"},
	{"life/activation.go", "	next.Used++\n", "", "I5", "life", "TestK3OneStartOneUse|TestK3QuotaUnderRaces"},
	{"life/request.go", "	case a.By&staff != 0 && a.Account == r.Account:\n", "	case false:\n", "I5", "life", "TestGuards|TestSecondPerson|TestK5Policy"},
	{"life/cooldown.go", "inside && end.After(later)", "inside && end.Before(later)", "I5", "life", "TestO4Examples"},
	{"life/pin.go", "	case run(small, 1) || run(small, -1):\n", "	case run(small, 1):\n", "I9", "life", "TestK8PIN|TestGuards"},

	// admin: what takes seeds or the store out is the administrator's.
	{"admin/export.go", "		if err := s.administrator(ctx); err != nil {\n			return nil, err\n		}\n", "", "I6", "admin", "TestExportRefused"},
	{"admin/backup.go", "	if err := s.administrator(r.Context()); err != nil {\n		s.refuse(w, err)\n		return\n	}\n", "", "I6", "admin", "TestBackup"},
	{"admin/peer.go", "func (p Peer) administers() bool { return p.UID == 0 || int(p.UID) == os.Geteuid() }", "func (p Peer) administers() bool { _ = os.Geteuid; return true }", "I6", "admin", "TestExportRefused|TestBackup"},
	{"storage/update.go", "			t.Last = max(t.Last, last)\n", "			t.Last = min(t.Last, last)\n", "I1", "storage", "TestSeedKnownAgain"},
	{"storage/mark.go", "	case m.epoch < k.Epoch:\n", "	case false:\n", "I1", "storage", "TestMarkKnowsEpochs"},
	{"storage/living.go", "	case err != nil || at != l.wal:\n", "	case false:\n", "I2", "storage", "TestWALGone"},
	{"directory/entry.go", "			if sameName(v, name) {\n", "			if sameName(v, name) || true {\n", "I8", "directory", "TestFoundEntryMustFit"},
	{"directory/line.go", "	if m.id == noticeDisconnection {\n", "	if false {\n", "I7", "directory", "TestNoticeOfDisconnection"},
}
