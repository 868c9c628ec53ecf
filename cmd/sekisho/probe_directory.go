package main

import (
	"context"
	"errors"
	"time"

	"sekisho/authn"
	"sekisho/directory"
)

// serverFindings asks the directory for a name that nobody should have: connection, TLS, service account and search all
// take part in the answer.
func serverFindings(ctx context.Context, subject string, l *directory.LDAP, _ directory.LDAPConfig, _ time.Time) []finding {
	_, err := l.Lookup(ctx, []byte("sekisho-probe"))
	if err == nil || errors.Is(err, authn.ErrUnknownUser) || errors.Is(err, authn.ErrAmbiguousUser) {
		return []finding{{fine, subject, "it answers a search", ""}}
	}
	return []finding{{fault, subject, err.Error(), "correct urls, ca_file, bind_dn and base_dn"}}
}
