package selfservice

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTexts: every text that a page or a handler asks for is there in both languages, every text is asked for, and
// placeholders are the same in both.
func TestTexts(t *testing.T) {
	used := map[string]bool{}
	inPage := regexp.MustCompile(`\bt "([^"]+)"`)
	inPagePart := regexp.MustCompile(`\bt \(print "([^"]+)"`)
	inCode := regexp.MustCompile(`"([a-z]+\.[a-z0-9.-]+)"`)
	files, err := filepath.Glob("templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	code, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, code...) {
		if name == "texts.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		find := func(re *regexp.Regexp, what func(string)) {
			for _, m := range re.FindAllSubmatch(data, -1) {
				what(string(m[1]))
			}
		}
		if strings.HasSuffix(name, ".html") {
			find(inPage, func(key string) {
				used[key] = true
				if _, ok := texts[key]; !ok {
					t.Errorf("%s asks for %s, which there is not", name, key)
				}
			})
			find(inPagePart, func(part string) {
				for key := range texts {
					used[key] = used[key] || strings.HasPrefix(key, part)
				}
			})
			continue
		}
		find(inCode, func(key string) { used[key] = true })
		find(regexp.MustCompile(`\?done=([a-z]+)`), func(key string) { used["done."+key] = true })
	}
	verbs := regexp.MustCompile(`%[a-z]`)
	for key, x := range texts {
		if x.ja == "" || x.en == "" {
			t.Errorf("%s is missing in a language", key)
		}
		if a, b := verbs.FindAllString(x.ja, -1), verbs.FindAllString(x.en, -1); strings.Join(a, "") != strings.Join(b, "") {
			t.Errorf("%s has the placeholders %v in Japanese and %v in English", key, a, b)
		}
		if !used[key] {
			t.Errorf("%s is used nowhere", key)
		}
	}
}
