// Package freeradius reads the two files of a FreeRADIUS server that a site moves to Sekisho: its clients and the simple
// part of its users. What it does not take is listed line by line, with the reason, so that nothing is lost unseen.
package freeradius

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"sekisho/authn"
)

// Client is one client section, in the words of Sekisho's configuration.
type Client struct {
	Line                 int
	Name                 string
	Address              string // an address or a prefix
	Secret               authn.Secret
	MessageAuthenticator string // required, off; empty: FreeRADIUS decided by what came first (auto)
	LimitProxyState      *bool  // nil: auto
	Kind                 string // nas_type; empty: none was given
}

// Left is a line that was not taken.
type Left struct {
	File string
	Line int
	What string // the item's name; never a value, which may be a secret
	Why  string
}

// String gives it as one line, beginning with its place.
func (l Left) String() string { return fmt.Sprintf("%s:%d: %s: %s", l.File, l.Line, l.What, l.Why) }

// maxNesting bounds sections in sections.
const maxNesting = 16

// ReadClients reads a clients.conf. File names it in what is left over.
func ReadClients(file, text string) (clients []Client, left []Left) {
	r := clientsReader{file: file}
	r.read(text)
	return r.clients, r.left
}

// clientsReader reads line by line: FreeRADIUS ends an item with its line.
type clientsReader struct {
	file    string
	line    int
	nested  int    // depth of sections inside a client, or outside of any, that are skipped
	current *entry // nil outside of a client section
	names   map[string]bool
	clients []Client
	left    []Left
}

// entry is a client section being read.
type entry struct {
	client    Client
	title     string // the word behind "client"
	address   string
	netmask   string
	shortname string
	bad       bool // something in it makes the whole of no use
}

func (r *clientsReader) leave(line int, what, why string) {
	r.left = append(r.left, Left{r.file, line, what, why})
}

func (r *clientsReader) read(text string) {
	r.names = map[string]bool{}
	for line := range strings.Lines(text) {
		r.line++
		words, err := split(line)
		if err != "" {
			r.leave(r.line, "the line", err)
			if r.current != nil {
				r.current.bad = true
			}
			continue
		}
		// `client a {` and `}` may share their line with items of the section.
		for len(words) > 0 {
			words = r.item(words)
		}
	}
	if r.current != nil {
		r.leave(r.current.client.Line, "client "+r.current.title, "the section has no end")
	}
}

// item takes one item from the front of a line's words and gives the rest.
func (r *clientsReader) item(words []word) []word {
	open := indexOf(words, "{")
	switch {
	case words[0].is("}"):
		switch {
		case r.nested > 0:
			r.nested--
		case r.current != nil:
			r.finish()
		default:
			r.leave(r.line, "}", "it closes nothing")
		}
		return words[1:]
	case open > 0 && (r.current != nil || !words[0].is("client") || r.nested > 0):
		if r.nested == 0 {
			r.leave(r.line, "section "+words[0].text, "is not taken")
		}
		if r.nested++; r.nested > maxNesting {
			r.leave(r.line, "section "+words[0].text, "is nested too deeply; the rest of the file was not read right")
			r.nested = maxNesting
		}
		return words[open+1:]
	case open > 0:
		r.current = &entry{client: Client{Line: r.line}}
		if open == 2 {
			r.current.title = words[1].text
		} else {
			r.leave(r.line, "client", "want client NAME {")
			r.current.bad = true
		}
		return words[open+1:]
	case r.nested > 0:
		// The words of a section that was left over as a whole; only its end matters.
		if i := indexOf(words, "}"); i > 0 {
			return words[i:]
		}
		return nil
	}
	what, n := words[0].text, len(words)
	if end := indexOf(words, "}"); end > 0 {
		n = end
	}
	switch {
	case n == 3 && words[1].is("="):
		r.set(what, words[2].text)
	case strings.HasPrefix(what, "$INCLUDE"):
		r.leave(r.line, what, "name the included file to the command too")
	default:
		r.leave(r.line, what, "want KEY = VALUE")
	}
	return words[n:]
}

// set takes one KEY = VALUE of a client.
func (r *clientsReader) set(key, value string) {
	e := r.current
	if e == nil {
		r.leave(r.line, key, "stands outside of a client")
		return
	}
	switch strings.ToLower(key) {
	case "ipaddr", "ipv4addr", "ipv6addr":
		if e.address != "" {
			r.leave(r.line, key, "is a second address of the client; make a client of it")
			return
		}
		e.address = value
	case "netmask":
		e.netmask = value
	case "secret":
		e.client.Secret = authn.NewSecret([]byte(value))
	case "shortname":
		e.shortname = value
	case "nas_type", "nastype":
		e.client.Kind = strings.ToLower(value)
	case "require_message_authenticator":
		switch yes, auto, ok := answer(value); {
		case !ok:
			r.leave(r.line, key, "want yes, no or auto")
		case auto:
			e.client.MessageAuthenticator = ""
		case yes:
			e.client.MessageAuthenticator = "required"
		default:
			e.client.MessageAuthenticator = "off"
		}
	case "limit_proxy_state":
		switch yes, auto, ok := answer(value); {
		case !ok:
			r.leave(r.line, key, "want yes, no or auto")
		case !auto:
			e.client.LimitProxyState = &yes
		}
	case "proto":
		if !strings.EqualFold(value, "udp") && value != "*" {
			r.leave(r.line, key, "only UDP is served")
			e.bad = true
		}
	case "virtual_server", "coa_server":
		r.leave(r.line, key, "what it does there has to become a policy here")
	default:
		r.leave(r.line, key, "is not taken")
	}
}

