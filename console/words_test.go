package console

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sekisho/authn"
	"sekisho/operator"
)

// families are the texts that are looked up by a value, with the values that there are.
func families() map[string][]string {
	all := map[string][]string{
		"state": {"accept", "reject", "challenge", "discard", "in stock", "in use", "expired", "destroyed", "pending", "active", "suspended", "revoked",
			"in-service", "waiting", "exempt", "none", "open", "approved", "refused", "withdrawn", "lapsed", "started", "used up", "set",
			"asked", "agreed", "used"},
		"form": {"hardware", "software"}, "span": plotSpans, "stage": {"lookup", "bind", "lock", "total"},
		"role": {"user"}, "part": {"store", "clock", "radius", "directory"}, "factor": {"password", "pin", "gateway", "none"},
		"case": {"both-right", "code-wrong", "first-wrong", "first-alone"}, "challenge": {"none", "plain", "blind"},
		"fix":  {"unlock", "user", "find", "name", "explain", "gateway", "service"},
		"step": {"gateway", "import", "login"}, "step-command": {"gateway", "import", "login"},
		"page": {"sign-in", "link", "own-token", "step-up", "second", "problem", "explain", "token", "user", "gateway"},
		"why":  {"deleted", "replaced", "lost", "stolen", "broken"}, "request-kind": {"new", "reactivate", "add", "hardware-token", "pin-reset", "stop-using"},
		"said": {"signed-out", "own-token", "undone", "act"}, "tested": {"works", "out-of-step"}, "what": {"assignment", "token", "expiry", "pin"}, "batch": batchNames,
		"problem": nil, // by the codes of the API: what is missing shows the API's sentence
	}
	for _, m := range menu {
		all["page"] = append(all["page"], m.Page)
	}
	for _, r := range []operator.Role{operator.Auditor, operator.Helpdesk, operator.Admin, operator.Master} {
		all["role"] = append(all["role"], r.String())
	}
	for kind, acts := range actKinds {
		if kind != "service" {
			all["page-of"] = append(all["page-of"], kind)
		}
		for name, a := range acts {
			all["act"] = append(all["act"], kind+"."+name)
			all["act-effect"] = append(all["act-effect"], kind+"."+name)
			for _, f := range a.Fields {
				all["field"] = append(all["field"], strings.TrimSuffix(f, "!"))
			}
		}
	}
	return all
}

var (
	inTemplates = regexp.MustCompile(`\bt "([^"]+)"`)
	inPrograms  = regexp.MustCompile(`word\((?:[a-z.]*Lang|lang), "([a-z0-9.-]+)"`)
)

// TestEveryTextIsThereAndUsed: a text that is missing in one language, a key without text, and a text that nothing shows
// all fail.
func TestEveryTextIsThereAndUsed(t *testing.T) {
	used := map[string]bool{}
	need := func(where, key string) {
		used[key] = true
		if _, known := words[key]; !known {
			t.Errorf("%s: no text %q", where, key)
		}
	}
	look := func(pattern string, in *regexp.Regexp) {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("nothing at %s: %v", pattern, err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range in.FindAllSubmatch(b, -1) {
				if key := string(m[1]); !strings.HasSuffix(key, ".") {
					need(name, key)
				}
			}
		}
	}
	look("templates/*.html", inTemplates)
	look("*.go", inPrograms)
	for family, values := range families() {
		for _, v := range values {
			need("family "+family, family+"."+v)
		}
	}
	for key, x := range words {
		if x.en == "" || x.ja == "" {
			t.Errorf("%s lacks a language", key)
		}
		if n := strings.Count(x.en, "%"); n != strings.Count(x.ja, "%") {
			t.Errorf("%s: the languages take different values", key)
		}
		family, _, _ := strings.Cut(key, ".")
		if family != "problem" && !used[key] {
			t.Errorf("%s is used nowhere", key)
		}
	}
	// Japanese typed with the wrong letters, and English left in Japanese.
	for key, x := range words {
		if strings.ContainsAny(x.en, "。、「」") {
			t.Errorf("%s: Japanese marks in English", key)
		}
		if !strings.ContainsFunc(x.ja, func(r rune) bool { return r > 0x2fff }) && x.ja != x.en {
			t.Errorf("%s: no Japanese", key)
		}
	}
}

// TestFixesAreForKnownReasons keeps the table of what mends a reason from naming reasons that are none.
func TestFixesAreForKnownReasons(t *testing.T) {
	b, err := os.ReadFile("logins.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, r := range authn.Reasons() {
		known[r.String()] = true
	}
	_, table, _ := strings.Cut(string(b), "switch e.Reason {")
	table, _, _ = strings.Cut(table, "return fix{}\n}")
	n := 0
	for _, m := range regexp.MustCompile(`(?s)case ([^:]+):`).FindAllStringSubmatch(table, -1) {
		for _, q := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(m[1], -1) {
			if n++; !known[q[1]] {
				t.Errorf("%s is no reason", q[1])
			}
		}
	}
	if n < 20 {
		t.Errorf("%d reasons found; the test looks in the wrong place", n)
	}
}
