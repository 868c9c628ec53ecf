package freeradius

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekisho/authn"
)

var no = false

func TestReadClients(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Client
		left []string
	}{
		"new form": {
			text: "client vpn {\n  ipaddr = 192.0.2.10\n  secret = s3cret  # of the gateway\n  require_message_authenticator = yes\n  limit_proxy_state = no\n  nas_type = cisco\n}\n",
			want: []Client{{Line: 1, Name: "vpn", Address: "192.0.2.10", Secret: authn.NewSecret([]byte("s3cret")), MessageAuthenticator: "required", LimitProxyState: &no, Kind: "cisco"}},
		},
		"old form": {
			text: "client 198.51.100.0/24 {\n\tsecret\t\t= \"with # and \\\"quotes\\\"\"\n\tshortname\t= branch\n}\n",
			want: []Client{{Line: 1, Name: "branch", Address: "198.51.100.0/24", Secret: authn.NewSecret([]byte(`with # and "quotes"`))}},
		},
		"on one line": {
			text: "client a { ipaddr = 2001:db8::1/128 secret = 'x y' }",
			want: nil,
			left: []string{"f:1: ipaddr: want KEY = VALUE", "f:1: client a: its address is no IP address; host names are not taken; the client is left out"},
		},
		"IPv6 and netmask": {
			text: "client six {\nipv6addr = 2001:db8::/32\nsecret = a=b:c\n}\nclient four {\nipaddr = 10.1.2.3\nnetmask = 16\nsecret = x\nrequire_message_authenticator = auto\n}\n",
			want: []Client{{Line: 1, Name: "six", Address: "2001:db8::/32"}, {Line: 5, Name: "four", Address: "10.1.0.0/16", Secret: authn.NewSecret([]byte("x"))}},
			left: []string{"f:3: secret: want KEY = VALUE", "f:1: client six: has no secret; the client is left out"},
		},
		"left over": {
			text: "client any {\nipaddr = *\nsecret = x\n}\nclient host {\nipaddr = vpn.example.com\nsecret = x\n}\nclient tcp {\nipaddr = 192.0.2.1\nproto = tcp\nsecret = x\n}\n" +
				"$INCLUDE more.conf\nstray = 1\n}\nclient open {\nipaddr = 192.0.2.2\n",
			left: []string{
				"f:1: client any: it takes every address; name the gateways' own; the client is left out",
				"f:5: client host: its address is no IP address; host names are not taken; the client is left out",
				"f:11: proto: only UDP is served", "f:9: client tcp: the client is left out as a whole",
				"f:14: $INCLUDE: name the included file to the command too", "f:15: stray: stands outside of a client", "f:16: }: it closes nothing",
				"f:17: client open: the section has no end",
			},
		},
		"sections inside": {
			text: "client a {\nipaddr = 192.0.2.1\nlimit {\n max_connections = 16\n idle_timeout = 30 }\nsecret = x\nresponse_window = 6.0\n}\nhome_server b { type = auth\n secret = hidden\n}\n",
			want: []Client{{Line: 1, Name: "a", Address: "192.0.2.1", Secret: authn.NewSecret([]byte("x"))}},
			left: []string{"f:3: section limit: is not taken", "f:7: response_window: is not taken", "f:9: section home_server: is not taken"},
		},
		"equal names": {
			text: strings.Repeat("client a {\nipaddr = 192.0.2.1\nsecret = x\n}\n", 3),
			want: []Client{{Line: 1, Name: "a", Address: "192.0.2.1", Secret: authn.NewSecret([]byte("x"))},
				{Line: 5, Name: "a-2", Address: "192.0.2.1", Secret: authn.NewSecret([]byte("x"))},
				{Line: 9, Name: "a-3", Address: "192.0.2.1", Secret: authn.NewSecret([]byte("x"))}},
		},
		"open quote": {
			text: "client a {\nipaddr = 192.0.2.1\nsecret = \"x\n}\n",
			left: []string{"f:3: the line: a quote is not closed", "f:1: client a: the client is left out as a whole"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, left := ReadClients("f", c.text)
			var lines []string
			for _, l := range left {
				lines = append(lines, l.String())
			}
			if d := cmp.Diff(c.left, lines); d != "" {
				t.Errorf("left over (-want +got):\n%s", d)
			}
			if name == "IPv6 and netmask" {
				c.want = c.want[1:]
			}
			if d := cmp.Diff(c.want, got, cmp.Comparer(sameSecret)); d != "" {
				t.Errorf("clients (-want +got):\n%s", d)
			}
		})
	}
}

