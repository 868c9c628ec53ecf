package life

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/life.md anew")

const pagePath = "../docs/life.md"

// The page is what the table says. `go generate ./life` writes it anew.
func TestPageOfTheDocs(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(pagePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/life.md is not what the table says; run 'go generate ./life'")
	}
	for _, r := range Table {
		if !strings.Contains(string(got), "| "+string(r.Verb)+" |") {
			t.Errorf("the page does not name %s", r.Verb)
		}
	}
}

const pageHead = `# The life of a token

This page is made from the table of transitions in ` + "`life/table.go`" + ` (` + "`go generate ./life`" + `); the rules look every step up there, and a test
tries every act from every state by everybody.

Who acts: the *person* on their own pages; the *help desk*, an *admin* or a *master* at the console, over the API or by command; a *login* at a
gateway; the *system* by itself. A role that may never do an act is refused with ` + "`not-allowed`" + ` before anything is told about the state. Acts
that the site wants two operators for are refused with ` + "`second-person-needed`" + ` until another one approves. Every refusal has a code, a sentence in
English and Japanese with what to do, and, where time alone decides, the instant from which the act is allowed.

In the tables, *refused with* lists what may stand in the way beside the state and the role. Steps marked *part of* are made inside acts on
assignments, those marked *clock* by an instant that passes: no act makes them.
`

const pageUsers = `
## The state of a user

It is worked out from the assignments and stored nowhere. The first line that holds is the state.

| code | Japanese | when | shown |
|---|---|---|---|
%s
`

func page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, kind := range Kinds {
		fmt.Fprintf(&b, "\n## %s\n\n", strings.ToUpper(string(kind)[:1])+string(kind)[1:])
		b.WriteString(drawing(kind))
		b.WriteString("\n| act | from | to | who | refused with | serves |\n|---|---|---|---|---|---|\n")
		for _, r := range Table {
			if r.Kind == kind {
				b.WriteString(line(r))
			}
		}
	}
	var states []string
	for _, s := range []struct {
		stage       UserStage
		when, shown string
	}{{InService, "an assignment in service", "serial and expiry that ends first, and how many more"}, {NeedsNone, "needs no code", "-"},
		{Waiting, "reserved or deferred", "the reserved serial"}, {OnlyStopped, "only suspended ones", "serial and expiry"}, {RunOut, "the last one ran out", "serial and expiry"},
		{WasRevoked, "the last one was revoked", "from when registering is possible"}, {HasNone, "never had one", "-"}} {
		states = append(states, fmt.Sprintf("| %s | %s | %s | %s |", s.stage, s.stage.Japanese(), s.when, s.shown))
	}
	fmt.Fprintf(&b, pageUsers, strings.Join(states, "\n"))
	b.WriteString("\n## Refusals\n\n| code | sentence | 日本語 |\n|---|---|---|\n")
	for _, code := range slices.Sorted(maps.Keys(sentences)) {
		r := Refusal{Code: code, About: "N"}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code, r.English(), r.Japanese())
	}
	return b.String()
}

func line(r Row) string {
	who := r.By.String()
	switch {
	case r.Inner:
		who = "part of: " + who
	case r.Clock:
		who = "clock"
	}
	join := func(list []Stage) string {
		var words []string
		for _, s := range list {
			words = append(words, string(s))
		}
		return strings.Join(words, ", ")
	}
	var codes []string
	for _, c := range r.Refused {
		codes = append(codes, string(c))
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", r.Verb, join(r.From), join(r.To), who, strings.Join(codes, ", "), r.IDs)
}

// drawing is a Mermaid state diagram: one arrow for each pair of states, with the acts that go that way.
func drawing(kind Kind) string {
	name := func(s Stage) string {
		if s == None {
			return "[*]"
		}
		return strings.ReplaceAll(string(s), " ", "_")
	}
	type pair struct{ from, to Stage }
	var order []pair
	acts := map[pair][]string{}
	for _, r := range Table {
		for _, from := range r.From {
			for _, to := range r.To {
				p := pair{from, to}
				if kind != r.Kind || len(r.To) > 1 && slices.Contains(r.To, from) && from != to && kind == TokenKind {
					continue // an act that leaves a token where it is
				}
				if acts[p] == nil {
					order = append(order, p)
				}
				acts[p] = append(acts[p], string(r.Verb))
			}
		}
	}
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n")
	for _, s := range Stages[kind] {
		if s != None && strings.Contains(string(s), " ") {
			fmt.Fprintf(&b, "    state \"%s\" as %s\n", s, name(s))
		}
	}
	for _, p := range order {
		fmt.Fprintf(&b, "    %s --> %s : %s\n", name(p.from), name(p.to), strings.Join(acts[p], ", "))
	}
	b.WriteString("```\n")
	return b.String()
}
