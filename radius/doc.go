// Package radius is the wire between gateways and logins: UDP sockets, packet checks, the reply cache, and what each kind
// of gateway needs. It turns an Access-Request into an [authn.Login] and an [authn.Decision] into an answer, and an
// Accounting-Request into an [authn.Session].
//
// One datagram, in this order (RFC 2865, 2866, 2869, 3579, 5080, 5997; each discard is silent, counted by client and
// logged at most once per source and minute):
//
//	receive     the source address names the client and its secrets; the address that was asked is kept for the answer
//	parse       length, padding cut, code of this port, attributes exactly filling the packet, at most 200
//	authentic   Message-Authenticator by the client's policy, limit of Proxy-State, ratchet; for accounting the Request
//	            Authenticator; for Status-Server a Message-Authenticator always
//	meaning     one kind of password, a name, a State
//	reply cache the same packet again gets the same bytes, or silence while the first is worked on (RFC 5080 section 2.2.2)
//	admission   a bounded number of requests, a fair share per client, answers to a challenge first; else silence
//	login       [Authenticator.Authenticate], which never blocks; its Decision comes back on any goroutine
//	answer      Message-Authenticator first, signed, kept in the reply cache, sent from the address that was asked;
//	            refusals in slots (S20), nothing after the client's deadline
//
// The receiving goroutines do all of this inline up to the login; no goroutine is started for a packet.
//
// MD5 and HMAC-MD5 are what RADIUS is made of; both are used in digest.go only and are not available under
// GODEBUG=fips140=only.
package radius
