package main

import (
	"context"
	"fmt"
	"time"

	"sekisho/directory"
)

// serverFindings connects to each server of a directory by itself, as logins do.
func serverFindings(ctx context.Context, subject string, l *directory.LDAP, c directory.LDAPConfig, now time.Time) (all []finding) {
	for _, r := range l.ReportServers(ctx) {
		all = append(all, reportFindings(subject+", "+r.URL, r, c, now)...)
	}
	return all
}

// reportFindings judges what one server has shown: the stage it got to, its certificates, its clock.
func reportFindings(subject string, r directory.ServerReport, c directory.LDAPConfig, now time.Time) []finding {
	if r.Stage != directory.StageDone {
		step := [...]string{"it cannot be connected to", "its certificate is not trusted", "the service account is refused", "base_dn cannot be read"}[r.Stage]
		return []finding{{fault, subject, fmt.Sprintf("%s: %v", step, r.Err), advice(r, c)}}
	}
	all := []finding{{fine, subject, "it answers a search after " + r.Connected.Round(time.Millisecond).String() + " of connecting", ""}}
	for i, cert := range r.Chain {
		if f := certificateFinding(subject, cert, now); i == 0 || f.State != fine {
			all = append(all, f)
		}
	}
	if !r.Clock.IsZero() {
		all = append(all, witnessFinding(subject, r.ClockRead, r.Clock))
	}
	return all
}