// finish closes a client section.
func (r *clientsReader) finish() {
	e := r.current
	r.current = nil
	what := "client " + e.title
	if e.bad {
		r.leave(e.client.Line, what, "the client is left out as a whole")
		return
	}
	if e.address == "" {
		e.address = e.title // the old form: client ADDRESS { shortname = NAME }
	}
	address, problem := prefix(e.address, e.netmask)
	switch {
	case problem != "":
		r.leave(e.client.Line, what, problem+"; the client is left out")
		return
	case e.client.Secret.Len() == 0:
		r.leave(e.client.Line, what, "has no secret; the client is left out")
		return
	}
	e.client.Address = address
	e.client.Name = e.title
	if e.shortname != "" {
		e.client.Name = e.shortname
	}
	name := e.client.Name
	for n := 2; r.names[e.client.Name]; n++ {
		e.client.Name = name + "-" + strconv.Itoa(n)
	}
	r.names[e.client.Name] = true
	r.clients = append(r.clients, e.client)
}

// prefix joins address and mask to what Sekisho's configuration takes.
func prefix(address, mask string) (string, string) {
	if address == "*" {
		return "", "it takes every address; name the gateways' own"
	}
	if mask != "" && !strings.Contains(address, "/") {
		address += "/" + mask
	}
	if p, err := netip.ParsePrefix(address); err == nil {
		if p.IsSingleIP() {
			return p.Addr().String(), ""
		}
		if p.Bits() == 0 {
			return "", "it takes every address; name the gateways' own"
		}
		return p.Masked().String(), ""
	}
	if a, err := netip.ParseAddr(address); err == nil {
		return a.String(), ""
	}
	return "", "its address is no IP address; host names are not taken"
}

// answer reads a yes, no or auto in FreeRADIUS's spellings.
func answer(s string) (yes, auto, ok bool) {
	switch strings.ToLower(s) {
	case "yes", "true", "on", "1":
		return true, false, true
	case "no", "false", "off", "0":
		return false, false, true
	case "auto":
		return false, true, true
	}
	return false, false, false
}

// word is one word of a line; a quoted one is never a sign.
type word struct {
	text   string
	quoted bool
}

func (w word) is(sign string) bool { return !w.quoted && w.text == sign }

func indexOf(words []word, sign string) int {
	for i, w := range words {
		if w.is(sign) {
			return i
		}
	}
	return -1
}

// split cuts a line into words: at blanks, before and behind { } = and commas, up to a comment; single and double quotes
// hold a word together, a backslash in them takes the next character as it is. The signs of operators (:= == += !=) stay
// together.
func split(line string) (words []word, problem string) {
	for i := 0; i < len(line); {
		c := line[i]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			i++
		case c == '#':
			return words, ""
		case c == '"' || c == '\'':
			text, end := quoted(line[i+1:], c)
			if end < 0 {
				return nil, "a quote is not closed"
			}
			words = append(words, word{text, true})
			i += 1 + end
		case c == '{' || c == '}' || c == ',':
			words = append(words, word{text: line[i : i+1]})
			i++
		default:
			end := i + 1
			if startsOperator(line[i:]) {
				end++
			} else if operator(c) {
				for end < len(line) && operator(line[end]) {
					end++
				}
			} else {
				for end < len(line) && !strings.ContainsRune(" \t\r\n#{},\"'", rune(line[end])) && !operator(line[end]) && !startsOperator(line[end:]) {
					end++
				}
			}
			words = append(words, word{text: line[i:end]})
			i = end
		}
	}
	return words, ""
}

func operator(c byte) bool { return c == '=' || c == '!' || c == '~' || c == '<' || c == '>' }

// startsOperator tells the colon and plus of := and += from those of an IPv6 address or a value.
func startsOperator(s string) bool {
	return len(s) > 1 && (s[0] == ':' || s[0] == '+' || s[0] == '-' || s[0] == '^') && s[1] == '='
}

// quoted reads up to the closing quote and gives how many octets it took with it; -1: there is none.
func quoted(s string, quote byte) (text string, end int) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return b.String(), i + 1
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", -1
}
