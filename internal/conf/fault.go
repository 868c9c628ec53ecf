package conf

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Place is where a value stands: a line of a file, or an environment variable.
type Place struct {
	File   string // path, or "environment variable NAME"
	Line   int    // from 1; 0: the file as a whole
	Column int    // from 1, in characters
	text   string // the line itself, secrets hidden
}

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Place
	Key     string // dotted, such as radius.clients[2].address
	Problem string // what is wrong, one clause
	Advice  string // what to do about it; may be empty
}

// String gives "file:line", or what else the place is.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// String gives "file:line:column: key: problem; advice", and under it the line with a caret.
func (f Fault) String() string {
	s := f.Sentence()
	if f.text != "" {
		s += fmt.Sprintf("\n%6d | %s\n       | %s^", f.Line, f.text, strings.Repeat(" ", max(0, f.Column-1)))
	}
	return s
}

// Where gives "file:line:column", or what else the place is.
func (f Fault) Where() string {
	if f.Line == 0 {
		return f.File
	}
	return fmt.Sprintf("%s:%d", f.Place, f.Column)
}

// Sentence gives the first line of String, for a log.
func (f Fault) Sentence() string {
	var b strings.Builder
	b.WriteString(f.Where() + ": ")
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Problem)
	if f.Advice != "" {
		b.WriteString("; " + f.Advice)
	}
	return b.String()
}

// Faults is everything that is wrong, in the order of the files.
type Faults []Fault

// Error gives all faults, one after the other.
func (fs Faults) Error() string {
	parts := make([]string, len(fs))
	for i, f := range fs {
		parts[i] = f.String()
	}
	return strings.Join(parts, "\n")
}

func (fs Faults) sort(files []string) {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// secretKey knows the keys whose values no message may show. It errs on the side of hiding.
var secretKey = regexp.MustCompile(`(?i)(secret|passw|\bpin\b|seed|credential|token|private|bearer)`)

// visible is a line as a message may show it: the value of a key that smells of a secret is hidden, and so is every line
// that is not plainly "key: value", because it may be the inside of one.
func visible(line string) string {
	line = strings.TrimRight(line, " \r\n")
	if !utf8.ValidString(line) {
		return ""
	}
	key, value, found := strings.Cut(line, ":")
	switch {
	case strings.TrimSpace(line) == "":
		return ""
	case !found:
		return ""
	case strings.TrimSpace(value) == "":
		return line
	case secretKey.MatchString(key) || secretKey.MatchString(value):
		return key + ": [hidden]"
	case strings.Contains(value, ": "): // further keys in one line; one of them may be a secret's, mistyped
		return key + ": …"
	}
	return line
}

// Nearest finds the known word nearest to a mistyped one, whatever the case of letters, or nothing when none is near.
func Nearest(word string, known []string) string {
	lower := make([]string, len(known))
	for i, k := range known {
		lower[i] = strings.ToLower(k)
	}
	if i := slices.Index(lower, suggest(word, lower)); i >= 0 {
		return known[i]
	}
	return ""
}

// suggest finds the known word nearest to a mistyped one, or nothing when none is near.
func suggest(word string, known []string) string {
	best, least := "", 3
	if len(word) <= 3 {
		least = 2
	}
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < least || (d == least && best == "" && len(word) > 6) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours between two words.
func distance(a, b string) int {
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}
