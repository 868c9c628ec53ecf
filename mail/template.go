package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sekisho/authn"
)

// fields are what the templates of each kind may name beside common ones; sample values check and preview a template.
var fields = map[authn.MessageKind]map[string]string{
	authn.MailActivation:    {"link": "https://vpn.example.jp/a/EXAMPLE", "until": "2026-04-02 09:00 JST", "left": "2", "app_url": "https://vpn.example.jp/apps"},
	authn.MailReactivation:  {"link": "https://vpn.example.jp/a/EXAMPLE", "until": "2026-04-02 09:00 JST", "left": "2", "app_url": "https://vpn.example.jp/apps"},
	authn.MailExpiry:        {"date": "2026-04-01", "instant": "2026-04-01 09:00 JST", "last4": "4711", "url": "https://vpn.example.jp"},
	authn.MailDeviceAdded:   {"when": "2026-04-01 09:00 JST", "device": "Phone", "url": "https://vpn.example.jp"},
	authn.MailRequested:     {"when": "2026-04-01 09:00 JST", "reference": "123-4567"},
	authn.MailRefused:       {"reason": "...", "reference": "123-4567"},
	authn.MailRevoked:       {"when": "2026-04-01 09:00 JST", "device": "Phone", "from": "2026-04-01 21:19 JST", "url": "https://vpn.example.jp"},
	authn.MailRegister:      {"url": "https://vpn.example.jp"},
	authn.MailPINChanged:    {"when": "2026-04-01 09:00 JST", "url": "https://vpn.example.jp"},
	authn.MailTemporary:     {"when": "2026-04-01 09:00 JST", "until": "2026-04-01 18:00 JST", "url": "https://vpn.example.jp"},
	authn.MailAddress:       {"when": "2026-04-01 09:00 JST", "address": "t***@example.jp", "link": "https://vpn.example.jp/u/EXAMPLE", "until": "2026-04-04 09:00 JST"},
	authn.MailFailures:      {"when": "2026-04-01 09:00 JST", "url": "https://vpn.example.jp"},
	authn.MailTheft:         {"when": "2026-04-01 09:00 JST", "url": "https://vpn.example.jp"},
	authn.MailTwoCodes:      {"when": "2026-04-01 09:00 JST", "url": "https://vpn.example.jp"},
	authn.MailRefusedByRule: {"when": "2026-04-01 09:00 JST", "reason": "...", "url": "https://vpn.example.jp"},
	authn.MailStopped:       {"when": "2026-04-01 09:00 JST", "url": "https://vpn.example.jp"},
	authn.MailReset:         {"when": "2026-04-01 09:00 JST", "reference": "123-4567", "waiting": "3"},
}

// common are the fields that every template may name.
var common = []string{"name", "org", "help_name", "help_phone", "hours"}

// Kinds lists every kind of mail, sorted.
func Kinds() []authn.MessageKind { return slices.Sorted(slices.Values(authn.MessageKinds)) }

// Languages of templates.
var languages = [2]string{"ja", "en"}

//go:embed templates/*.txt
var builtIn embed.FS

// Templates are the texts of mails: the built-in ones, with those of the site in their place.
type Templates struct {
	of     map[string]template // by KIND.LANGUAGE
	common map[string]string
}

// Text is one mail, ready to be sent.
type Text struct{ Language, Subject, Plain, HTML string }

// LoadTemplates reads the built-in texts and those of dir ("": none). Every fault of the site's files is in the error, with
// file, line and column.
func LoadTemplates(dir string) (*Templates, error) {
	t := &Templates{of: map[string]template{}}
	var faults []error
	load := func(fsys fs.FS, folder, shown string) {
		names, err := fs.Glob(fsys, folder+"*.txt")
		if err != nil || len(names) == 0 && shown != "" {
			faults = append(faults, errors.Join(err, fmt.Errorf("%s holds no template; files are called KIND.ja.txt and KIND.en.txt", shown)))
			return
		}
		for _, path := range names {
			name := filepath.Base(path)
			text, err := fs.ReadFile(fsys, path)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			key := strings.TrimSuffix(name, ".txt")
			kind, language, _ := strings.Cut(key, ".")
			known := fields[authn.MessageKind(kind)]
			if known == nil || !slices.Contains(languages[:], language) {
				faults = append(faults, fmt.Errorf("%s: no mail is called so; names are KIND.ja.txt and KIND.en.txt, and the kinds are %s",
					filepath.Join(shown, name), kinds()))
				continue
			}
			tpl, err := parse(string(text), known)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s:%w", filepath.Join(shown, name), err))
			}
			t.of[key] = tpl
		}
	}
	load(builtIn, "templates/", "")
	if dir != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("%s is no folder that can be read", dir)
		}
		load(os.DirFS(dir), "", dir)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return t, nil
}

func kinds() string {
	var all []string
	for _, k := range Kinds() {
		all = append(all, string(k))
	}
	return strings.Join(all, ", ")
}

