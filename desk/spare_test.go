package desk_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

// door lets people in by codes, as the service does.
type door struct {
	*house
	auth *authn.Authenticator
	gate *authn.Client
	port atomic.Uint32
}

// spelled gives the attributes of a reply in words.
func spelled(list []authn.Attribute) (b []byte, _ error) {
	for _, a := range list {
		b = append(b, a.Name+"="+a.Value+" "...)
	}
	return b, nil
}

func newDoor(t testing.TB, policy *authn.Policy) *door {
	h := newHouse(t)
	policy.Window = token.LoginWindow
	return &door{house: h, gate: &authn.Client{Name: "gw", Service: "gw", TrustStation: true, GatewayProves: policy.First == authn.Gateway, CanChallenge: policy.Ask, Tries: 3,
		Prompts: authn.DefaultPrompts, Deadline: 20 * time.Second},
		auth: &authn.Authenticator{Directories: h.desk.Directories, Store: h.db, Keys: h.db.Keys(), Policies: []*authn.Policy{policy}, Limits: authn.NormalLimits,
			Replies: &authn.ReplyBook{Encode: spelled, Rules: []*authn.ReplyRule{{Name: "registration", Clients: []string{"none"}, Set: []authn.Attribute{{Name: "Filter-Id", Value: "registration"}}}}},
			Spares:  h.desk.Spares(), Clock: &authn.Clock{}, Now: h.now, Log: h.desk.Log}}
}

// text tries to get in, from where the person always is.
func (d *door) text(name, text string, state ...byte) authn.Decision {
	return d.from("198.51.100.7", name, text, state...)
}

func (d *door) from(station, name, text string, state ...byte) authn.Decision {
	d.t.Helper()
	n := d.port.Add(1)
	answer := make(chan authn.Decision, 1)
	d.auth.Authenticate(&authn.Login{Client: d.gate, Name: []byte(name), Text: authn.NewSecret([]byte(text)), Station: []byte(station), State: state, Method: authn.PAP,
		Source: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(n)), Packet: []byte{1, byte(n >> 8), byte(n)}, Arrived: time.Now(), Signed: true}, func(a authn.Decision) { answer <- a })
	return <-answer
}

func (d *door) want(what string, got authn.Decision, v authn.Verdict, r authn.Reason) {
	d.t.Helper()
	if got.Verdict != v || got.Reason != r {
		d.t.Errorf("%s: %v (%v), want %v (%v)", what, got.Verdict, got.Reason, v, r)
	}
}

// show gives a person's next temporary code.
func (d *door) show(account authn.AccountID) string {
	d.t.Helper()
	code, _, err := d.desk.ShowTemporary(context.Background(), self(account))
	d.ok(err)
	return string(code.Reveal())
}

func (d *door) spare(account authn.AccountID) bool {
	d.t.Helper()
	a, err := d.db.Account(account)
	d.ok(err)
	return a.Spare
}

func (d *door) choosePIN(account authn.AccountID, pin string) error {
	_, err := d.desk.ChoosePIN(context.Background(), self(account), authn.NewSecret([]byte(pin)))
	return err
}

// wrongCode is a text of eight digits that is not the code.
func wrongCode(code string) string {
	b := []byte(code)
	b[0] = '0' + (b[0]-'0'+1)%10
	return string(b)
}

func alone() *authn.Policy { return &authn.Policy{Name: "p", First: authn.Gateway} }

