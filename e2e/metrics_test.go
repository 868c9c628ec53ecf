package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"

	"sekisho/token"
)

// TestMetrics reads, after one accept, one refusal, one repeated packet and one packet with a wrong secret, what a
// monitoring system reads.
func TestMetrics(t *testing.T) {
	s := newSite(t, siteOptions{})
	s.start()
	keys := newKeys(t, token.HOTP, "M", 2)
	s.load(keys[:1], []string{"somebody"})
	s.cli("token", "enroll", "somebody", "--name", "phone")
	gw := s.gw()
	ctx := context.Background()
	raw, p, err := gw.request("somebody", keys[0].code(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, gw.addr)
	for range 2 { // the same packet from the same port
		_, _ = conn.Write(raw)
		b := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(b); err != nil || b[0] != byte(radius.CodeAccessAccept) {
			t.Fatalf("%x %v, want an Accept for identifier %d", b[:n], err, p.Identifier)
		}
	}
	if a, err := gw.login(ctx, "somebody", keys[0].code(0), nil); err != nil || a.code != radius.CodeAccessReject {
		t.Fatalf("the code once more: %v %v", a.code, err)
	}
	gw.secret, gw.retry, gw.tries = []byte("another secret"), 200*time.Millisecond, 1
	if _, err := gw.login(ctx, "somebody", "000000", nil); err == nil {
		t.Fatal("a wrong secret was answered")
	}

	var page string
	waitFor(t, 5*time.Second, "the wrong secret is counted", func() bool {
		page, _ = s.get("/metrics")
		return metricSum(page, "sekisho_radius_bad_authenticators_total") == 1
	})
	for _, want := range []string{
		`sekisho_radius_access_requests_total{client="gw"} 4`,
		`sekisho_radius_duplicate_access_requests_total{client="gw"} 1`,
		`sekisho_radius_access_accepts_total{client="gw"} 1`,
		`sekisho_radius_access_rejects_total{client="gw"} 1`,
		`sekisho_radius_access_challenges_total{client="gw"} 0`,
		`sekisho_radius_malformed_access_requests_total{client="gw"} 0`,
		`sekisho_radius_bad_authenticators_total{client="gw"} 1`,
		`sekisho_radius_packets_dropped_total{client="gw"} 0`,
		`sekisho_radius_unknown_types_total{client="gw"} 0`,
		`sekisho_radius_unknown_clients_total 0`,
		`sekisho_radius_accounting_requests_total{client="gw"} 0`,
		`sekisho_radius_accounting_responses_total{client="gw"} 0`,
		`sekisho_logins_total{client="gw",reason="ok",verdict="accept"} 1`,
		`sekisho_logins_total{client="gw",reason="already-used",verdict="reject"} 1`,
		`sekisho_login_stage_seconds_count{stage="total"} 2`,
		`sekisho_tokens{state="in use"} 2`,
		`sekisho_tokens{state="in stock"} 0`,
		`sekisho_tokens{state="destroyed"} 0`,
		`sekisho_storage_healthy 1`,
	} {
		if !slices.Contains(strings.Split(page, "\n"), want) {
			t.Errorf("no line %s", want)
		}
	}
	for _, name := range []string{"sekisho_storage_commit_entries_count", "sekisho_storage_commit_seconds_count", "sekisho_storage_events_total"} {
		if metricSum(page, name) < 2 {
			t.Errorf("%s counts nothing", name)
		}
	}
	if strings.Contains(page, "somebody") {
		t.Error("a user's name stands in the metrics")
	}
	if body, status := s.get("/livez"); status != 200 || body != "ok\n" {
		t.Errorf("/livez: %d %q", status, body)
	}
	if body, status := s.get("/readyz"); status != 200 || !strings.Contains(body, `"ok":true`) {
		t.Errorf("/readyz: %d %q", status, body)
	}
	if t.Failed() {
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "sekisho_") && !strings.Contains(line, "_bucket") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
}
