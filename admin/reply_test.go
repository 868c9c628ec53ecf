package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestOneKeyOneEffect: a call with an Idempotency-Key is done once, however often it comes, and answered as before.
func TestOneKeyOneEffect(t *testing.T) {
	h := newHouse(t)
	h.stock(3, "", "annie")
	revoke := func(key string) (int, string) {
		w := h.call("POST", "/api/v1/tokens/H1/revoke", `{"reason":"x"}`, "Idempotency-Key", key)
		return w.Code, w.Body.String()
	}
	status, first := revoke("k1")
	if status != 200 {
		t.Fatalf("%d %s", status, first)
	}
	seq := h.events()
	for range 3 {
		if status, again := revoke("k1"); status != 200 || again != first {
			t.Errorf("again: %d %s, want %s", status, again, first)
		}
	}
	if h.events() != seq {
		t.Error("a call that came again did something")
	}
	h.no(422, "idempotency-mismatch", "POST", "/api/v1/tokens/H1/revoke", `{"reason":"y"}`, "Idempotency-Key", "k1")
	h.no(422, "idempotency-mismatch", "POST", "/api/v1/tokens/H1/suspend", `{"reason":"x"}`, "Idempotency-Key", "k1")
	// A refusal did nothing, so its key is free again once the cause is gone.
	h.no(409, "not-assigned", "POST", "/api/v1/tokens/H2/suspend", `{}`, "Idempotency-Key", "k2")
	h.ok("POST", "/api/v1/tokens/H2/assign", `{"user":"bob"}`, nil)
	h.ok("POST", "/api/v1/tokens/H2/suspend", `{}`, nil, "Idempotency-Key", "k2")
	h.no(422, "bad-input", "POST", "/api/v1/tokens/H2/suspend", `{}`, "Idempotency-Key", strings.Repeat("x", 256))

	h.advance(24*time.Hour - time.Second)
	if status, again := revoke("k1"); status != 200 || again != first {
		t.Errorf("within the day: %d %s", status, again)
	}
	h.advance(2 * time.Second)
	if status, again := revoke("k1"); status != http.StatusConflict {
		t.Errorf("after the day the call is a new one: %d %s", status, again)
	}
}

// TestOneKeyInParallel: of 32 equal calls at once one is done.
func TestOneKeyInParallel(t *testing.T) {
	h := newHouse(t)
	var wg sync.WaitGroup
	codes := make([]int, 32)
	for i := range codes {
		wg.Go(func() {
			codes[i] = h.call("POST", "/api/v1/users/annie/activations", `{}`, "Idempotency-Key", "one").Code
		})
	}
	wg.Wait()
	for _, c := range codes {
		if c != 200 && c != 409 {
			t.Errorf("status %d", c)
		}
	}
	var l ActivationList
	h.ok("GET", "/api/v1/activations", nil, &l)
	if len(l.Activations) != 1 {
		t.Errorf("%d links of one key", len(l.Activations))
	}
}

// TestKeptAnswersHoldNoSecret: an answer that shows a seed is shown once; the same key gives no second look.
func TestKeptAnswersHoldNoSecret(t *testing.T) {
	h := newHouse(t)
	var e Enrolled
	h.ok("POST", "/api/v1/users/annie/tokens", `{}`, &e, "Idempotency-Key", "k")
	if e.Secret == "" {
		t.Fatal("no secret")
	}
	p := h.no(409, "already-done", "POST", "/api/v1/users/annie/tokens", `{}`, "Idempotency-Key", "k")
	if strings.Contains(fmt.Sprint(p), e.Secret) {
		t.Error("the seed was kept")
	}
	var u User
	h.ok("GET", "/api/v1/users/annie", nil, &u)
	if len(u.Tokens) != 1 {
		t.Errorf("%d tokens of one key", len(u.Tokens))
	}
}

// TestAKeyWhoseServiceEnded: a call that ends in a fault leaves its key as running. Nobody knows what it did, and the key
// says so instead of doing it again.
func TestAKeyWhoseServiceEnded(t *testing.T) {
	h := newHouse(t)
	h.stock(1, "", "annie")
	h.api.Clock = deadClock{} // panics when it is asked
	h.no(500, "fault", "POST", "/api/v1/clock/accept", "", "Idempotency-Key", "k")
	h.api.Clock = sureClock{}
	h.no(409, "outcome-unknown", "POST", "/api/v1/clock/accept", "", "Idempotency-Key", "k")
}

// TestVersions: of two operators who looked at the same thing one is told that it changed, and shown how it is now.
func TestVersions(t *testing.T) {
	h := newHouse(t)
	h.stock(2, "", "annie")
	tag := func(path string) string {
		w := h.call("GET", path, nil)
		if w.Code != 200 || w.Header().Get("ETag") == "" {
			t.Fatalf("%s: %d, ETag %q", path, w.Code, w.Header().Get("ETag"))
		}
		return w.Header().Get("ETag")
	}
	both := tag("/api/v1/tokens/H1")
	h.ok("POST", "/api/v1/tokens/H1/suspend", `{}`, nil, "If-Match", both)
	seq := h.events()
	p := h.no(412, "changed", "POST", "/api/v1/tokens/H1/revoke", `{}`, "If-Match", both)
	if h.events() != seq {
		t.Error("a change of another version was done")
	}
	current, _ := p.Current.(map[string]any)
	if p.ETag != tag("/api/v1/tokens/H1") || current["serial"] != "H1" {
		t.Errorf("the present version is not told: %+v", p)
	}
	h.ok("POST", "/api/v1/tokens/H1/resume", `{}`, nil, "If-Match", p.ETag)
	h.ok("POST", "/api/v1/tokens/H1/suspend", `{}`, nil, "If-Match", "*")

	h.ok("PUT", "/api/v1/users/annie/pin", `{"pin":"7391"}`, nil)
	user := tag("/api/v1/users/annie")
	h.ok("POST", "/api/v1/users/annie/pin/reset", `{}`, nil, "If-Match", user)
	h.no(412, "changed", "POST", "/api/v1/users/annie/pin/reset", `{}`, "If-Match", user)

	var issued Issued
	h.ok("POST", "/api/v1/users/bob/activations", `{}`, &issued)
	link := "/api/v1/activations/" + issued.Activation.ID
	old := tag(link)
	h.ok("POST", link+"/resend", `{}`, nil, "If-Match", old)
	h.no(412, "changed", "POST", link+"/revoke", `{}`, "If-Match", old)
}

// TestChangesArePaced: a caller who changes more than a script should is held back, told for how long, and reads on.
func TestChangesArePaced(t *testing.T) {
	h := newHouse(t)
	for i := range changesAtOnce {
		if w := h.call("POST", "/api/v1/users/nobody/unlock", ""); w.Code != 404 {
			t.Fatalf("call %d: %d %s", i, w.Code, w.Body)
		}
	}
	w := h.call("POST", "/api/v1/users/nobody/unlock", "")
	if w.Code != 429 || w.Header().Get("Retry-After") != "1" || problemOf(t, w).Code != "too-many-calls" {
		t.Errorf("%d, Retry-After %q: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	h.ok("GET", "/api/v1/users", nil, nil)
	r := as(Peer{0, "other"}, "POST", "/api/v1/users/nobody/unlock", "")
	other := httptest.NewRecorder()
	if h.http.ServeHTTP(other, r); other.Code != 404 {
		t.Errorf("another caller: %d", other.Code)
	}
	h.advance(time.Second)
	if w := h.call("POST", "/api/v1/users/nobody/unlock", ""); w.Code != 404 {
		t.Errorf("after a second: %d", w.Code)
	}
}
