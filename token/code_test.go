package token

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"sekisho/internal/testenv"
)

// seed20, seed32 and seed64 are the seeds of RFC 6238 Appendix B; the first is also that of RFC 4226 Appendix D.
var (
	seed20 = []byte("12345678901234567890")
	seed32 = []byte("12345678901234567890123456789012")
	seed64 = []byte("1234567890123456789012345678901234567890123456789012345678901234")
)

func totp(h Hash, digits uint8) *Token {
	return &Token{ID: 1, Form: Hardware, Mode: TOTP, Hash: h, Digits: digits, Period: 30, State: InUse, Last: NoStep}
}

func TestRFC4226AppendixD(t *testing.T) {
	tok := &Token{Mode: HOTP, Hash: SHA1, Digits: 6, Last: NoStep}
	for counter, want := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		if got := tok.Code(seed20, int64(counter)); got != want {
			t.Errorf("counter %d: %s: want %s", counter, got, want)
		}
	}
}

func TestRFC6238AppendixB(t *testing.T) {
	for _, c := range []struct {
		at                   int64
		sha1, sha256, sha512 string
	}{
		{59, "94287082", "46119246", "90693936"},
		{1111111109, "07081804", "68084774", "25091201"},
		{1111111111, "14050471", "67062674", "99943326"},
		{1234567890, "89005924", "91819424", "93441116"},
		{2000000000, "69279037", "90698825", "38618901"},
		{20000000000, "65353130", "77737706", "47863826"},
	} {
		now := time.Unix(c.at, 0)
		for _, v := range []struct {
			hash Hash
			seed []byte
			want string
		}{{SHA1, seed20, c.sha1}, {SHA256, seed32, c.sha256}, {SHA512, seed64, c.sha512}} {
			tok := totp(v.hash, 8)
			if got := tok.Code(v.seed, tok.StepAt(now)); got != v.want {
				t.Errorf("%v at %d: %s: want %s", v.hash, c.at, got, v.want)
			}
			m := tok.Evaluate(v.seed, []byte(v.want), now, LoginWindow)
			if m.Result != Fresh || m.Step != c.at/30 {
				t.Errorf("%v at %d: %+v: want step %d", v.hash, c.at, m, c.at/30)
			}
		}
	}
}

// TestCodesAgainstOthers compares with crypto/hmac and with pquerna/otp over seeds of every length, those longer than the
// block of their hash included.
func TestCodesAgainstOthers(t *testing.T) {
	functions := map[Hash]func() hash.Hash{SHA1: sha1.New, SHA256: sha256.New, SHA512: sha512.New}
	names := map[Hash]otp.Algorithm{SHA1: otp.AlgorithmSHA1, SHA256: otp.AlgorithmSHA256, SHA512: otp.AlgorithmSHA512}
	r := rand.New(rand.NewPCG(4226, 6238))
	for n := MinSeed; n <= 2*MaxSeed; n++ {
		for h, function := range functions {
			seed := randomOctets(r, n)
			tok := totp(h, uint8(MinDigits+r.IntN(3)))
			step := r.Int64N(MaxCounter)
			got := tok.Code(seed, step)

			m := hmac.New(function, seed)
			_ = binary.Write(m, binary.BigEndian, step)
			sum := m.Sum(nil)
			v := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & 0x7fffffff
			want := fmt.Sprintf("%010d", v)[10-tok.Digits:]
			if got != want {
				t.Fatalf("%v, %d octets, step %d: %s; crypto/hmac has %s", h, n, step, got, want)
			}
			want, err := hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(seed), uint64(step),
				hotp.ValidateOpts{Digits: otp.Digits(tok.Digits), Algorithm: names[h]})
			if err != nil || got != want {
				t.Fatalf("%v, %d octets, step %d: %s; pquerna/otp has %s, %v", h, n, step, got, want, err)
			}
		}
	}
}

