package radius

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/time/rate"

	"sekisho/authn"
)

// messageAuth is a client's policy for Message-Authenticator in Access-Requests.
type messageAuth uint8

const (
	messageAuthRequired messageAuth = iota
	messageAuthRatchet
	messageAuthOff
)

// client is a gateway as the wire sees it.
type client struct {
	name         string
	prefixes     []netip.Prefix
	secrets      []*sharedSecret // the present one first
	messageAuth  messageAuth
	limitProxies bool
	status       bool
	taken        taken             // reply attributes
	twoFields    bool              // it sends the two fields of a static challenge in User-Password
	encoding     encoding.Encoding // of passwords that are not UTF-8; nil: none
	probes       []string          // User-Names of its own health checks
	login        authn.Client

	authenticator Authenticator // of the same configuration
	*standing
}

// standing is what a client keeps when the configuration is replaced.
type standing struct {
	limiter *rate.Limiter        // of Status-Server: 10 questions a second, 20 at once
	counts  [2][counterEnd]tally // by port
	faults  [faultEnd]tally
	held    [placesEnd]int // places, each guarded by the lock of its sort
}

func newStanding() *standing { return &standing{limiter: rate.NewLimiter(10, 20)} }

// current is the secret used where nothing tells which one the gateway has.
func (c *client) current() *sharedSecret { return c.secrets[0] }

// probe reports that a User-Name belongs to a health check and to nobody.
func (c *client) probe(name []byte) bool {
	return slices.ContainsFunc(c.probes, func(p string) bool { return strings.EqualFold(p, string(name)) })
}

// verify finds the secret under which a check holds; nil when none does.
func (c *client) verify(holds func(*sharedSecret) bool) *sharedSecret {
	for _, s := range c.secrets {
		if holds(s) {
			return s
		}
	}
	return nil
}

// allowStatus spends one Status-Server of the client's rate.
func (c *client) allowStatus(now time.Time) bool { return c.limiter.AllowN(now, 1) }

// clientTable finds clients by the longest prefix that holds an address.
type clientTable struct {
	byPrefix map[netip.Prefix]*client
	bits4    []int // lengths in use, longest first
	bits6    []int
}

func newClientTable(clients []*client) clientTable {
	t := clientTable{byPrefix: map[netip.Prefix]*client{}}
	for _, c := range clients {
		for _, p := range c.prefixes {
			if !p.IsValid() {
				continue
			}
			t.byPrefix[p] = c
			if p.Addr().Is4() {
				t.bits4 = append(t.bits4, p.Bits())
			} else {
				t.bits6 = append(t.bits6, p.Bits())
			}
		}
	}
	for _, bits := range []*[]int{&t.bits4, &t.bits6} {
		slices.Sort(*bits)
		*bits = slices.Compact(*bits)
		slices.Reverse(*bits)
	}
	return t
}

// find gives the client of an address without zone; nil when there is none.
func (t *clientTable) find(a netip.Addr) *client {
	bits := t.bits6
	if a.Is4() {
		bits = t.bits4
	}
	for _, n := range bits {
		if p, err := a.Prefix(n); err == nil {
			if c := t.byPrefix[p]; c != nil {
				return c
			}
		}
	}
	return nil
}
