// Package mutants plants faults: each takes one guard out of the source, and a named test must notice. A guard whose
// mutant survives has no test.
package mutants

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Mutant is one planted fault. Paths are relative to the root of the module.
type Mutant struct {
	File      string // the source with the guard
	Anchor    string // stands exactly once in File
	With      string // what takes its place
	Invariant string // what the fault breaks: I1 to I9
	Package   string // directory of the killing test
	Run       string // names of killing tests, joined by |
}

// Plant gives the text of the mutant's file with the fault in it.
func (m Mutant) Plant(root string) (string, error) {
	path := filepath.Join(root, m.File)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("planting a mutant: %w", err)
	}
	if n := strings.Count(string(text), m.Anchor); n != 1 {
		return "", fmt.Errorf("planting a mutant: %s holds %q %d times, want once; mend the entry in internal/mutants", m.File, m.Anchor, n)
	}
	return strings.Replace(string(text), m.Anchor, m.With, 1), nil
}