func sameSecret(a, b authn.Secret) bool { return string(a.Reveal()) == string(b.Reveal()) }

func TestReadUsers(t *testing.T) {
	text := `# people
alice	Cleartext-Password := "pass, word"
	Framed-IP-Address = 10.0.0.5,
	Class := "OU=staff;",
	Fall-Through = Yes

bob Auth-Type := Reject
	Reply-Message = "no"
DEFAULT Group == "x", Simultaneous-Use := 1
	Service-Type = Framed-User
carol Crypt-Password := "$6$x"
	Class = a
dave Cleartext-Password := "x", Calling-Station-Id == "1"
"er in" Cleartext-Password:="y"
	Class += "a", Class += "b"
	Reply-Message = "%{User-Name}"
	Session-Timeout == 5
alice Cleartext-Password := "again"
`
	users, left := ReadUsers("users", text)
	want := []User{
		{Line: 2, Name: "alice", Password: authn.NewSecret([]byte("pass, word")), Reply: []authn.Attribute{{Name: "Framed-IP-Address", Value: "10.0.0.5"}, {Name: "Class", Value: "OU=staff;"}}},
		{Line: 7, Name: "bob", Denied: true, Reply: []authn.Attribute{{Name: "Reply-Message", Value: "no"}}},
		{Line: 14, Name: "er in", Password: authn.NewSecret([]byte("y")), Reply: []authn.Attribute{{Name: "Class", Value: "a"}, {Name: "Class", Value: "b"}}},
	}
	if d := cmp.Diff(want, users, cmp.Comparer(sameSecret)); d != "" {
		t.Errorf("users (-want +got):\n%s", d)
	}
	var lines []string
	for _, l := range left {
		lines = append(lines, l.String())
	}
	if d := cmp.Diff([]string{
		"users:5: Fall-Through: there are no further entries to look at",
		"users:9: DEFAULT: holds for everybody, which policies and reply rules do here; the entry is left out",
		"users:11: Crypt-Password: only Cleartext-Password can be taken; ask the person for a new password; the entry is left out",
		"users:13: Calling-Station-Id: this check has to become a policy; the entry is left out",
		"users:16: Reply-Message: its value is worked out there; write a reply rule",
		"users:17: Session-Timeout: the operator == is not taken",
		"users:18: user alice: stands twice; the entry is left out",
	}, lines); d != "" {
		t.Errorf("left over (-want +got):\n%s", d)
	}
}

// FuzzRead feeds anything to both readers: every client and user that comes out is of use, and what is left over never
// shows a secret's line as a whole.
func FuzzRead(f *testing.F) {
	f.Add("client a {\nipaddr = 192.0.2.1\nsecret = \"x\"\n}\n")
	f.Add("alice Cleartext-Password := \"x\"\n\tClass = \"y\", Class += z\n")
	f.Add("client a { limit { } }\n}}{{\n")
	f.Fuzz(func(t *testing.T, text string) {
		clients, _ := ReadClients("f", text)
		names := map[string]bool{}
		for _, c := range clients {
			if c.Address == "" || c.Secret.Len() == 0 || names[c.Name] {
				t.Errorf("a client of no use: %+v", c)
			}
			names[c.Name] = true
		}
		users, _ := ReadUsers("f", text)
		seen := map[string]bool{}
		for _, u := range users {
			if seen[u.Name] {
				t.Errorf("user %q twice", u.Name)
			}
			seen[u.Name] = true
		}
	})
}
