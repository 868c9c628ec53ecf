// Command cmd plants every mutant of package mutants, one build each, and says which the tests kill.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sekisho/internal/mutants"
)

// limit is how long one mutant may take, build included. One that hangs has not been killed by a test's word.
const limit = 3 * time.Minute

func main() {
	only := flag.String("only", "", "plant only the mutants of these invariants, such as I1,I2,I4")
	flag.Parse()
	if err := run(*only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(only string) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return fmt.Errorf("planting mutants: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var list []mutants.Mutant
	for _, m := range mutants.List {
		if only == "" || strings.Contains(","+only+",", ","+m.Invariant+",") {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("no mutant breaks %s; want invariants such as I1,I2", only)
	}
	verdicts := make([]string, len(list))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for i, m := range list {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			verdicts[i] = try(m, filepath.Join(dir, fmt.Sprint(i)))
			fmt.Printf("%s %s %s: %.70q (%s)\n", verdicts[i], m.Invariant, m.File, m.Anchor, m.Run)
		})
	}
	wg.Wait()
	killed := 0
	for _, v := range verdicts {
		if v == "killed" {
			killed++
		}
	}
	fmt.Printf("killed %d of %d planted\n", killed, len(list))
	if killed < len(list) {
		return errors.New("not every mutant was killed: write the missing test, or mend the entry in internal/mutants")
	}
	return nil
}

// try runs the named tests with one fault planted by an overlay, so that the tree stays as it is.
func try(m mutants.Mutant, path string) string {
	text, err := m.Plant(".")
	if err != nil {
		return "NOT BUILT: " + err.Error()
	}
	file, err := filepath.Abs(m.File)
	if err != nil {
		return "NOT BUILT: " + err.Error()
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: path + ".go"}})
	if err != nil {
		return "NOT BUILT: " + err.Error()
	}
	if err := errors.Join(os.WriteFile(path+".go", []byte(text), 0o600), os.WriteFile(path+".json", overlay, 0o600)); err != nil {
		return "NOT BUILT: " + err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "test", "-vet=off", "-failfast", "-timeout", "2m", "-overlay", path+".json",
		"-run", "^("+m.Run+")$", "./"+m.Package).CombinedOutput()
	switch {
	case err == nil:
		return "SURVIVED"
	case strings.Contains(string(out), "--- FAIL") || strings.Contains(string(out), "panic: ") && !strings.Contains(string(out), "test timed out"):
		return "killed"
	}
	return "NOT BUILT: " + strings.TrimSpace(string(out))
}
