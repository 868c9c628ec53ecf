package console

import (
	"fmt"
	"maps"
)

// text is one text of the pages in both languages.
type text struct{ en, ja string }

// words is every text of the console, by key. Keys with a family that templates look up by a value, such as state.KEY, hold
// one for each value.
var words = func() map[string]text {
	all := map[string]text{}
	for _, part := range []map[string]text{commonWords, pageWords, peopleWords, actWords, valueWords, problemWords} {
		maps.Copy(all, part)
	}
	return all
}()

// word gives a text with its values filled in. An unknown key is a fault of the program, which a test finds.
func word(lang, key string, args ...any) string {
	t, known := words[key]
	if !known {
		panic("console: no text " + key)
	}
	s := t.en
	if lang == "ja" {
		s = t.ja
	}
	if len(args) == 0 {
		return s
	}
	return fmt.Sprintf(s, args...)
}
