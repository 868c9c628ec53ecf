package radius

import (
	"slices"
	"strings"
	"time"
)

// profile is a kind of gateway: what it sends, takes and cannot do, and the settings that follow. The times are those of
// a gateway that is set up as its guide says (see Guide).
//
// Statements end in where they come from: "seen" was measured with the program itself, "source" read in its source,
// "vendor" is the vendor's documents or packets published from the field, "unconfirmed" is common knowledge that was not
// checked. Nothing but the settings below them depends on the statements.
type profile struct {
	title  string
	sends  []string // in an Access-Request
	takes  []string // from an Access-Accept
	cannot []string
	repeat string // what it does when no answer comes, and after a refusal
	ports  string // the ports it asks unless told otherwise; empty: 1812 and 1813

	messageAuth   string // default; ratchet becomes off for a client of several addresses
	neverSendsMA  bool   // message_authenticator: required would drop every login
	challenge     string // default
	noChallenge   bool   // it takes an Access-Challenge for a refusal
	trustStation  bool   // its Calling-Station-Id is the person's address, set by the gateway itself
	noStation     bool   // there is nothing in it that could be trusted
	framedOnly    bool   // a Service-Type other than Framed in an Access-Accept fails its logins
	twoFields     bool   // default of static_challenge
	retryAfter    time.Duration
	vendors       []string // whose attributes it takes, by their names in the dictionaries
	otherMethods  []string // ways in which it may send a password beside PAP; they are refused
	methodsAdvice string   // how to switch them off
}

// defaultProfile is that of a client that names none.
const defaultProfile = "generic"

