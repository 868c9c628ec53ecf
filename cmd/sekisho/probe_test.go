package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/directory"
	"sekisho/storage"
)

var probeNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func wantFinding(t *testing.T, f finding, state, text string) {
	t.Helper()
	if f.State != state || !strings.Contains(f.Text, text) || (f.State == fine) != (f.Advice == "") {
		t.Errorf("want %s with %q: %+v", state, text, f)
	}
}

func TestCertificateFinding(t *testing.T) {
	for _, tt := range []struct {
		from, until time.Duration
		state, text string
	}{
		{-time.Hour, 31 * 24 * time.Hour, fine, "holds until 2026-12-23"},
		{-time.Hour, 30*24*time.Hour - 1, warning, "in 29 days"},
		{-time.Hour, time.Hour, warning, "in 0 days"},
		{-time.Hour, 0, fault, "ended on 2026-11-22"},
		{-time.Hour, -time.Second, fault, "ended on 2026-11-22"},
		{time.Second, time.Hour, fault, "holds only from 2026-11-22T12:00:01Z on"},
	} {
		c := &x509.Certificate{NotBefore: probeNow.Add(tt.from), NotAfter: probeNow.Add(tt.until), Subject: pkix.Name{CommonName: "d.example"}}
		wantFinding(t, certificateFinding("x", c, probeNow), tt.state, tt.text)
	}
}

func TestClockFinding(t *testing.T) {
	for _, tt := range []struct {
		synchronised bool
		newest       time.Duration
		state, text  string
	}{
		{true, -time.Hour, fine, "a time service keeps it"},
		{true, clockSlack, fine, ""},
		{true, 10 * time.Minute, fault, "10m0s behind a code that was used already"},
		{false, 10 * time.Minute, fault, "10m0s behind"},
		{false, -time.Hour, warning, "does not know of a time service"},
	} {
		wantFinding(t, clockFinding(probeNow, tt.synchronised, probeNow.Add(tt.newest)), tt.state, tt.text)
	}
	wantFinding(t, clockFinding(probeNow, true, time.Time{}), fine, "")
	for off, state := range map[time.Duration]string{0: fine, 5 * time.Second: fine, -6 * time.Second: warning, 30 * time.Second: warning,
		31 * time.Second: fault, 10 * time.Minute: fault, -10 * time.Minute: fault} {
		if f := witnessFinding("d", probeNow, probeNow.Add(off)); f.State != state {
			t.Errorf("%v apart: %+v", off, f)
		}
	}
}

func TestReportFindings(t *testing.T) {
	cert := func(until time.Duration) *x509.Certificate {
		return &x509.Certificate{NotBefore: probeNow.Add(-time.Hour), NotAfter: probeNow.Add(until)}
	}
	year := 365 * 24 * time.Hour
	done := directory.ServerReport{URL: "ldaps://d", Stage: directory.StageDone, Chain: []*x509.Certificate{cert(year), cert(year)}}
	states := func(r directory.ServerReport) string {
		text := ""
		for _, f := range reportFindings("d", r, directory.LDAPConfig{}, probeNow) {
			text += f.State + " "
		}
		return text
	}
	soon, late := done, done
	soon.Chain = []*x509.Certificate{cert(year), cert(24 * time.Hour)}
	late.Clock, late.ClockRead = probeNow, probeNow.Add(10*time.Minute)
	for name, tt := range map[string]struct {
		r    directory.ServerReport
		want string
	}{
		"all is well":                    {done, "ok ok "},
		"an authority near its end":      {soon, "ok ok warning "},
		"clocks ten minutes apart":       {late, "ok ok fault "},
		"an expired certificate":         {directory.ServerReport{Stage: directory.StageTrust, Chain: done.Chain, Err: x509.CertificateInvalidError{Reason: x509.Expired}}, "fault "},
		"a service account that may not": {directory.ServerReport{Stage: directory.StageSignIn, Err: errors.New("no")}, "fault "},
	} {
		if got := states(tt.r); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestListenFinding(t *testing.T) {
	taken := &net.OpError{Op: "listen", Err: fmt.Errorf("bind: %w", unix.EADDRINUSE)}
	wantFinding(t, listenFinding("x", nil, false), fine, "can be bound")
	wantFinding(t, listenFinding("x", taken, true), fine, "while the service runs")
	wantFinding(t, listenFinding("x", taken, false), fault, "another program has it")
	wantFinding(t, listenFinding("x", fmt.Errorf("bind: %w", unix.EADDRNOTAVAIL), false), fault, "no such address")
	wantFinding(t, listenFinding("x", fmt.Errorf("bind: %w", unix.EACCES), false), fault, "may not bind")
}

func TestStorageFindings(t *testing.T) {
	good := storage.Probe{Config: storage.Config{Path: "/d/x.db", Mark: "/m/mark", FreeSpace: 256, Ballast: 16}, Free: 1 << 40, Machine: true}
	with := func(change func(*storage.Probe)) storage.Probe {
		p := good
		change(&p)
		return p
	}
	for _, tt := range []struct {
		name           string
		p              storage.Probe
		keyErr         error
		subject, state string
		text           string
	}{
		{"all is well", good, nil, "database", fine, "opens with the key"},
		{"no key", good, errors.New("no key"), "key", fault, "no key"},
		{"not the living one", with(func(p *storage.Probe) { p.Err = fmt.Errorf("%w: a copy", storage.ErrNotLiving) }), nil, "database", fault, "a copy"},
		{"another key", with(func(p *storage.Probe) { p.Err = errors.New("opening the data keys") }), nil, "database", fault, "data keys"},
		{"running", with(func(p *storage.Probe) { p.Holder = "process 7" }), nil, "database", fine, "process 7"},
		{"first start", with(func(p *storage.Probe) { p.Fresh = true }), nil, "database", fine, "does not exist yet"},
		{"after a crash", with(func(p *storage.Probe) { p.Unclean = true }), nil, "database", warning, "not closed cleanly"},
		{"mark", with(func(p *storage.Probe) { p.MarkErr = errors.New("not there") }), nil, "mark", fault, "not there"},
		{"a full disk", with(func(p *storage.Probe) { p.Free = 271 << 20 }), nil, "disk", fault, "271 MiB are free in /d, and 272 are wanted"},
		{"a disk that fills", with(func(p *storage.Probe) { p.Free = 300 << 20 }), nil, "disk", warning, "300 MiB"},
		{"no machine id", with(func(p *storage.Probe) { p.Machine = false }), nil, "machine", warning, "is missing"},
	} {
		found := false
		for _, f := range storageFindings(tt.p, tt.keyErr) {
			if f.Subject == tt.subject {
				found = true
				wantFinding(t, f, tt.state, tt.text)
			}
		}
		if !found {
			t.Errorf("%s: nothing about %s", tt.name, tt.subject)
		}
	}
}