// TestTemporary lets somebody in by temporary codes where six digits are expected, each once, until the device is used again.
func TestTemporary(t *testing.T) {
	d := newDoor(t, alone())
	taro := d.account("taro")
	phone := d.phone(taro)
	if d.spare(taro) {
		t.Fatal("an account without codes says that it has some")
	}
	_, err := d.desk.GiveTemporary(context.Background(), admin, taro, time.Time{})
	d.ok(err)
	first := d.show(taro)
	d.want("the first code", d.text("taro", first), authn.Accept, authn.OKTemporary)
	d.want("the same again", d.text("taro", first), authn.Reject, authn.AlreadyUsed)
	second := d.show(taro)
	d.want("a wrong one", d.text("taro", wrongCode(second)), authn.Reject, authn.WrongCode)
	a, err := d.db.Account(taro)
	d.ok(err)
	// Two candidates were evaluated: the three steps of the phone and the code that was shown.
	charged := a.Guard.Spent(authn.PotK, d.now())
	if want := phone.Token.GuessCost(3) + (&token.Token{Digits: 8}).GuessCost(1); a.Guard.Row[authn.ClassKnown] != 1 || charged != want {
		t.Errorf("a wrong code: %d misses in a row, %d charged, want %d", a.Guard.Row[authn.ClassKnown], charged, want)
	}
	third := d.show(taro)
	d.want("a code that another one followed", d.text("taro", second), authn.Reject, authn.WrongCode)
	d.want("the newest", d.text("taro", third), authn.Accept, authn.OKTemporary)
	if v := desk.ViewTemporary(d.holder(taro).Temporary); v.Used != 2 {
		t.Errorf("%d codes used", v.Used)
	}
	acts := d.acts()
	if n := len(acts); acts[n-1] != "temporary-codes.use" || acts[n-2] != "" {
		t.Errorf("behind the login: %q", acts[n-2:])
	}
	spaced := d.show(taro)
	d.want("as the page shows it", d.text("taro", spaced[:4]+" "+spaced[4:]), authn.Accept, authn.OKTemporary)
	fourth := d.show(taro)
	d.want("the device", d.text("taro", string(phone.code(d.house, 0).Reveal())), authn.Accept, authn.OK)
	if acts := d.acts(); acts[len(acts)-1] != "temporary-codes.end" || d.spare(taro) {
		t.Errorf("the device was used again: last act %q, account says codes: %v", acts[len(acts)-1], d.spare(taro))
	}
	d.want("a code of the ended set", d.text("taro", fourth), authn.Reject, authn.WrongCode)
	d.advance(2 * time.Minute)
	d.want("the device goes on", d.text("taro", string(phone.code(d.house, 0).Reveal())), authn.Accept, authn.OK)
	if _, err := d.db.VerifyChain(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestTemporaryEnds: no code opens when the set's time is over, nor after it was ended by hand.
func TestTemporaryEnds(t *testing.T) {
	d := newDoor(t, alone())
	taro := d.account("taro")
	d.phone(taro)
	_, err := d.desk.GiveTemporary(context.Background(), admin, taro, d.now().Add(time.Hour))
	d.ok(err)
	code := d.show(taro)
	d.advance(time.Hour)
	d.want("when the time is over", d.text("taro", code), authn.Reject, authn.WrongCode)
	_, err = d.desk.GiveTemporary(context.Background(), admin, taro, time.Time{})
	d.ok(err)
	code = d.show(taro)
	_, err = d.desk.EndTemporary(context.Background(), admin, taro)
	d.ok(err)
	d.want("after it was ended", d.text("taro", code), authn.Reject, authn.WrongCode)
	if d.spare(taro) {
		t.Error("the account still says that it has codes")
	}
}

// TestTemporaryOnce sends one code 64 times at once: one gets in.
func TestTemporaryOnce(t *testing.T) {
	d := newDoor(t, alone())
	taro := d.account("taro")
	d.phone(taro)
	_, err := d.desk.GiveTemporary(context.Background(), admin, taro, time.Time{})
	d.ok(err)
	for range 3 {
		code := d.show(taro)
		var accepts, used atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				switch a := d.text("taro", code); {
				case a.Verdict == authn.Accept:
					accepts.Add(1)
				case a.Reason == authn.AlreadyUsed:
					used.Add(1)
				}
			})
		}
		wg.Wait()
		if accepts.Load() != 1 || used.Load() != 63 {
			t.Errorf("one code 64 times: %d accepts, %d already used", accepts.Load(), used.Load())
		}
	}
	n := 0
	for _, act := range d.acts() {
		if act == "temporary-codes.use" {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d uses in the chain", n)
	}
}

// TestTemporaryBehindPassword splits eight digits off the password where a code waits, though the device has six.
func TestTemporaryBehindPassword(t *testing.T) {
	for _, factor := range []authn.FirstFactor{authn.Password, authn.PIN} {
		d := newDoor(t, &authn.Policy{Name: "p", First: factor, Joined: true})
		taro := d.account("taro")
		phone := d.phone(taro)
		const secret = "83512769"
		if factor == authn.PIN {
			d.ok(d.choosePIN(taro, secret))
		} else {
			d.auth.Directories = authn.Directories{{Name: "corp", Directory: passwords{d.auth.Directories[0].Directory, secret}}}
		}
		d.want("the device", d.text("taro", secret+string(phone.code(d.house, 0).Reveal())), authn.Accept, authn.OK)
		d.advance(2 * time.Minute)
		_, err := d.desk.GiveTemporary(context.Background(), admin, taro, time.Time{})
		d.ok(err)
		code := d.show(taro)
		d.want("a wrong code behind the right one", d.text("taro", secret+wrongCode(code)), authn.Reject, authn.WrongCode)
		d.want("a wrong one before the code", d.text("taro", "no"+code), authn.Reject, authn.WrongFirstRightCode)
		d.want("both right", d.text("taro", secret+code), authn.Accept, authn.OKTemporary)
		d.want("a wrong code of the device's length", d.text("taro", secret+wrongCode(string(phone.code(d.house, 0).Reveal()))), authn.Reject, authn.WrongCode)
		d.want("the device", d.text("taro", secret+string(phone.code(d.house, 0).Reveal())), authn.Accept, authn.OK)
	}
}