// profiles are the kinds of gateways, by the name that a config gives them.
var profiles = map[string]*profile{
	"generic": {
		title:  "Any gateway that speaks RADIUS",
		sends:  []string{"User-Name and User-Password (RFC 2865)"},
		takes:  []string{"what its documents say"},
		cannot: []string{"nothing is assumed: no question after the password, no trust in Calling-Station-Id"},
		repeat: "unknown; RFC 5080 section 2.2.1 has a first repetition after 2 s",

		messageAuth: "required", challenge: "none", retryAfter: 3 * time.Second,
		otherMethods: []string{"CHAP", "MS-CHAP", "EAP"}, methodsAdvice: "choose PAP as its authentication method",
	},
	"asa": {
		title: "Cisco ASA with AnyConnect (Secure Client)",
		sends: []string{
			"User-Name and User-Password; NAS-IP-Address, NAS-Port, NAS-Port-Type Virtual, Called-Station-Id the outside address (vendor)",
			"Calling-Station-Id and Tunnel-Client-Endpoint: the person's address (vendor)",
			"Cisco-AVPair: audit-session-id, ip:source-ip, and mdm-tlv pairs that the client itself asserts (vendor)",
			"ASA 146 Tunnel-Group-Name and ASA 150 Client-Type (vendor)",
			"no Service-Type, no Acct-Session-Id and, as far as is known, no Message-Authenticator (vendor)",
		},
		takes: []string{
			"Class as OU=GROUPPOLICY; or better ASA 25 Group-Policy (vendor)",
			"Filter-Id, Framed-IP-Address and Framed-IP-Netmask, Session-Timeout, Idle-Timeout (vendor)",
			"ASA attributes for banners, DNS, split tunnels, address pools and access lists; Cisco-AVPair ip:inacl (vendor)",
			"Access-Challenge: its text becomes the prompt, several rounds are possible (vendor)",
		},
		cannot: []string{
			"wait longer than its own timeout, which AnyConnect bounds to 12 s in old and 30 s in newer releases (vendor)",
			"keep MS-CHAPv2 apart: password-management on the tunnel group switches it on for the one-time password server too (vendor)",
		},
		repeat: "after retry-interval (10 s); after 3 failed attempts the next server of the group (vendor); whether a repetition keeps identifier and port is unconfirmed",
		ports:  "1645 and 1646 (vendor)",

		messageAuth: "ratchet", challenge: "plain", trustStation: true, retryAfter: 10 * time.Second,
		vendors:      []string{"Cisco-ASA", "Cisco", "Microsoft"},
		otherMethods: []string{"MS-CHAPv2"}, methodsAdvice: "no mschapv2-capable on the aaa-server host, no password-management on the tunnel group",
	},
	"ftd": {
		title: "Cisco Secure Firewall Threat Defense (FTD) with AnyConnect (Secure Client)",
		sends: []string{
			"what an ASA sends; ASA 146 Tunnel-Group-Name and ASA 150 Client-Type in logins, these and ASA 151 Session-Type in accounting (vendor)",
			"no Message-Authenticator, as far as is known (vendor)",
		},
		takes:  []string{"what an ASA takes, Class OU=GROUPPOLICY; and ASA 25 Group-Policy first of all (vendor)"},
		cannot: []string{"wait longer than its own timeout, which the client bounds as with an ASA (vendor)"},
		repeat: "after the retry interval of its server group, then the next server (vendor)",

		messageAuth: "ratchet", challenge: "plain", trustStation: true, retryAfter: 10 * time.Second,
		vendors:      []string{"Cisco-ASA", "Cisco", "Microsoft"},
		otherMethods: []string{"MS-CHAPv2"}, methodsAdvice: "leave password management off in the connection profile",
	},
	"ocserv": {
		title: "ocserv (OpenConnect server) with radcli",
		sends: []string{
			"User-Name and User-Password, NAS-Identifier, NAS-IP-Address, Service-Type Authenticate-Only, NAS-Port-Type Async (seen)",
			"Calling-Station-Id: the person's address; Connect-Info: the client program (seen)",
			"Message-Authenticator from radcli 1.5 on, none before (source, seen)",
		},
		takes: []string{
			"Framed-IP-Address, Session-Timeout, Acct-Interim-Interval (seen); Framed-Route, Microsoft DNS attributes (source)",
			"the first Class as group: OU=GROUP; or the bare name (seen)",
			"Access-Challenge with State and Reply-Message, at most 16 rounds (source, seen)",
		},
		cannot: []string{
			"take an Access-Accept with a Service-Type other than Framed (source)",
			"show the same question twice in a row (source); go on after a wrong answer to a question (seen)",
			"be told to end a session over RADIUS; use occtl (seen)",
		},
		repeat: "after 10 s, 3 times, the same octets; then the next server with a new request (source, seen)",

		messageAuth: "ratchet", challenge: "plain", trustStation: true, framedOnly: true, retryAfter: 10 * time.Second,
		vendors: []string{"Microsoft"},
	},
	"strongswan": {
		title: "strongSwan with eap-radius, XAuth form",
		sends: []string{
			"User-Name and User-Password in the XAuth form, with Message-Authenticator (source)",
			"Calling-Station-Id and Called-Station-Id with port, as 192.0.2.7[4500]; NAS-Port-Type Virtual, Service-Type Framed, NAS-Port-Id (source, seen)",
			"EAP-Message in the IKEv2 form: whatever the client speaks (seen)",
		},
		takes: []string{
			"Framed-IP-Address, Session-Timeout (seen); Class as group below 44 octets where it is switched on (source)",
			"ASA attributes for DNS, banner and split tunnels, Microsoft DNS attributes (source)",
		},
		cannot: []string{
			"ask a second question: rounds of XAuth are joined into one User-Password, Access-Challenge ends the login (source)",
			"log in by IKEv2: EAP is refused here",
			"live with a short Session-Timeout: the client logs in again before it ends, with the same code (seen)",
		},
		repeat: "after 2 s, 2.8 s, 3.9 s and 5.5 s, the same octets (source, seen)",

		messageAuth: "required", challenge: "none", noChallenge: true, trustStation: true, retryAfter: 2 * time.Second,
		vendors:      []string{"Cisco-ASA", "Microsoft"},
		otherMethods: []string{"EAP"}, methodsAdvice: "auth = xauth-radius in the connection; IKEv2 logins by EAP are not served",
	},
	"openvpn": {
		title: "OpenVPN with the RADIUS plug-in (openvpn-auth-radius)",
		sends: []string{
			"User-Name, User-Password, NAS-Identifier, NAS-IP-Address, NAS-Port, NAS-Port-Type, Service-Type, Acct-Session-Id (seen)",
			"Calling-Station-Id: the person's address (seen)",
			"with static-challenge the password as SCRV1:PASSWORD:CODE, both in base64 (seen)",
			"no Message-Authenticator (source, seen)",
		},
		takes: []string{"Framed-IP-Address (seen), Framed-Route, Acct-Interim-Interval (source)"},
		cannot: []string{
			"ask a second question: Access-Challenge is a refusal (seen)",
			"end a session by Session-Timeout (seen)",
			"renew keys without sending the cached password, and so an old code, again (source)",
		},
		repeat: "after the wait of its file, with the same identifier, another authenticator and from another port: a new request, whose code is used (seen)",

		messageAuth: "off", neverSendsMA: true, challenge: "none", noChallenge: true, trustStation: true, twoFields: true,
		retryAfter: 10 * time.Second,
	},
	"fortigate": {
		title: "Fortinet FortiGate",
		sends: []string{
			"User-Name, User-Password, NAS-Identifier, NAS-IP-Address, Called-Station-Id, Connect-Info, Fortinet 3 Vdom-Name (vendor)",
			"Calling-Station-Id: the person's address (vendor)",
			"passwords in the character set of password-encoding (vendor)",
		},
		takes: []string{
			"Fortinet 1 Group-Name (vendor)",
			"Access-Challenge in SSL VPN (vendor)",
			"answers only with Message-Authenticator since 7.2.10, 7.4.5 and 7.6.1, and only with the Proxy-State that it sent (vendor); every answer is such",
		},
		cannot: []string{"ask a second question in IPsec: there Access-Challenge ends the login (vendor)"},
		repeat: "after its timeout (5 s unless set). With auth-type auto it tries PAP, MS-CHAPv2 and CHAP in turn after each refusal (vendor)",

		messageAuth: "ratchet", challenge: "plain", trustStation: true, retryAfter: 5 * time.Second,
		vendors:      []string{"Fortinet"},
		otherMethods: []string{"MS-CHAPv2", "CHAP"}, methodsAdvice: "set auth-type pap",
	},
	"paloalto": {
		title: "Palo Alto Networks firewall with GlobalProtect",
		sends: []string{
			"User-Name, User-Password, NAS-Identifier the name of the profile (vendor)",
			"PaloAlto 7 to 10 (client's address, system, host, version) only where switched on (vendor)",
		},
		takes: []string{
			"PaloAlto 5 User-Group (vendor)",
			"Access-Challenge with PAP (vendor)",
		},
		cannot: []string{
			"tell the person's address in Calling-Station-Id",
			"use one code for portal and gateway: without an authentication override cookie the gateway sends the portal's code again (vendor)",
		},
		repeat: "after 3 s, 3 times, unless set; old releases try CHAP first and then PAP (vendor)",

		messageAuth: "ratchet", challenge: "plain", noStation: true, retryAfter: 3 * time.Second,
		vendors:      []string{"PaloAlto"},
		otherMethods: []string{"CHAP", "PEAP", "EAP-TTLS"}, methodsAdvice: "choose PAP as authentication protocol of the RADIUS server profile",
	},
	"opnsense": {
		title: "OPNsense and pfSense",
		sends: []string{
			"User-Name, User-Password, NAS-Identifier, Service-Type Login, Framed-Protocol, NAS-Port 0, NAS-Port-Type Ethernet (source, vendor)",
			"no Calling-Station-Id that tells where the person is (source)",
			"with a static challenge of OpenVPN the password as SCRV1:PASSWORD:CODE, both in base64 (unconfirmed)",
		},
		takes: []string{"Class as groups, where that is switched on (unconfirmed)"},
		cannot: []string{
			"ask a second question: Access-Challenge is a refusal (source)",
			"stop at a refusal: every server of the list is asked, also after Access-Reject (vendor)",
		},
		repeat: "after 10 s, 3 times, then the next server of the list, with the same code (source, vendor)",

		messageAuth: "ratchet", challenge: "none", noChallenge: true, noStation: true, twoFields: true, retryAfter: 10 * time.Second,
		otherMethods: []string{"MS-CHAPv2"}, methodsAdvice: "choose PAP as protocol of the RADIUS server",
	},
	"mikrotik": {
		title: "MikroTik RouterOS",
		sends: []string{
			"User-Name, User-Password, Service-Type Framed, Framed-Protocol PPP, NAS-Identifier, NAS-Port, Acct-Session-Id, NAS-Port-Type Virtual (vendor)",
			"Calling-Station-Id: the person's address; Called-Station-Id: its own (vendor)",
		},
		takes: []string{"MikroTik 3 Group, 8 Rate-Limit, 19 Address-List; Framed-IP-Address, Framed-Pool, Session-Timeout (vendor)"},
		cannot: []string{
			"ask a second question (vendor)",
			"wait: 300 ms unless set, which no directory keeps (unconfirmed)",
		},
		repeat: "after its timeout; how often, and whether with the same octets, is not known (unconfirmed)",

		messageAuth: "ratchet", challenge: "none", noChallenge: true, trustStation: true, retryAfter: 3 * time.Second,
		vendors:      []string{"Mikrotik"},
		otherMethods: []string{"CHAP", "MS-CHAP", "MS-CHAPv2", "EAP"}, methodsAdvice: "authentication=pap on the PPP server, inside IPsec or SSTP only",
	},
}

// Profiles are the names of the profiles, in the order of the alphabet.
func Profiles() []string {
	names := make([]string, 0, len(profiles))
	for name := range profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// profileNames lists them as a sentence does.
func profileNames() string {
	names := Profiles()
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
