package authn_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// twoDirectories gives a house a second directory lab beside corp, each with its realms.
func twoDirectories(h *house) (lab *people) {
	lab = &people{users: map[string]*authn.User{}, passwords: map[string]string{}}
	h.auth.Directories[0].Realms, h.auth.Directories[0].UPNSuffixes = realms(h.t, "CORP", "corp.example"), realms(h.t, "corp.co.jp")
	h.auth.Directories = append(h.auth.Directories, authn.Branch{Name: "lab", Directory: lab, Realms: realms(h.t, "LAB", "lab.example")})
	return lab
}

// slow is a directory that answers nothing before its time.
type slow struct {
	people
	bind   time.Duration
	asked  chan struct{}
	answer chan struct{} // look-ups wait for it to close
}

func (s *slow) BindTime() time.Duration { return s.bind }

func (s *slow) Lookup(ctx context.Context, name []byte) (*authn.User, error) {
	s.asked <- struct{}{}
	select {
	case <-s.answer:
		return s.people.Lookup(ctx, name)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestTheRealmChoosesThePerson: two people of one name are two people, whatever form the realm comes in, with passwords,
// tokens and lockout thresholds of their own.
func TestTheRealmChoosesThePerson(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
	lab := twoDirectories(h)
	gw := gate()
	corp := h.person("bob", "secret", 1)
	lab.users["bob"] = &authn.User{Directory: "lab", ID: "id-bob", Name: "bob", DN: "uid=bob"}
	lab.passwords["id-bob"] = "laboratory"
	code := func() string { h.clock.advance(time.Minute); return corp.devices[0].code(h.step(corp.devices[0])) }

	for _, typed := range []string{"bob", `CORP\bob`, "bob@corp.example", " ＢＯＢ@Corp.Example", "corp¥Bob"} {
		want(t, typed, h.try(gw, typed, "secret"+code(), home), authn.Accept, authn.OK)
	}
	for _, typed := range []string{`LAB\bob`, "bob@lab.example", "bob＠LAB"} {
		want(t, typed+", who has no token", h.try(gw, typed, "laboratory"+code(), home), authn.Reject, authn.NoToken)
	}
	for _, typed := range []string{"bob@other.example", `OTHER\bob`, `CORP\LAB\bob`, `CORP\`, "bob@"} {
		want(t, typed, h.try(gw, typed, "secret"+code(), home), authn.Reject, authn.UnknownUser)
	}
	for _, e := range h.events()[:5] {
		if e.Account != 0 {
			t.Errorf("%q was somebody", e.Personal.Name)
		}
	}
	names := 0
	for _, e := range h.events() {
		if slices.Contains([]string{`CORP\bob`, " ＢＯＢ@Corp.Example", `CORP\`}, string(e.Personal.Name)) {
			names++
		}
	}
	if names != 3 {
		t.Errorf("%d of 3 names are kept as they were typed", names)
	}

	// The threshold of the one directory does not hold the other's binds back.
	h.dir.set(func(p *people) { p.threshold = 2 })
	before := lab.sent.Load()
	for i := range 3 {
		h.clock.advance(time.Minute)
		h.try(gw, `LAB\bob`, fmt.Sprintf("wrong%d", i)+code(), "203.0.113.9")
	}
	if lab.sent.Load()-before != 3 {
		t.Errorf("lab was asked for %d passwords", lab.sent.Load()-before)
	}
	sent := h.dir.sent.Load()
	for i := range 3 {
		h.clock.advance(time.Minute)
		h.try(gw, `CORP\bob`, fmt.Sprintf("wrong%d", i)+code(), "203.0.113.9")
	}
	if h.dir.sent.Load() != sent {
		t.Errorf("corp, which locks after 2, was asked for %d passwords", h.dir.sent.Load()-sent)
	}
}

// TestAHungDirectoryTouchesNoOther holds I7: while one directory answers nobody, people of the other log in, and names of
// no directory are refused.
func TestAHungDirectoryTouchesNoOther(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
	twoDirectories(h)
	const stuck = 200
	hung := &slow{asked: make(chan struct{}, stuck), answer: make(chan struct{})}
	hung.lookups = errDown
	h.auth.Directories[1].Directory = hung
	gw := gate()
	p := h.person("bob", "secret", 1)
	answers := make(chan authn.Decision, stuck)
	for i := range stuck {
		h.auth.Authenticate(h.login(gw, fmt.Sprintf(`LAB\user%d`, i), "x", home, nil), func(d authn.Decision) { answers <- d })
	}
	for range stuck {
		<-hung.asked
	}
	for range 20 {
		h.clock.advance(time.Minute)
		want(t, "corp while lab hangs", h.try(gw, `bob@corp.example`, "secret"+p.devices[0].code(h.step(p.devices[0])), home), authn.Accept, authn.OK)
		want(t, "nobody while lab hangs", h.try(gw, "bob@other.example", "x", home), authn.Reject, authn.UnknownUser)
	}
	select {
	case d := <-answers:
		t.Fatalf("a login was answered without its directory: %+v", d)
	default:
	}
	close(hung.answer)
	for range stuck {
		if d := <-answers; d.Verdict != authn.Discard || d.Reason != authn.DirectoryDown {
			t.Fatalf("an outage was answered with %v (%v)", d.Verdict, d.Reason)
		}
	}
}

// TestRefusalsWaitForEveryDirectoryInReach holds S20 over several directories: one value for a client, from the slowest
// that its names can meet.
func TestRefusalsWaitForEveryDirectoryInReach(t *testing.T) {
	h := newHouse(t)
	twoDirectories(h)
	h.auth.Directories[0].Directory, h.auth.Directories[1].Directory = &slow{bind: 750 * time.Millisecond}, &slow{bind: 1500 * time.Millisecond}
	for _, tt := range []struct {
		what  string
		names authn.Names
		want  time.Duration
	}{
		{"every realm", authn.Names{}, 3 * time.Second},
		{"corp alone", authn.Names{Realms: realms(t, "CORP")}, 1500 * time.Millisecond},
		{"corp by its UPN suffix", authn.Names{Realms: realms(t, "corp.co.jp"), Default: "corp"}, 1500 * time.Millisecond},
		{"lab alone", authn.Names{Realms: realms(t, "lab.example"), Default: "lab.example"}, 3 * time.Second},
		{"nothing taken apart", authn.Names{Strip: authn.NoForm}, 1500 * time.Millisecond},
		{"nothing taken apart, in lab", authn.Names{Strip: authn.NoForm, Default: "lab"}, 3 * time.Second},
	} {
		gw := gate()
		gw.Names = tt.names
		if got := h.auth.RejectDelay(gw); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
}

// TestSpellingsDodgeNoLimit: what is remembered of a name is remembered of all its spellings, of people and of names that
// nobody has, so that limits and dialogues do not tell who exists.
func TestSpellingsDodgeNoLimit(t *testing.T) {
	spell := func(name string) []string {
		return []string{name, `CORP\` + name, name + "@corp.example", " " + name, name + "　", "corp￥" + name, name + "@CORP", name + "@corp.co.jp"}
	}
	t.Run("flood", func(t *testing.T) {
		h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
		twoDirectories(h)
		gw := gate()
		gw.TrustStation = false
		for i := range 40 {
			name := spell("ghost")[i%8]
			want(t, name, h.try(gw, name, "x", home), authn.Reject, authn.UnknownUser)
		}
		if n := len(h.events()); n != 19 {
			t.Errorf("40 attempts of one unknown name in 8 spellings made %d rows", n)
		}
	})
	t.Run("row 4", func(t *testing.T) {
		h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Joined: true, Window: token.LoginWindow})
		twoDirectories(h)
		gw := gate()
		p := h.person("bob", "secret", 1)
		names := spell("bob")[:7]
		for i := range 6 {
			h.try(gw, names[i], fmt.Sprintf("guess%d", i)+h.wrong(p, i), home)
		}
		sent := h.dir.sent.Load()
		if d := h.try(gw, names[6], "secret"+p.devices[0].code(h.step(p.devices[0])), home); d.Verdict != authn.Reject || h.dir.sent.Load() != sent {
			t.Errorf("the 7th spelling of a minute: %v (%v)", d.Verdict, d.Reason)
		}
	})
	t.Run("blind dialogue", func(t *testing.T) {
		h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Ask: true, Window: token.LoginWindow})
		twoDirectories(h)
		gw := gate()
		gw.Blind = true
		p := h.person("bob", "secret", 1)
		h.dir.users["bob@corp.co.jp"] = h.dir.users["bob"]
		for _, name := range []string{"bob", "ghost"} {
			for _, round := range [][2]int{{0, 1}, {1, 2}, {3, 5}, {0, 7}, {7, 2}} {
				h.clock.advance(time.Hour)
				first := h.try(gw, spell(name)[round[0]], "secret", home)
				second := h.try(gw, spell(name)[round[1]], h.wrong(p, 3), home, first.State...)
				if first.Verdict != authn.Challenge || second.Verdict != authn.Challenge {
					t.Errorf("%s, then %s: %v, then %v (%v)", spell(name)[round[0]], spell(name)[round[1]], first.Verdict, second.Verdict, second.Reason)
				}
			}
		}
	})
}
