package radius

// fault is why a packet was discarded. The numbers index counters and are never stored.
type fault uint8

const (
	noFault fault = iota
	faultUnknownClient
	faultLength
	faultCode
	faultAttribute
	faultTooMany
	faultMessageAuthForm
	faultMessageAuthMissing
	faultProxyState
	faultMessageAuthWrong
	faultAuthenticator
	faultSeveralPasswords
	faultNoPassword
	faultNoName
	faultRepeated
	faultAccounting
	faultOverload
	faultStale
	faultStatusRate
	faultUnhealthy
	faultReplySize
	faultUnsaved
	faultLate
	faultNoAnswer
	faultPanic
	faultEnd
)

// counter is one of the counters of RFC 4669 and RFC 4671, kept per client. The two tables have the same columns, so one
// set serves both ports.
type counter uint8

const (
	countRequests counter = iota
	countDuplicates
	countAccepts
	countRejects
	countChallenges
	countResponses
	countMalformed
	countBadAuthenticators
	countDropped
	countNoRecords
	countUnknownTypes
	counterEnd
)

// faults gives each class its counter, its word in metrics and the sentence for the log. Texts say what to do where
// something can be done.
var faults = [faultEnd]struct {
	counter counter
	word    string
	text    string
}{
	faultUnknownClient:      {countDropped, "unknown-client", "packet from an address that no client entry covers; add it to radius.clients if it is a gateway"},
	faultLength:             {countMalformed, "length", "packet shorter than 20 octets, or its Length field below 20, above 4096 or beyond the datagram"},
	faultCode:               {countUnknownTypes, "code", "packet code that this port does not take"},
	faultAttribute:          {countMalformed, "attribute", "attribute of type 0, of length 0 or 1, or running over the end of the packet"},
	faultTooMany:            {countMalformed, "too-many-attributes", "more than 200 attributes"},
	faultMessageAuthForm:    {countMalformed, "message-authenticator-form", "Message-Authenticator of a wrong length, or more than one"},
	faultMessageAuthMissing: {countDropped, "message-authenticator-missing", "no Message-Authenticator, which this client must send; switch it on at the gateway, or set message_authenticator for a gateway that cannot"},
	faultProxyState:         {countDropped, "proxy-state", "Proxy-State without Message-Authenticator, as in a BlastRADIUS attack; a proxy in between needs limit_proxy_state: false"},
	faultMessageAuthWrong:   {countBadAuthenticators, "message-authenticator-wrong", "wrong shared secret (Message-Authenticator does not verify)"},
	faultAuthenticator:      {countBadAuthenticators, "authenticator", "wrong shared secret (Request Authenticator does not verify)"},
	faultSeveralPasswords:   {countMalformed, "several-passwords", "more than one kind of password in one request"},
	faultNoPassword:         {countMalformed, "no-password", "neither a password nor a State"},
	faultNoName:             {countMalformed, "no-name", "neither User-Name nor State"},
	faultRepeated:           {countMalformed, "repeated-attribute", "User-Name, User-Password or State more than once"},
	faultAccounting:         {countMalformed, "accounting", "Accounting-Request without Acct-Status-Type or Acct-Session-Id"},
	faultOverload:           {countDropped, "overload", "too many requests are being worked on"},
	faultStale:              {countDropped, "stale", "packet waited to be read for longer than half of the client's retry_after; the machine is overloaded or stood still"},
	faultStatusRate:         {countDropped, "status-rate", "Status-Server more than 10 times a second"},
	faultUnhealthy:          {countDropped, "unhealthy", "Status-Server while logins cannot be answered"},
	faultReplySize:          {countDropped, "reply-size", "the answer would be longer than 4096 octets"},
	faultUnsaved:            {countNoRecords, "unsaved", "accounting record could not be saved, so it is not acknowledged"},
	faultLate:               {countDropped, "late", "the answer was ready only after the client's deadline"},
	faultNoAnswer:           {countDropped, "no-answer", "a login got no answer, because something it needs was not available; `sekisho logins` tells why"},
	faultPanic:              {countDropped, "panic", "an internal fault ended the request"},
}

// String gives the word that metrics use.
func (f fault) String() string { return faults[f].word }