// passwords is a directory where everybody has the same one.
type passwords struct {
	authn.Directory
	password string
}

func (p passwords) Authenticate(_ context.Context, _ *authn.User, given authn.Secret) (authn.BindResult, error) {
	return authn.BindResult{OK: string(given.Reveal()) == p.password}, nil
}

// TestTemporaryRepeated: a gateway that brings the same login again gets the same answer, but not once the set was ended, and
// never for a first login, whose reply may be limited.
func TestTemporaryRepeated(t *testing.T) {
	d := newDoor(t, alone())
	d.gate.RepeatWithin = 30 * time.Second
	taro, jiro := d.account("taro"), d.account("jiro")
	_, err := d.desk.GiveTemporary(context.Background(), admin, taro, time.Time{})
	d.ok(err)
	code := d.show(taro)
	d.want("the code", d.text("taro", code), authn.Accept, authn.OKTemporary)
	d.want("the same login", d.text("taro", code), authn.Accept, authn.OKRepeated)
	d.want("from elsewhere", d.from("203.0.113.9", "taro", code), authn.Reject, authn.AlreadyUsed)
	if v := desk.ViewTemporary(d.holder(taro).Temporary); v.Used != 1 {
		t.Errorf("%d codes used", v.Used)
	}
	_, err = d.desk.EndTemporary(context.Background(), admin, taro)
	d.ok(err)
	if got := d.text("taro", code); got.Verdict == authn.Accept {
		t.Errorf("after the set was ended: %v", got.Reason)
	}
	first, _, err := d.desk.GiveFirstLogin(context.Background(), admin, jiro, "registration", time.Time{})
	d.ok(err)
	d.want("a first login", d.text("jiro", string(first.Reveal())), authn.Accept, authn.OKFirstLogin)
	if got := d.text("jiro", string(first.Reveal())); got.Verdict == authn.Accept {
		t.Errorf("a first login again: %v", got.Reason)
	}
}

// TestTemporaryAsked takes a temporary code as the answer of a dialogue.
func TestTemporaryAsked(t *testing.T) {
	d := newDoor(t, &authn.Policy{Name: "p", First: authn.Password, Ask: true})
	d.auth.Directories = authn.Directories{{Name: "corp", Directory: passwords{d.auth.Directories[0].Directory, "secret"}}}
	taro := d.account("taro")
	_, err := d.desk.GiveTemporary(context.Background(), admin, taro, time.Time{})
	d.ok(err)
	code := d.show(taro)
	asked := d.text("taro", "secret")
	d.want("the password", asked, authn.Challenge, authn.AskCode)
	again := d.text("taro", wrongCode(code), asked.State...)
	d.want("a wrong answer", again, authn.Challenge, authn.WrongCode)
	d.want("the code", d.text("taro", code, again.State...), authn.Accept, authn.OKTemporary)
}

// TestTemporaryInPairs asks for two codes in a row where strangers have failed, and takes the first for none.
func TestTemporaryInPairs(t *testing.T) {
	d := newDoor(t, alone())
	taro := d.account("taro")
	d.phone(taro)
	_, err := d.desk.GiveTemporary(context.Background(), admin, taro, time.Time{})
	d.ok(err)
	code := d.show(taro)
	for _, wrong := range slices.DeleteFunc([]string{"00000000", "11111111", "22222222", "33333333"}, func(w string) bool { return w == code })[:3] {
		d.want("a stranger", d.from("203.0.113.9", "taro", wrong), authn.Reject, authn.WrongCode)
	}
	d.want("the first of two", d.text("taro", code), authn.Reject, authn.FirstOfTwo)
	d.want("the first again", d.text("taro", code), authn.Reject, authn.AlreadyUsed)
	d.want("the second", d.text("taro", d.show(taro)), authn.Accept, authn.OKSecondCode)
}

