package radius

import (
	"sekisho/authn"
	"sekisho/radius/dictionary"
)

// ClientInfo is a client with its profile's defaults filled in, for listings.
type ClientInfo struct {
	Login                authn.Client
	Profile              string
	Addresses            []string
	MessageAuthenticator string // required, ratchet or off
}

// List gives the clients in the order of the config. It needs a config that passed Check.
func (c Config) List() []ClientInfo {
	s := c.settle()
	all := make([]ClientInfo, len(s.clients))
	for i, cl := range s.clients {
		p := orDefault(c.Clients[i].Profile, defaultProfile)
		all[i] = ClientInfo{Login: cl.login, Profile: p, MessageAuthenticator: c.Clients[i].messageAuthMode(profiles[p], cl.prefixes)}
		for _, prefix := range cl.prefixes {
			address := prefix.String()
			if prefix.IsSingleIP() {
				address = prefix.Addr().String()
			}
			all[i].Addresses = append(all[i].Addresses, address)
		}
	}
	return all
}

// LeavesOut tells whether a reply attribute is never sent to such a gateway, because it takes no attributes of that vendor
// or not this Service-Type. Of a value that differs from user to user only the vendor counts.
func (i ClientInfo) LeavesOut(d *dictionary.Dictionary, a authn.Attribute) bool {
	attr, _, err := findAttribute(d, a.Name)
	if err != nil {
		return false
	}
	t := profiles[i.Profile].taken()
	if !t.vendor(attr.Vendor) {
		return true
	}
	b, err := CompileReply(d, []authn.Attribute{a})
	return err == nil && len(appendReply(nil, b, t)) == 0
}
