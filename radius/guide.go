package radius

import (
	"embed"
	"fmt"
	"net"
	"strings"
	"text/template"
	"time"
)

//go:embed guides
var guideFiles embed.FS

// guides are the pages by profile; docs/gateways holds them with example values, and a test holds that they are the same.
var guides = template.Must(template.ParseFS(guideFiles, "guides/*"))

// guideData is what a page says about one client.
type guideData struct {
	Title, Name, Profile       string
	Addresses                  []string
	NAS                        string // the first address, without prefix length
	Server, AuthPort, AcctPort string
	Retry, RetryMost10         int // s until a repetition; 10 is the most that Cisco's gateways take
	Deadline, Wait, Long       int // s: until the answer; for the gateway to wait; for one that waits for people too
	Challenge                  bool
	MessageAuth                string // required, ratchet or off
	Sends, Takes, Cannot       []string
	Repeat, Ports, Advice      string
	Methods                    []string
}

// Guide writes how to set up a client's gateway: a page in Markdown with the addresses, ports and times of this config and
// a placeholder for the secret. server is the address of this machine as the gateway sees it; a listen address with a host
// goes before it. known is false for a name that no client has. It needs a config that passed Check.
func (c Config) Guide(name, server string) (page string, known bool) {
	s := c.settle()
	for i, info := range c.List() {
		if info.Login.Name != name {
			continue
		}
		p := profiles[info.Profile]
		host, auth, _ := net.SplitHostPort(s.auth[0])
		_, acct, _ := net.SplitHostPort(s.acct[0])
		nas, _, _ := strings.Cut(info.Addresses[0], "/")
		deadline := seconds(info.Login.Deadline)
		d := guideData{
			MessageAuth: info.MessageAuthenticator, Ports: p.ports,
			Title: p.title, Name: name, Profile: info.Profile, Addresses: info.Addresses, NAS: nas,
			Server: orDefault(host, server), AuthPort: auth, AcctPort: acct,
			Retry: seconds(info.Login.RetryAfter), RetryMost10: min(seconds(info.Login.RetryAfter), 10),
			Deadline: deadline, Wait: deadline + 2, Long: max(30, deadline+2), Challenge: info.Login.CanChallenge,
			Sends: p.sends, Takes: p.takes, Cannot: p.cannot, Repeat: p.repeat, Methods: p.otherMethods, Advice: p.methodsAdvice,
		}
		var b strings.Builder
		if err := guides.ExecuteTemplate(&b, info.Profile+".md", d); err != nil {
			panic(fmt.Sprintf("the guide of client %d: %v", i, err)) // the templates are part of the program and tested
		}
		return b.String(), true
	}
	return "", false
}

// seconds rounds up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
