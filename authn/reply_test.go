package authn_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// encodeReply stands for the wire: names and values as text; the value "bad" cannot be sent.
func encodeReply(list []authn.Attribute) ([]byte, error) {
	var b []byte
	for _, a := range list {
		if a.Value == "bad" {
			return nil, errors.New("cannot be sent")
		}
		b = append(b, a.Name+"="+a.Value+";"...)
	}
	return b, nil
}

var sales = &authn.User{Name: "yamada", Groups: []string{"cn=vpn", "cn=sales"}, Attributes: map[string][]string{
	"department": {"営業", "Sales"}, "address": {"10.1.2.3"}, "route": {"10.0.0.0/8", "172.16.0.0/12"}, "evil": {"a\nb"}, "wrong": {"bad"},
}}

func set(pairs ...string) []authn.Attribute {
	var list []authn.Attribute
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, authn.Attribute{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

func TestReplies(t *testing.T) {
	gw := &authn.Client{Name: "asa-1", Service: "vpn"}
	for name, c := range map[string]struct {
		policy []authn.Attribute
		rules  []*authn.ReplyRule
		want   string // name=value@rule
		fault  string
	}{
		"nothing": {},
		"policy":  {policy: set("Class", "a"), want: "Class=a@"},
		"policy before rules": {set("Class", "a"), []*authn.ReplyRule{{Name: "r", Set: set("class", "b", "Filter-Id", "f")}},
			"Class=a@ Filter-Id=f@r", ""},
		"first rule decides a name alone": {nil, []*authn.ReplyRule{
			{Name: "one", Set: set("Framed-Route", "a", "Framed-Route", "b")}, {Name: "two", Set: set("Framed-Route", "c", "Class", "x")}},
			"Framed-Route=a@one Framed-Route=b@one Class=x@two", ""},
		"client": {nil, []*authn.ReplyRule{{Name: "other", Clients: []string{"asa-2"}, Set: set("Class", "no")},
			{Name: "name", Clients: []string{"asa-1"}, Set: set("A", "1")}, {Name: "service", Clients: []string{"vpn"}, Set: set("B", "2")}},
			"A=1@name B=2@service", ""},
		"group": {nil, []*authn.ReplyRule{{Name: "it", Groups: []string{"cn=it"}, Set: set("Class", "no")},
			{Name: "any", Groups: []string{"cn=it", "cn=sales"}, Set: set("Class", "yes")}}, "Class=yes@any", ""},
		"attribute": {nil, []*authn.ReplyRule{
			{Name: "hr", Attributes: map[string][]string{"department": {"HR"}}, Set: set("Class", "hr")},
			{Name: "both", Attributes: map[string][]string{"department": {"HR", "sales"}, "address": {"10.1.2.3"}}, Set: set("Class", "both")},
			{Name: "none", Attributes: map[string][]string{"title": {""}}, Set: set("X", "no")},
			{Name: "ja", Attributes: map[string][]string{"department": {"営業"}}, Set: set("Y", "ja")}}, "Class=both@both Y=ja@ja", ""},
		"value of the user": {nil, []*authn.ReplyRule{{Name: "r", Set: set("Framed-IP-Address", "${attribute.address}", "Class", "OU=${user};", "Text", "$${user} $5")}},
			"Framed-IP-Address=10.1.2.3@r Class=OU=yamada;@r Text=${user} $5@r", ""},
		"each value": {nil, []*authn.ReplyRule{{Name: "r", Set: set("Cisco-AVPair", "route=${attribute.route}/${user}")}},
			"Cisco-AVPair=route=10.0.0.0/8/yamada@r Cisco-AVPair=route=172.16.0.0/12/yamada@r", ""},
		"a later rule for who lacks it": {nil, []*authn.ReplyRule{{Name: "own", Set: set("Filter-Id", "${attribute.acl}")},
			{Name: "rest", Set: set("Filter-Id", "closed")}}, "Filter-Id=closed@rest", ""},
		"required":        {nil, []*authn.ReplyRule{{Name: "own", Required: true, Set: set("Filter-Id", "${attribute.acl}")}}, "", "own Filter-Id: attribute.acl: the user has no such attribute"},
		"required, moot":  {set("Filter-Id", "f"), []*authn.ReplyRule{{Name: "own", Required: true, Set: set("Filter-Id", "${attribute.acl}")}}, "Filter-Id=f@", ""},
		"control":         {nil, []*authn.ReplyRule{{Name: "own", Set: set("Filter-Id", "${attribute.evil}")}}, "", "control characters"},
		"policy's lack":   {set("Class", "${attribute.none}"), nil, "", ""},
		"stop at a fault": {nil, []*authn.ReplyRule{{Name: "a", Set: set("B", "${attribute.evil}")}, {Name: "b", Set: set("C", "c")}}, "", "a B"},
	} {
		t.Run(name, func(t *testing.T) {
			replies, err := authn.Replies(c.rules, gw, sales, &authn.Policy{Reply: c.policy})
			var got []string
			for _, r := range replies {
				got = append(got, r.Name+"="+r.Value+"@"+r.Rule)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v", got)
			}
			if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestCheckReplyValue(t *testing.T) {
	for value, want := range map[string]string{
		"plain": "", "$5 {a}": "", "$${anything": "", "${user}": "", "a${attribute.x}b${user}": "x",
		"${attribute.}": "is not known", "${group}": "${group} is not known", "${user": "no }", "${attribute.a} ${attribute.b}": "two attributes",
		"$${a} ${b}": "${b} is not known",
	} {
		attribute, err := authn.CheckReplyValue(value)
		if err != nil && (want == "" || !strings.Contains(err.Error(), want)) || err == nil && attribute != want {
			t.Errorf("%s: %q, %v", value, attribute, err)
		}
		if own := authn.OwnReplyValue(value); err == nil && own != (value != "plain" && strings.Contains(strings.ReplaceAll(value, "$${", ""), "${")) {
			t.Errorf("%s: own is %v", value, own)
		}
	}
}

func FuzzReplyValue(f *testing.F) {
	for _, s := range []string{"", "${user}", "$${x}${attribute.route}", "${", "$$${user}", "${attribute.a}${attribute.b}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		_, fault := authn.CheckReplyValue(value)
		rule := &authn.ReplyRule{Name: "r", Set: set("A", value)}
		replies, err := authn.Replies([]*authn.ReplyRule{rule}, &authn.Client{}, sales, &authn.Policy{})
		if fault == nil && err != nil && !strings.Contains(err.Error(), "control characters") {
			t.Fatalf("%q passed the check and failed: %v", value, err)
		}
		if fault == nil && !strings.Contains(value, "${") && (len(replies) != 1 || replies[0].Value != value) {
			t.Fatalf("%q became %v", value, replies)
		}
	})
}

// TestReplyAfterOneStepAndAfterAChallenge: the attributes are the same however the person came in, also when the answer is
// given again after a restart, and the event names the rules.
func TestReplyAfterOneStepAndAfterAChallenge(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Password, Ask: true, Joined: true, Window: token.LoginWindow, Reply: set("Class", "staff")})
	h.auth.Replies.Rules = []*authn.ReplyRule{
		{Name: "everybody", Set: set("Session-Timeout", "60", "Class", "never")},
		{Name: "own", Set: set("Text", "${user}", "Framed-IP-Address", "${attribute.address}")},
	}
	gw := gate()
	p := h.person("bob", "secret", 1)
	d := p.devices[0]
	h.dir.set(func(q *people) { q.users["bob"].Attributes = map[string][]string{"address": {"10.0.0.7"}} })
	const want1 = "Class=staff;Session-Timeout=60;Text=bob;Framed-IP-Address=10.0.0.7;"
	first := h.login(gw, "bob", "secret"+d.code(h.step(d)), home, nil)
	one := h.send(first)
	want(t, "one step", one, authn.Accept, authn.OK)
	ask := h.try(gw, "bob", "secret", home)
	want(t, "question", ask, authn.Challenge, authn.AskCode)
	if ask.Reply != nil {
		t.Errorf("a challenge carries %q", ask.Reply)
	}
	h.clock.advance(30 * time.Second)
	two := h.try(gw, "bob", d.code(h.step(d)), home, ask.State...)
	want(t, "answer", two, authn.Accept, authn.OK)
	if string(one.Reply) != want1 || string(two.Reply) != want1 {
		t.Errorf("one step %q, challenge %q", one.Reply, two.Reply)
	}
	if e := h.events()[0]; e.Detail != "everybody, own" {
		t.Errorf("the event says %q", e.Detail)
	}
	h.restart()
	first.Arrived = time.Now()
	if again := h.send(first); !again.Repeat || string(again.Reply) != want1 {
		t.Errorf("given again: %+v", again)
	}
}

// TestReplyThatCannotBeSent: nobody is let in half authorised, and no code is used for nothing.
func TestReplyThatCannotBeSent(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves, gw.CanChallenge = true, false
	p := h.person("bob", "", 1)
	d := p.devices[0]
	h.auth.Replies.Rules = []*authn.ReplyRule{{Name: "own", Required: true, Set: set("Filter-Id", "${attribute.acl}")}}
	want(t, "lacking", h.try(gw, "bob", d.code(h.step(d)), home), authn.Reject, authn.ReplyMissing)
	h.dir.set(func(q *people) { q.users["bob"].Attributes = map[string][]string{"acl": {"bad"}} })
	want(t, "wrong", h.try(gw, "bob", d.code(h.step(d)), home), authn.Reject, authn.ReplyMissing)
	if h.last(d) != token.NoStep {
		t.Error("a code was used")
	}
	for _, e := range h.events() {
		if e.Detail != "own Filter-Id" {
			t.Errorf("the event says %q", e.Detail)
		}
	}
	h.dir.set(func(q *people) { q.users["bob"].Attributes = map[string][]string{"acl": {"inside"}} })
	got := h.try(gw, "bob", d.code(h.step(d)), home)
	want(t, "complete", got, authn.Accept, authn.OK)
	if string(got.Reply) != "Filter-Id=inside;" {
		t.Errorf("reply %q", got.Reply)
	}
}

// TestReplyIsEncodedOnce: logins with the same rules share one encoding, those with values of their own never do.
func TestReplyIsEncodedOnce(t *testing.T) {
	h := newHouse(t, &authn.Policy{Name: "p", First: authn.Gateway, Window: token.LoginWindow})
	gw := gate()
	gw.GatewayProves, gw.CanChallenge = true, false
	var mu sync.Mutex
	encoded := 0
	h.auth.Replies = &authn.ReplyBook{
		Rules: []*authn.ReplyRule{
			{Name: "sales", Groups: []string{"sales"}, Set: set("Class", "sales")},
			{Name: "own", Groups: []string{"own"}, Set: set("Text", "${user}")},
			{Name: "all", Set: set("Class", "all")},
		},
		Encode: func(list []authn.Attribute) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			encoded++
			return encodeReply(list)
		},
	}
	for i := range 3 {
		for _, group := range []string{"it", "sales", "own"} {
			name := fmt.Sprint(group, i)
			d := h.person(name, "", 1).devices[0]
			h.dir.set(func(q *people) { q.users[name].Groups = []string{group} })
			got := h.try(gw, name, d.code(h.step(d)), home)
			want := map[string]string{"it": "Class=all;", "sales": "Class=sales;", "own": "Text=" + name + ";Class=all;"}[group]
			if got.Verdict != authn.Accept || string(got.Reply) != want {
				t.Errorf("%s: %v %q", name, got.Verdict, got.Reply)
			}
		}
	}
	if encoded != 2+3 {
		t.Errorf("%d encodings", encoded)
	}
}
