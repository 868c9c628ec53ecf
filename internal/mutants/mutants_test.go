package mutants

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// A guard that moved must not leave its mutant behind, nor a test that was renamed.
func TestListFitsTheSource(t *testing.T) {
	tests := map[string]string{}
	for _, m := range List {
		text, err := m.Plant(root)
		if err != nil {
			t.Error(err)
		} else if m.Anchor == m.With || text == "" {
			t.Errorf("%s: %q is no change", m.File, m.Anchor)
		}
		if tests[m.Package] == "" {
			files, err := filepath.Glob(filepath.Join(root, m.Package, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				tests[m.Package] += string(b)
			}
		}
		for name := range strings.SplitSeq(m.Run, "|") {
			if !strings.Contains(tests[m.Package], "func "+name+"(") {
				t.Errorf("%s: %s has no test %s", m.File, m.Package, name)
			}
		}
	}
}

func TestPlantWantsOnePlace(t *testing.T) {
	for _, anchor := range []string{"no such text \x00", "return"} {
		m := Mutant{File: "internal/mutants/mutants.go", Anchor: anchor}
		if _, err := m.Plant(root); err == nil {
			t.Errorf("Plant took the anchor %q", anchor)
		}
	}
}
