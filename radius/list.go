package radius

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"sekisho/authn"
	"sekisho/radius/dictionary"
)

// ClientInfo is a client with its profile's defaults filled in, for listings.
type ClientInfo struct {
	Login                authn.Client
	Profile              string
	Addresses            []string
	MessageAuthenticator string // required, ratchet or off
	Settings             []Setting
}

// Setting is one key of a client's config with the value that holds. Secrets are none.
type Setting struct {
	Key    string
	Value  string // empty where nothing is set and there is no default
	Origin string // config, profile NAME, or default
}

// byProfile are the keys whose defaults differ between profiles.
var byProfile = map[string]bool{
	"message_authenticator": true, "trust_station": true, "challenge": true, "static_challenge": true, "retry_after": true,
}

// List gives the clients in the order of the config. It needs a config that passed Check.
func (c Config) List() []ClientInfo {
	s := c.settle()
	all := make([]ClientInfo, len(s.clients))
	for i, cl := range s.clients {
		given := c.Clients[i]
		p := orDefault(given.Profile, defaultProfile)
		all[i] = ClientInfo{Login: cl.login, Profile: p, MessageAuthenticator: given.messageAuthMode(profiles[p], cl.prefixes)}
		for _, prefix := range cl.prefixes {
			address := prefix.String()
			if prefix.IsSingleIP() {
				address = prefix.Addr().String()
			}
			all[i].Addresses = append(all[i].Addresses, address)
		}
		all[i].Settings = given.settings(cl, &all[i])
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

// settings lists every key but the secrets, in the order in which the config declares them.
func (c ClientConfig) settings(cl *client, info *ClientInfo) []Setting {
	l := &info.Login
	full := c
	full.Profile, full.MessageAuthenticator, full.Addresses = info.Profile, info.MessageAuthenticator, info.Addresses
	full.LimitProxyState, full.StatusServer = &cl.limitProxies, &cl.status
	full.Service, full.FirstFactor = l.Service, orDefault(c.FirstFactor, "none")
	full.TrustStation, full.StaticChallenge = &l.TrustStation, &cl.twoFields
	full.Names.Strip = orDefault(c.Names.Strip, "both")
	full.Challenge, full.ChallengeTries, full.Prompts = l.ChallengeMode(), l.Tries, orDefault(c.Prompts, "both")
	full.RejectDelay, full.RetryAfter, full.Deadline = l.RejectDelay, l.RetryAfter, l.Deadline

	all := list(nil, "", reflect.ValueOf(c), reflect.ValueOf(full))
	for i := range all {
		if all[i].Origin == "default" && byProfile[all[i].Key] {
			all[i].Origin = "profile " + info.Profile
		}
	}
	return all
}

// list walks a section as it was given and as it holds; a section inside it puts its name before its keys.
func list(all []Setting, section string, given, holds reflect.Value) []Setting {
	for i := range given.NumField() {
		name, _, _ := strings.Cut(given.Type().Field(i).Tag.Get("yaml"), ",")
		field, key := given.Field(i), section+name
		switch _, secret := field.Interface().(authn.Secret); {
		case secret:
		case field.Kind() == reflect.Struct:
			all = list(all, key+".", field, holds.Field(i))
		case field.IsZero():
			all = append(all, Setting{key, settingText(holds.Field(i)), "default"})
		default:
			all = append(all, Setting{key, settingText(holds.Field(i)), "config"})
		}
	}
	return all
}

// settingText writes a value as the config would.
func settingText(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case bool:
		if x {
			return "on"
		}
		return "off"
	case []string:
		return strings.Join(x, ", ")
	case time.Duration:
		return x.String()
	}
	if v.IsZero() {
		return ""
	}
	return fmt.Sprint(v.Interface())
}
