package mail

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// docs/mail.md lists the kinds and their fields; the table here and the one there are the same.
func TestDocumentedFields(t *testing.T) {
	b, err := os.ReadFile("../docs/mail.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		documented[strings.Trim(strings.TrimSpace(cells[1]), "`")] = strings.Fields(strings.ReplaceAll(cells[3], "`", ""))
	}
	for kind, f := range fields {
		got := documented[string(kind)]
		slices.Sort(got)
		if want := slices.Sorted(maps.Keys(f)); !slices.Equal(got, want) {
			t.Errorf("docs/mail.md says of %s: %v; it has %v", kind, got, want)
		}
	}
	if kinds := slices.Sorted(maps.Keys(fields)); !slices.Equal(kinds, Kinds()) {
		t.Errorf("templates have the kinds %v, and there are %v", kinds, Kinds())
	}
	if len(documented) != len(fields) {
		t.Errorf("docs/mail.md has %d kinds, the package %d", len(documented), len(fields))
	}
}