// Render makes the mail of a message: its language first, the other one below, because a mail is often read by somebody
// else than expected.
func (t *Templates) Render(m authn.Message) (Text, error) {
	order := languages
	if m.Language == "en" {
		order = [2]string{"en", "ja"}
	}
	values := maps.Clone(t.common)
	if values == nil {
		values = map[string]string{}
	}
	maps.Copy(values, m.Fields)
	text := Text{Language: order[0] + ", " + order[1]}
	var plain []string
	var rich []string
	for i, language := range order {
		tpl, ok := t.of[string(m.Kind)+"."+language]
		if !ok {
			return Text{}, fmt.Errorf("no template for mails of the kind %q", m.Kind)
		}
		values := maps.Clone(values)
		for name := range values {
			if v, ok := m.Fields[name+"."+language]; ok {
				values[name] = v
			}
		}
		if i == 0 {
			text.Subject = strings.Join(strings.Fields(tpl.subject.fill(values)), " ")
		}
		body := tpl.fill(values)
		plain = append(plain, strings.Join(body, "\n"))
		rich = append(rich, markup(language, body))
	}
	text.Plain = strings.Join(plain, "\n\n----------------------------------------\n\n") + "\n"
	text.HTML = `<!DOCTYPE html><html lang="` + order[0] + `"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"></head>` +
		`<body style="font-family:sans-serif;line-height:1.6;max-width:40em;margin:1em auto;padding:0 1em">` + strings.Join(rich, "<hr>") + `</body></html>`
	return text, nil
}

// markup turns lines into paragraphs and the addresses of pages into links; everything else stays text.
func markup(language string, lines []string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<div lang="%s">`, language)
	open := false
	for _, line := range lines {
		switch {
		case line == "" && open:
			b.WriteString("</p>")
			open = false
			continue
		case line == "":
			continue
		case open:
			b.WriteString("<br>")
		default:
			b.WriteString("<p>")
			open = true
		}
		for i, word := range strings.Split(line, " ") {
			if i > 0 {
				b.WriteByte(' ')
			}
			escaped := html.EscapeString(word)
			if strings.HasPrefix(word, "https://") || strings.HasPrefix(word, "http://127.0.0.1") {
				fmt.Fprintf(&b, `<a href="%s">%s</a>`, escaped, escaped)
			} else {
				b.WriteString(escaped)
			}
		}
	}
	if open {
		b.WriteString("</p>")
	}
	b.WriteString("</div>")
	return b.String()
}

// template is a subject and the lines below it.
type template struct {
	subject line
	body    []line
}

// line is text and names of fields in turn, text first.
type line struct{ text, field []string }

// parse reads "Subject: ..." (or 件名:), an empty line, and the body. {{name}} stands for a field.
func parse(text string, known map[string]string) (template, error) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	subject, ok := strings.CutPrefix(lines[0], "Subject:")
	if !ok {
		subject, ok = strings.CutPrefix(lines[0], "件名:")
	}
	if !ok || strings.TrimSpace(subject) == "" || len(lines) < 3 || strings.TrimSpace(lines[1]) != "" {
		return template{}, errors.New(`1:1: a template begins with "Subject: ..." (or "件名: ...") and an empty line, then comes the text`)
	}
	var t template
	for i, s := range lines {
		if i == 1 {
			continue
		}
		column := 0
		if i == 0 {
			column = len(s) - len(subject)
			s = strings.TrimSpace(subject)
		}
		l, err := parseLine(s, i+1, column, known)
		if err != nil {
			return template{}, err
		}
		if i == 0 {
			t.subject = l
		} else {
			t.body = append(t.body, l)
		}
	}
	return t, nil
}

func parseLine(s string, row, column int, known map[string]string) (line, error) {
	var l line
	rest := s
	for {
		before, after, found := strings.Cut(rest, "{{")
		l.text = append(l.text, before)
		if !found {
			return l, nil
		}
		name, behind, closed := strings.Cut(after, "}}")
		name = strings.TrimSpace(name)
		at := fmt.Sprintf("%d:%d", row, column+len(s)-len(after)-1)
		if !closed {
			return l, fmt.Errorf("%s: {{ is not closed; write {{name}}", at)
		}
		if _, ok := known[name]; !ok && !slices.Contains(common, name) {
			return l, fmt.Errorf("%s: this mail has no field %q; it has %s", at, name,
				strings.Join(slices.Sorted(maps.Keys(known)), ", ")+", "+strings.Join(common, ", "))
		}
		l.field = append(l.field, name)
		rest = behind
	}
}

func (l line) fill(values map[string]string) string {
	var b strings.Builder
	for i, text := range l.text {
		b.WriteString(text)
		if i < len(l.field) {
			b.WriteString(oneLine(values[l.field[i]]))
		}
	}
	return b.String()
}

// empty reports that a line names fields and all of them are empty: such a line is left out, so that a site without a help
// desk's telephone has no line about it.
func (l line) empty(values map[string]string) bool {
	for _, f := range l.field {
		if values[f] != "" {
			return false
		}
	}
	return len(l.field) > 0
}

func (t template) fill(values map[string]string) (lines []string) {
	for _, l := range t.body {
		if !l.empty(values) {
			lines = append(lines, l.fill(values))
		}
	}
	return lines
}

// oneLine keeps what people and directories write from making lines or headers of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return ' '
		}
		return r
	}, s)
}

// Sample is a message of a kind with made-up fields, for previews and checks.
func Sample(kind authn.MessageKind, language string) authn.Message {
	m := authn.Message{Kind: kind, Language: language, Fields: maps.Clone(fields[kind])}
	if m.Fields != nil {
		m.Fields["name"] = "関所 花子"
	}
	return m
}