func TestCodesAgainstOathtool(t *testing.T) {
	oathtool := testenv.Need(t, "oathtool")
	r := rand.New(rand.NewPCG(2, 6))
	for i := range 30 {
		h := SHA1 + Hash(i%3)
		tok := totp(h, uint8(MinDigits+i/3%3))
		tok.Period = uint16(MinPeriod + r.IntN(MaxPeriod-MinPeriod+1))
		seed := randomOctets(r, MinSeed+r.IntN(MaxSeed-MinSeed+1))
		at := r.Int64N(1 << 33)
		cmd := exec.Command(oathtool, "--totp="+h.String(), fmt.Sprintf("--digits=%d", tok.Digits),
			fmt.Sprintf("--time-step-size=%ds", tok.Period), fmt.Sprintf("--now=@%d", at), "-")
		cmd.Stdin = strings.NewReader(fmt.Sprintf("%x\n", seed))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", cmd.Args, err, out)
		}
		if got := tok.Code(seed, tok.StepAt(time.Unix(at, 0))); got != strings.TrimSpace(string(out)) {
			t.Errorf("%v: %s: oathtool has %s", cmd.Args, got, out)
		}
	}
}

func randomOctets(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestEvaluateWindow(t *testing.T) {
	const at = 1000 // the step of now
	now := time.Unix(at*30+29, 0)
	for _, c := range []struct {
		name   string
		change func(*Token)
		window Window
		code   int64 // the step whose code is typed
		want   Match
	}{
		{"now", nil, LoginWindow, at, Match{Fresh, at, 3}},
		{"one back", nil, LoginWindow, at - 1, Match{Fresh, at - 1, 3}},
		{"one ahead", nil, LoginWindow, at + 1, Match{Fresh, at + 1, 3}},
		{"two back", nil, LoginWindow, at - 2, Match{Miss, NoStep, 3}},
		{"two ahead", nil, LoginWindow, at + 2, Match{Miss, NoStep, 3}},
		{"exact window", nil, Window{}, at + 1, Match{Miss, NoStep, 1}},
		{"exact window hit", nil, Window{}, at, Match{Fresh, at, 1}},
		{"used", func(t *Token) { t.Last = at }, LoginWindow, at, Match{Used, at, 1}},
		{"skipped by a later one", func(t *Token) { t.Last = at }, LoginWindow, at - 1, Match{Used, at - 1, 1}},
		{"after the used one", func(t *Token) { t.Last = at }, LoginWindow, at + 1, Match{Fresh, at + 1, 1}},
		{"last used long ago", func(t *Token) { t.Last = 5 }, LoginWindow, 5, Match{Used, 5, 3}},
		{"before the last, outside the window", func(t *Token) { t.Last = at }, LoginWindow, at - 2, Match{Miss, NoStep, 1}},
		{"last in the future: nothing opens", func(t *Token) { t.Last = at + 100 }, LoginWindow, at, Match{Used, at, 0}},
		{"last in the future: its code", func(t *Token) { t.Last = at + 100 }, LoginWindow, at + 100, Match{Used, at + 100, 0}},
		{"last in the future: another", func(t *Token) { t.Last = at + 100 }, LoginWindow, at + 101, Match{Miss, NoStep, 0}},
		{"drift ahead", func(t *Token) { t.Drift = 5 }, LoginWindow, at + 6, Match{Fresh, at + 6, 3}},
		{"drift ahead: now", func(t *Token) { t.Drift = 5 }, LoginWindow, at, Match{Miss, NoStep, 3}},
		{"drift back", func(t *Token) { t.Drift = -5 }, LoginWindow, at - 6, Match{Fresh, at - 6, 3}},

		{"HOTP first", hotpAfter(NoStep), LoginWindow, 0, Match{Fresh, 0, 5}},
		{"HOTP end of the look-ahead", hotpAfter(NoStep), LoginWindow, 4, Match{Fresh, 4, 5}},
		{"HOTP past the look-ahead", hotpAfter(NoStep), LoginWindow, 5, Match{Miss, NoStep, 5}},
		{"HOTP last", hotpAfter(50), LoginWindow, 50, Match{Used, 50, 5}},
		{"HOTP ten counters back", hotpAfter(50), LoginWindow, 41, Match{Used, 41, 5}},
		{"HOTP eleven counters back", hotpAfter(50), LoginWindow, 40, Match{Miss, NoStep, 5}},
		{"HOTP next", hotpAfter(50), LoginWindow, 51, Match{Fresh, 51, 5}},
		{"HOTP second counter used", hotpAfter(1), LoginWindow, 0, Match{Used, 0, 5}},
		{"HOTP at its end", hotpAfter(MaxCounter - 1), LoginWindow, MaxCounter, Match{Fresh, MaxCounter, 1}},
		{"HOTP past its end", hotpAfter(MaxCounter), LoginWindow, MaxCounter + 1, Match{Miss, NoStep, 0}},
	} {
		tok := totp(SHA1, 6)
		if c.change != nil {
			c.change(tok)
		}
		if got := tok.Evaluate(seed20, []byte(tok.Code(seed20, c.code)), now, c.window); got != c.want {
			t.Errorf("%s: %+v: want %+v", c.name, got, c.want)
		}
	}
	// The first steps of all: the window does not reach below zero.
	tok := totp(SHA1, 6)
	if got := tok.Evaluate(seed20, []byte(tok.Code(seed20, 0)), time.Unix(3, 0), LoginWindow); got != (Match{Fresh, 0, 2}) {
		t.Errorf("1970: %+v", got)
	}
	if got := tok.StepAt(time.Unix(-1, 0)); got != 0 {
		t.Errorf("1969: step %d", got)
	}
}

func hotpAfter(last int64) func(*Token) {
	return func(t *Token) { t.Mode, t.Period, t.Last = HOTP, 0, last }
}

// TestOtherSpellings is B5 at the level of the code: what is no row of ASCII digits of the right length opens nothing.
func TestOtherSpellings(t *testing.T) {
	tok := totp(SHA1, 6)
	now := time.Unix(59, 0)
	for _, code := range []string{
		"", "287082 ", " 287082", "287 082", "0287082", "2870820", "28708", "287082\x00", "+287082", "\uff12\uff18\uff17\uff10\uff18\uff12", "94287082",
	} {
		if m := tok.Evaluate(seed20, []byte(code), now, LoginWindow); m != (Match{Miss, NoStep, 3}) {
			t.Errorf("%q: %+v", code, m)
		}
	}
	if m := tok.Evaluate(seed20, []byte("287082"), now, LoginWindow); m != (Match{Fresh, 1, 3}) {
		t.Errorf("the code itself: %+v", m)
	}
	tok.Digits = 0
	if m := tok.Evaluate(seed20, nil, now, LoginWindow); m.Result != Miss {
		t.Errorf("no digits against a broken token: %+v", m)
	}
}

// TestWindowIsExact is B12: of 10,001 steps around now exactly the window's open, judged by step (S16).
func TestWindowIsExact(t *testing.T) {
	const at, span = 2_000_000, 5_000
	for _, drift := range []int16{-20, -1, 0, 1, 20} {
		for _, w := range []Window{{}, LoginWindow, {Back: 2}, {Ahead: 3}, {Back: 10, Ahead: 10}} {
			tok := totp(SHA256, 8)
			tok.Drift = drift
			now := time.Unix(at*30, 0)
			for s := int64(at - span); s <= at+span; s++ {
				m := tok.Evaluate(seed32, []byte(tok.Code(seed32, s)), now, w)
				off := s - at - int64(drift)
				want := off >= -int64(w.Back) && off <= int64(w.Ahead)
				if (m.Result == Fresh) != want || (want && m.Step != s) || m.Candidates != w.Back+w.Ahead+1 {
					t.Fatalf("drift %d, %+v, %d steps off: %+v", drift, w, off, m)
				}
			}
		}
	}
}

// TestCoincidence is S16. The seeds were searched for: each shows one code at two steps close to each other.
func TestCoincidence(t *testing.T) {
	neighbours := []byte("coincidence000062470") // 859913 at steps 100 and 101
	apart := []byte("coincidence000187912")      // 587741 at steps 100 and 102
	for _, c := range []struct {
		name string
		seed []byte
		mode Mode
		last int64
		at   int64 // TOTP: the step of now
		want Match
	}{
		{"the highest step is taken", neighbours, TOTP, NoStep, 100, Match{Fresh, 101, 3}},
		{"the highest of the window only", neighbours, TOTP, NoStep, 99, Match{Fresh, 100, 3}},
		{"the text of the last burnt step is a replay", neighbours, TOTP, 100, 100, Match{Used, 100, 1}},
		{"and stays one a step later", neighbours, TOTP, 100, 101, Match{Used, 100, 2}},
		{"after both", neighbours, TOTP, 101, 101, Match{Used, 101, 1}},
		{"an older burnt step does not close a fresh one", apart, TOTP, 101, 101, Match{Fresh, 102, 1}},
		{"the last one does", apart, TOTP, 100, 101, Match{Used, 100, 2}},
		{"HOTP takes the highest too", neighbours, HOTP, 99, 0, Match{Fresh, 101, 5}},
		{"HOTP after the first", neighbours, HOTP, 100, 0, Match{Used, 100, 5}},
		{"HOTP after an older one", apart, HOTP, 101, 0, Match{Fresh, 102, 5}},
	} {
		tok := totp(SHA1, 6)
		if c.mode == HOTP {
			hotpAfter(c.last)(tok)
		}
		tok.Last = c.last
		code := tok.Code(c.seed, 100)
		if m := tok.Evaluate(c.seed, []byte(code), time.Unix(c.at*30, 0), LoginWindow); m != c.want {
			t.Errorf("%s: %+v: want %+v", c.name, m, c.want)
		}
	}
}

func TestDriftAfter(t *testing.T) {
	const at, day = 100_000, 34 // 100,000 steps of 30 s are 34.7 days
	now := time.Unix(at*30, 0)
	if Day(now) != day {
		t.Fatalf("day %d", Day(now))
	}
	for _, c := range []struct {
		name      string
		form      Form
		mode      Mode
		drift     int16
		changed   uint16
		step      int64
		want      int16
		wantSince uint16
	}{
		{"on time", Hardware, TOTP, 0, 0, at, 0, 0},
		{"one ahead", Hardware, TOTP, 0, 0, at + 1, 1, day},
		{"one back", Hardware, TOTP, 0, 0, at - 1, -1, day},
		{"far ahead moves one step", Hardware, TOTP, 0, 0, at + 9, 1, day},
		{"with drift on time", Hardware, TOTP, 3, 20, at + 3, 3, 20},
		{"with drift, back", Hardware, TOTP, 3, 20, at + 2, 2, day},
		{"changed six days ago", Hardware, TOTP, 3, day - 6, at + 4, 3, day - 6},
		{"changed seven days ago", Hardware, TOTP, 3, day - 7, at + 4, 4, day},
		{"changed in the future", Hardware, TOTP, 3, day + 9, at + 4, 3, day + 9},
		{"changed at the end of days", Hardware, TOTP, 3, 65_535, at + 4, 3, 65_535},
		{"at the cap", Hardware, TOTP, 20, 0, at + 21, 20, 0},
		{"at the cap, back", Hardware, TOTP, 20, 0, at + 19, 19, day},
		{"at the lower cap", Hardware, TOTP, -20, 0, at - 21, -20, 0},
		{"past the cap, further", Hardware, TOTP, 90, 0, at + 91, 90, 0},
		{"past the cap, back", Hardware, TOTP, 90, 0, at + 89, 89, day},
		{"below the lower cap, back", Hardware, TOTP, -128, 0, at - 127, -127, day},
		{"software", Software, TOTP, 0, 0, at + 1, 0, 0},
		{"event-based", Hardware, HOTP, 0, 0, at + 1, 0, 0},
	} {
		tok := totp(SHA1, 6)
		tok.Form, tok.Mode, tok.Drift, tok.DriftDay = c.form, c.mode, c.drift, c.changed
		if drift, since := tok.DriftAfter(c.step, now); drift != c.want || since != c.wantSince {
			t.Errorf("%s: %d since day %d: want %d since %d", c.name, drift, since, c.want, c.wantSince)
		}
	}
}

func TestGuessCosts(t *testing.T) {
	for _, c := range []struct {
		digits       uint8
		n            int
		single, pair int64
	}{
		{6, 1, 1e10, 6e4},
		{6, 3, 3e10, 18e4}, // a TOTP login: 3e-6, and 1.8e-11 for two codes in a row
		{6, 5, 5e10, 30e4}, // an HOTP login
		{7, 3, 3e9, 18e2},
		{8, 3, 3e8, 18},
		{8, 0, 0, 0},
	} {
		tok := totp(SHA1, c.digits)
		if tok.GuessCost(c.n) != c.single || tok.PairCost(c.n) != c.pair {
			t.Errorf("%d digits, %d steps: %d and %d: want %d and %d", c.digits, c.n, tok.GuessCost(c.n), tok.PairCost(c.n), c.single, c.pair)
		}
	}
	// S1: a pot of 4e-4 pays 133 wrong single codes of one TOTP token in a year.
	if got := int64(4e-4/GuessUnit) / totp(SHA1, 6).GuessCost(3); got != 133 {
		t.Errorf("%d guesses from the pot of unknown sources", got)
	}
}

func TestDay(t *testing.T) {
	for at, want := range map[int64]uint16{-5: 0, 0: 0, 86_399: 0, 86_400: 1, 1 << 40: 65_535} {
		if got := Day(time.Unix(at, 0)); got != want {
			t.Errorf("%d: day %d: want %d", at, got, want)
		}
	}
}

func TestEvaluateAllocatesNothing(t *testing.T) {
	for _, h := range []Hash{SHA1, SHA256, SHA512} {
		tok := totp(h, 6)
		code, now := []byte("123456"), time.Unix(1e9, 0)
		if n := testing.AllocsPerRun(1000, func() { tok.Evaluate(seed64, code, now, LoginWindow) }); n != 0 && !raceEnabled {
			t.Errorf("%v: %v allocations", h, n)
		}
	}
}

// TestGeneratorForgets: what a token's codes were made with is gone when the next token's come, whatever the hashes.
func TestGeneratorForgets(t *testing.T) {
	g, r := new(generator), rand.New(rand.NewPCG(7, 8))
	for range 300 {
		tok := totp([]Hash{SHA1, SHA256, SHA512}[r.IntN(3)], 8)
		seed := make([]byte, MinSeed+r.IntN(MaxSeed-MinSeed+1))
		for i := range seed {
			seed[i] = byte(r.Uint32())
		}
		fresh := new(generator)
		fresh.init(tok, seed)
		g.init(tok, seed)
		for step := range int64(5) {
			if got, want := string(g.code(step)), string(fresh.code(step)); got != want {
				t.Fatalf("%v, step %d: %s, by a generator of its own %s", tok.Hash, step, got, want)
			}
		}
		g.wipe()
		if clean := (generator{digits: g.digits, made: g.made, hash: g.hash, step: g.step}); *g != clean {
			t.Fatalf("%v: the generator keeps more than its hashes", tok.Hash)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	for _, h := range []Hash{SHA1, SHA256, SHA512} {
		b.Run(h.String(), func(b *testing.B) {
			tok := totp(h, 6)
			code, now := []byte("123456"), time.Unix(1e9, 0)
			b.ReportAllocs()
			for b.Loop() {
				tok.Evaluate(seed20, code, now, LoginWindow)
			}
		})
	}
}
