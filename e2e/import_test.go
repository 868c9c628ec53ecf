package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layeh.com/radius"

	"sekisho/internal/testenv"
	"sekisho/token"
)

// file writes a file into the site's folder and gives its path.
func (s *site) file(name, text string) string {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

// seedFile is a file of tokens without users.
func seedFile(keys []*key) string {
	var b strings.Builder
	b.WriteString(importHead)
	for _, k := range keys {
		b.WriteString(k.row(""))
	}
	return b.String()
}

// importReport is what these tests want of `token import --json`.
type importReport struct {
	Tokens, Assigned, Users, Here, Faults int
	ByKind                                map[string]int `json:"faults_by_kind"`
	List                                  []struct {
		Line          int
		Kind, Problem string
	} `json:"fault_list"`
}

// imported runs the command with --json.
func (s *site) imported(wantStatus int, args ...string) (r importReport, said string) {
	s.t.Helper()
	out, status := s.try("", append([]string{"token", "import", "--json"}, args...)...)
	if status != wantStatus {
		s.t.Fatalf("token import %s: status %d: %s", strings.Join(args, " "), status, out)
	}
	in := json.NewDecoder(strings.NewReader(out)) // what stands on standard error follows
	if err := in.Decode(&r); err != nil && status == 0 {
		s.t.Fatalf("token import %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return r, out
}

// oathtool gives the code that another program makes of the same seed.
func oathtool(t *testing.T, k *key, counter int64) string {
	t.Helper()
	args := []string{"--hotp", "-c", strconv.FormatInt(counter, 10)}
	if k.tok.Mode == token.TOTP {
		args = []string{"--totp"}
	}
	out, err := exec.Command("oathtool", append(args, hex.EncodeToString(k.seed))...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestCartonOfTokens is a carton's first afternoon: 500 tokens for 500 people of a directory are looked at, imported and
// assigned by one command, and codes of another program log these people in. The same command again changes nothing.
func TestCartonOfTokens(t *testing.T) {
	testenv.Need(t, "oathtool")
	const n = 500
	tries := full(t, n, 40)
	dir := testenv.Slapd(t, testenv.SlapdOptions{Users: n})
	s := newSite(t, siteOptions{Directory: ldapSection(dir, ""), Client: "    first_factor: gateway\n",
		Policies: "policies:\n  - name: behind-the-gateway\n    first_factor: gateway\n"})
	s.start()
	keys := append(newKeys(t, token.HOTP, "H", n/2), newKeys(t, token.TOTP, "T", n/2)...)
	who := "serial,user\n"
	name := func(i int) string { return fmt.Sprintf("user%04d", i+1) }
	for i, k := range keys {
		typed := name(i)
		if i%7 == 0 {
			typed = strings.ToUpper(typed)
		}
		who += k.serial + "," + typed + "\n"
	}
	carton, users := s.file("carton.csv", seedFile(keys)), s.file("who.csv", who)

	begin := time.Now()
	if r, _ := s.imported(0, carton, "--users", users, "--dry-run"); r.Tokens != n || r.Assigned != n || r.Users != n || r.Faults != 0 {
		t.Errorf("dry run: %+v", r)
	}
	if out := s.cli("token", "list", "--json"); strings.Contains(out, "H000000") {
		t.Error("the dry run brought tokens in")
	}
	t.Logf("%d tokens looked at in %v, the look-ups of their owners included", n, time.Since(begin).Round(time.Millisecond))
	begin = time.Now()
	if r, _ := s.imported(0, carton, "--users", users); r.Tokens != n || r.Assigned != n || r.Faults != 0 {
		t.Fatalf("import: %+v", r)
	}
	t.Logf("%d tokens imported and assigned by one command in %v", n, time.Since(begin).Round(time.Millisecond))
	each(4, tries, func(i int) {
		i = i * n / tries
		a, err := s.gw().login(context.Background(), name(i), oathtool(t, keys[i], 0), nil)
		if err != nil || a.code != radius.CodeAccessAccept {
			t.Errorf("%s: %v, %v", name(i), a.code, err)
		}
	})
	if r, _ := s.imported(0, carton, "--users", users); r.Tokens != 0 || r.Here != n || r.Faults != 0 {
		t.Errorf("the same command again: %+v", r)
	}

	// More tokens for the same people, who have accounts by now.
	more := newKeys(t, token.HOTP, "M", n)
	second := "serial,user\n"
	for i, k := range more {
		second += k.serial + "," + name(i) + "\n"
	}
	if r, _ := s.imported(0, s.file("more.csv", seedFile(more)), "--users", s.file("second.csv", second)); r.Tokens != n || r.Assigned != n {
		t.Fatalf("second tokens: %+v", r)
	}
	for _, i := range []int{0, n - 1} {
		if a, err := s.gw().login(context.Background(), name(i), more[i].code(0), nil); err != nil || a.code != radius.CodeAccessAccept {
			t.Errorf("%s with the second token: %v, %v", name(i), a.code, err)
		}
	}

	// Names that fit nobody or two people, all told at once.
	strange := newKeys(t, token.HOTP, "X", 3)
	text := importHead + strange[0].row("nobody.at.all") + strange[1].row("twin") + strange[2].row("user0001")
	r, said := s.imported(1, s.file("strange.csv", text))
	if r.ByKind["unknown-user"] != 1 || r.ByKind["ambiguous-user"] != 1 || r.Faults != 2 || !strings.Contains(said, "Nothing was imported: the file has 2 fault") ||
		!strings.Contains(said, `line 2, column user: The directory knows no user "nobody.at.all"`) {
		t.Errorf("%+v: %s", r, said)
	}
	if r, _ := s.imported(0, s.path("strange.csv"), "--skip-bad"); r.Tokens != 1 || r.Faults != 2 {
		t.Errorf("with the bad rows left out: %+v", r)
	}

	// An outage is not an unknown user: nothing comes in.
	dir.Stop()
	late := newKeys(t, token.HOTP, "L", 2)
	if _, said := s.imported(1, s.file("late.csv", importHead+late[0].row("alice")+late[1].row("bob")), "--skip-bad"); !strings.Contains(said, "The directory does not answer") {
		t.Errorf("without the directory: %s", said)
	}
	if _, status := s.try("", "token", "show", "L000000"); status != 1 {
		t.Error("a token came in while its owner could not be asked about")
	}
}

// TestImportWhileLogins imports files of growing size while people log in: nobody is refused, and the time grows with the
// file.
func TestImportWhileLogins(t *testing.T) {
	const workers = 8
	largest := full(t, 100_000, 4_000)
	s := newSite(t, siteOptions{})
	s.start()
	keys, names := newKeys(t, token.HOTP, "W", workers), users(workers)
	for _, k := range keys {
		k.distinct(largest / 2)
	}
	s.load(keys, names)
	var refused, silent, accepted atomic.Int64
	var slowest atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			gw := s.gw()
			for step := int64(0); ; step++ {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				begin := time.Now()
				a, err := gw.login(context.Background(), names[i], keys[i].code(step), nil)
				for took := int64(time.Since(begin)); ; {
					if old := slowest.Load(); took <= old || slowest.CompareAndSwap(old, took) {
						break
					}
				}
				switch {
				case err != nil:
					silent.Add(1)
				case a.code == radius.CodeAccessAccept:
					accepted.Add(1)
				default:
					refused.Add(1)
				}
			}
		})
	}
	for i, n := range []int{largest / 5, largest * 2 / 5, largest} {
		bulk := newKeys(t, token.TOTP, fmt.Sprintf("B%d-", i), n)
		var text strings.Builder
		text.WriteString(importHead)
		for k, x := range bulk {
			text.WriteString(x.row(fmt.Sprintf("holder%06d", k))) // accounts from the second file on
		}
		path := s.file("bulk.csv", text.String())
		before, begin := accepted.Load(), time.Now()
		r, _ := s.imported(0, path)
		took := time.Since(begin)
		if r.Tokens != n || r.Assigned != n {
			t.Errorf("%+v", r)
		}
		t.Logf("%6d tokens with users: %6.2f s, %5.0f us each; %d logins went on meanwhile", n, took.Seconds(), float64(took.Microseconds())/float64(n), accepted.Load()-before)
	}
	close(stop)
	wg.Wait()
	if refused.Load() != 0 || silent.Load() != 0 || accepted.Load() == 0 {
		t.Errorf("%d accepted, %d refused, %d without an answer", accepted.Load(), refused.Load(), silent.Load())
	}
	t.Logf("%d logins, none refused; the slowest took %v", accepted.Load(), time.Duration(slowest.Load()).Round(time.Millisecond))
}

// TestImportCutOff ends the service, or the command, at random moments of an import: afterwards all of the file is there or
// nothing, and the same file comes in.
func TestImportCutOff(t *testing.T) {
	const n = 1500
	s := newSite(t, siteOptions{})
	s.start()
	for round := range full(t, 20, 4) {
		// New people first, who have accounts in the seven rounds after that.
		person := func(i int) string { return fmt.Sprintf("p%d-%04d", round/8, i) }
		keys := newKeys(t, token.HOTP, fmt.Sprintf("R%d-", round), n)
		var text strings.Builder
		text.WriteString(importHead)
		for i, k := range keys {
			text.WriteString(k.row(person(i)))
		}
		path := s.file("cut.csv", text.String())
		program, err := binary()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "token", "import", path)
		cmd.Env = append(os.Environ(), "SEKISHO_SOCKET="+s.path("admin.sock"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
		what := "the service"
		if round%2 == 0 {
			s.kill()
			_ = cmd.Wait()
			s.start()
		} else {
			what = "the command"
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		count := func() int {
			return strings.Count(s.cli("token", "list", "--json"), fmt.Sprintf(`"serial": "R%d-`, round))
		}
		first := count()
		if first != 0 && first != n {
			t.Fatalf("round %d, %s was ended: %d tokens of %d", round, what, first, n)
		}
		// What was cut is cleared in the background, and meanwhile the same tokens may be refused as under way.
		deadline := time.Now().Add(90 * time.Second)
		for out, status := s.try("", "token", "import", path); status != 0; out, status = s.try("", "token", "import", path) {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: the same file again: %s", round, out)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if got := count(); got != n {
			t.Fatalf("round %d: %d tokens of %d", round, got, n)
		}
		i := rand.IntN(n)
		a, err := s.gw().login(context.Background(), person(i), keys[i].code(0), nil)
		if err != nil || a.code != radius.CodeAccessAccept {
			t.Errorf("round %d: a code of the file: %v, %v", round, a.code, err)
		}
		t.Logf("round %d: %s was ended, %d tokens were there", round, what, first)
	}
}
