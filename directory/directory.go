// Package directory knows who the users are and whether a password is theirs. It answers for [authn.Directory] from an
// LDAP server or Active Directory ([LDAP]) and from a file ([File]).
//
// A typed name passes through three gates before it means anybody. [authn.FoldName] brings its spellings together and turns
// away what cannot be a name at all. The directory then searches with its own matching rules. Last, the entry that came
// back has to carry the name that was asked for; so neither a wildcard nor a mistake in a filter can name somebody else.
// What counts afterwards is the entry's immutable id, never the name.
//
// An outage is an error and never an answer: no failure of network, TLS, LDAP or of a group walk is reported as "no such
// user", as "wrong password" or as fewer groups. Every exchange has a deadline and a bound on what it may read; a
// connection that saw an error is thrown away.
package directory
