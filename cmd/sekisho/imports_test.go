package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed says which packages of ours each package may build on. Tests may import more: real parts from testenv, and a
// store to run the rules on.
var allowed = map[string][]string{
	"token":            {},
	"life":             {"token"},
	"authn":            {"token"},
	"desk":             {"authn", "life", "token"},
	"internal/conf":    {},
	"internal/testenv": {},

	"internal/testenv/powercut": {"internal/testenv"},
	"internal/mutants":          {},
	"internal/mutants/cmd":      {"internal/mutants"},

	"internal/freeradius": {"authn", "token"},
	"internal/monitoring": {},
	"internal/sdnotify":   {},
	"directory":           {"authn", "token", "internal/conf"},
	"radius":              {"authn", "token", "radius/dictionary"},
	"operator":            {},
	"storage":             {"authn", "token", "operator"},
	"admin":               {"authn", "token", "operator", "life", "desk"},
	"internal/qrcode":     {},
	"console":             {"admin", "authn", "token", "operator", "life", "desk", "internal/qrcode"}, // it speaks the API's JSON, in its types
	"selfservice":         {"authn", "token", "operator", "life", "desk", "internal/qrcode"},
	"mail":                {"authn", "token"},
	"backup":              {},
	"audit":               {"authn", "token"},
	"e2e":                 {},

	"radius/dictionary":     {},
	"radius/dictionary/gen": {"radius/dictionary"},

	"cmd/sekisho": {"token", "authn", "internal/conf", "internal/freeradius", "internal/monitoring", "internal/qrcode", "internal/sdnotify", "directory", "radius", "radius/dictionary", "operator", "storage", "life", "desk", "admin", "console", "selfservice", "mail", "audit", "backup"},
}

// foreign says which modules of others must stay out of the middle: no network, database or wire format decides logins.
var foreign = map[string][]string{
	"token": {"net/http", "database/sql", "layeh.com/radius", "github.com/go-ldap/ldap/v3"},
	"life":  {"net/http", "database/sql", "layeh.com/radius", "github.com/go-ldap/ldap/v3"},
	"authn": {"net/http", "database/sql", "layeh.com/radius", "github.com/go-ldap/ldap/v3"},
	"desk":  {"database/sql", "layeh.com/radius", "github.com/go-ldap/ldap/v3"},
}

const module = "sekisho/"

type pkg struct {
	ImportPath string
	Deps       []string
	Standard   bool
}

func TestImportsRunOneWay(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Deps,Standard", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		seen++
		may, known := allowed[name]
		if !known {
			t.Errorf("package %s is in no rule; add it to the table, and to the layout in CONTRIBUTING.md", name)
			continue
		}
		for _, dep := range p.Deps {
			if d, ours := strings.CutPrefix(dep, module); ours && !slices.Contains(may, d) {
				t.Errorf("%s builds on %s, which it may not", name, d)
			}
			if slices.Contains(foreign[name], dep) && !viaPrometheus(name, dep) {
				t.Errorf("%s builds on %s, which belongs into an adapter", name, dep)
			}
		}
	}
	if seen < 8 {
		t.Fatalf("go list showed %d packages of ours; the test looks in the wrong place", seen)
	}
}

// viaPrometheus excuses net/http below authn: the metrics library brings it, and authn's own files do not import it.
func viaPrometheus(name, dep string) bool {
	if name != "authn" || dep != "net/http" {
		return false
	}
	out, err := exec.Command("go", "list", "-f", "{{join .Imports \"\\n\"}}", module+name).Output()
	return err == nil && !slices.Contains(strings.Fields(string(out)), dep)
}