// TestFirstLogin lets somebody in once who never had a token, with the attributes that the code names.
func TestFirstLogin(t *testing.T) {
	bears := &authn.Policy{Name: "p", First: authn.Password, Joined: true, Reply: []authn.Attribute{{Name: "Class", Value: "staff"}},
		Unenrolled: &authn.Unenrolled{Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Reply: []authn.Attribute{{Name: "Class", Value: "lobby"}}}}
	for _, policy := range []*authn.Policy{{Name: "p", First: authn.Password, Joined: true, Reply: bears.Reply}, bears} {
		d := newDoor(t, policy)
		d.auth.Directories = authn.Directories{{Name: "corp", Directory: passwords{d.auth.Directories[0].Directory, "secret"}}}
		jiro := d.account("jiro")
		give := func(attributes string) string {
			code, _, err := d.desk.GiveFirstLogin(context.Background(), admin, jiro, attributes, time.Time{})
			d.ok(err)
			return string(code.Reveal())
		}
		code := give("registration")
		got := d.text("jiro", "secret"+code)
		d.want("the code", got, authn.Accept, authn.OKFirstLogin)
		if string(got.Reply) != "Filter-Id=registration " {
			t.Errorf("the reply is %q", got.Reply)
		}
		if again := d.text("jiro", "secret"+code); again.Verdict == authn.Accept {
			t.Errorf("the code again: %v", again.Reason)
		}
		code = give("")
		got = d.text("jiro", "secret"+code)
		d.want("a code without limits", got, authn.Accept, authn.OKFirstLogin)
		if string(got.Reply) != "Class=staff " {
			t.Errorf("the reply is %q", got.Reply)
		}
		code = give("no such rule")
		d.want("a code whose attributes nobody knows", d.text("jiro", "secret"+code), authn.Reject, authn.ReplyMissing)
		if holder := d.holder(jiro); holder.First.Used {
			t.Error("it was used up")
		}
		code = give("")
		d.phone(jiro)
		if got := d.text("jiro", "secret"+code); got.Verdict == authn.Accept {
			t.Error("a first code opened for somebody who has a token")
		}
	}
}

// TestSpareOverRestore: a backup that is restored gives no code that may have been used since.
func TestSpareOverRestore(t *testing.T) {
	d := newDoor(t, alone())
	taro := d.account("taro")
	d.phone(taro)
	_, err := d.desk.GiveTemporary(context.Background(), admin, taro, time.Time{})
	d.ok(err)
	code := d.show(taro)
	d.adopt(taro)
	d.want("an old code", d.text("taro", code), authn.Reject, authn.WrongCode)
	d.ok(d.choosePIN(taro, "8351"))
	if d.spare(taro) {
		t.Error("another act gave the old codes back")
	}
	_, _, err = d.desk.GiveFirstLogin(context.Background(), admin, taro, "", time.Time{})
	d.refused(err, life.HasToken)
	fresh := d.show(taro)
	d.want("an old code beside a new one", d.text("taro", code), authn.Reject, authn.WrongCode)
	d.want("a new one", d.text("taro", fresh), authn.Accept, authn.OKTemporary)

	// Who never had a token may have codes of both kinds.
	jiro := d.account("jiro")
	_, err = d.desk.GiveTemporary(context.Background(), admin, jiro, time.Time{})
	d.ok(err)
	code = d.show(jiro)
	d.adopt(jiro)
	first, _, err := d.desk.GiveFirstLogin(context.Background(), admin, jiro, "", time.Time{})
	d.ok(err)
	d.want("an old code beside one for a first login", d.text("jiro", code), authn.Reject, authn.WrongCode)
	d.adopt(jiro)
	d.show(jiro)
	d.want("an old one for a first login", d.text("jiro", string(first.Reveal())), authn.Reject, authn.WrongCode)
}

// adopt does to an account what adopting a restored file does.
func (d *door) adopt(account authn.AccountID) {
	d.t.Helper()
	d.update(authn.Keys{Accounts: []authn.AccountID{account}}, func(h *authn.Held) (authn.Change, error) {
		a := *h.Accounts[0]
		a.Spare = false
		return authn.Change{Event: &authn.Event{At: d.now(), Kind: authn.ActEvent, Act: "test.adopt", Step: token.NoStep}, Accounts: []*authn.Account{&a}}, nil
	})
}

// TestSpareCostsOthersNothing: a login of an account without such codes looks at no record.
func TestSpareCostsOthersNothing(t *testing.T) {
	d := newDoor(t, alone())
	hanako := d.account("hanako")
	phone := d.phone(hanako)
	d.auth.Store = watched{d.db, t}
	d.want("the device", d.text("hanako", string(phone.code(d.house, 0).Reveal())), authn.Accept, authn.OK)
}

// watched fails a test when a record is named.
type watched struct {
	authn.Store
	t *testing.T
}

func (w watched) Update(keys authn.Keys, f func(*authn.Held) (authn.Change, error), done func(error)) error {
	if len(keys.Records) > 0 {
		w.t.Error("a record was held")
	}
	return w.Store.Update(keys, f, done)
}
