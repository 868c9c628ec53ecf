package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

// asOperator calls as somebody with a role and a scope, past the door.
func (h *house) asOperator(p operator.Principal, method, path, body string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	c := &caller{Principal: p}
	w := httptest.NewRecorder()
	r = r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
	switch {
	case strings.HasPrefix(path, "/api/v1/audit?"), path == "/api/v1/audit":
		h.api.exportAudit(w, r)
	default:
		h.t.Fatal(path)
	}
	return w
}

// login saves an event of a user.
func (h *house) login(account authn.AccountID, name string) {
	h.t.Helper()
	saved := make(chan error, 1)
	err := h.db.Update(authn.Keys{}, func(*authn.Held) (authn.Change, error) {
		return authn.Change{Event: &authn.Event{At: h.now(), Kind: authn.LoginEvent, Account: account, Step: token.NoStep,
			Verdict: authn.Reject, Reason: authn.UnknownUser, Personal: authn.Personal{Name: []byte(name)}}}, nil
	}, func(err error) { saved <- err })
	if err == nil {
		err = <-saved
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestEraseOverHTTP takes out a person who has an account, one whom the directory alone knows, and a name that is nobody's.
func TestEraseOverHTTP(t *testing.T) {
	h := newHouse(t)
	h.ok("POST", "/api/v1/users/annie/tokens", map[string]any{}, nil)
	annie := h.db.AccountOf("corp", "annie")
	if annie == 0 {
		t.Fatal("no account was made")
	}
	h.login(annie, "annie")
	h.login(0, "bob")
	h.login(0, "password-in-the-wrong-field")
	for _, try := range []struct {
		user, body string
		events     int
	}{
		{"annie", `{"reason": "request 1"}`, 1},
		{"bob", `{"reason": "request 2"}`, 1},
		{"nobody", `{"reason": "request 3", "names": ["Password-in-the-wrong-field"]}`, 1},
		{"annie", `{"reason": "again"}`, 0},
	} {
		w := h.call("POST", "/api/v1/users/"+try.user+"/erase", try.body)
		lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
		var line EraseLine
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil || w.Code != 200 || line.Erased == nil || line.Erased.Events != try.events {
			t.Errorf("%s: %d %s", try.user, w.Code, w.Body)
		}
	}
	if w := h.call("POST", "/api/v1/users/annie/erase", `{}`); w.Code != 422 {
		t.Errorf("without a reason: %d %s", w.Code, w.Body)
	}
	var v Verified
	h.ok("POST", "/api/v1/audit/verify", nil, &v)
	if !v.OK || v.Erased != 3 {
		t.Errorf("%+v", v)
	}
	h.ok("POST", "/api/v1/audit/verify", map[string]any{"heads": []VerifyHead{{v.Seq, v.Link}}}, &v)
	if !v.OK || v.Heads != 1 {
		t.Errorf("%+v", v)
	}
	h.ok("POST", "/api/v1/audit/verify", map[string]any{"heads": []VerifyHead{{v.Seq, strings.Repeat("0", 64)}}}, &v)
	if v.OK || !strings.Contains(v.Problem, "left the machine") {
		t.Errorf("%+v", v)
	}
	if w := h.call("GET", "/api/v1/audit", nil); strings.Contains(w.Body.String(), "annie\"") || !strings.Contains(w.Body.String(), "request 1") {
		t.Errorf("%s", w.Body)
	}
}

// TestEraseNeedsAMaster: the right is a master's, and asks for both factors again.
func TestEraseNeedsAMaster(t *testing.T) {
	for _, role := range []operator.Role{operator.Admin, operator.Helpdesk, operator.Auditor} {
		if role.Has(operator.Erase) || role.Has(operator.Keys) {
			t.Errorf("%v may", role)
		}
	}
	if operator.ClassOf(operator.Erase) != operator.Guards || operator.ClassOf(operator.Keys) != operator.Guards {
		t.Error("no step-up is asked for")
	}
	for route, right := range map[string]operator.Right{"POST /api/v1/users/{user}/erase": operator.Erase, "POST /api/v1/sealing/rotate": operator.Keys,
		"POST /api/v1/sealing/verify": operator.Keys, "POST /api/v1/audit/verify": operator.ReadAudit} {
		if routes[route].right != right {
			t.Errorf("%s asks for %q", route, routes[route].right)
		}
	}
}

// TestExportScope: whose scope is narrower exports what it covers and nothing else.
func TestExportScope(t *testing.T) {
	h := newHouse(t)
	h.ok("POST", "/api/v1/users/annie/tokens", map[string]any{}, nil)
	h.ok("POST", "/api/v1/users/carol/tokens", map[string]any{}, nil)
	h.login(h.db.AccountOf("corp", "annie"), "annie")
	h.login(h.db.AccountOf("corp", "carol"), "carol")
	h.login(0, "nobody")
	everything := h.asOperator(operator.Principal{Role: operator.Auditor}, http.MethodGet, "/api/v1/audit", "").Body.String()
	staff := h.asOperator(operator.Principal{Role: operator.Auditor, Scope: operator.Scope{Groups: []string{"staff"}}}, http.MethodGet, "/api/v1/audit", "").Body.String()
	for _, name := range []string{`"user":"annie"`, `"user":"carol"`, `"user":"nobody"`} {
		if !strings.Contains(everything, name) {
			t.Errorf("%s is missing in %s", name, everything)
		}
	}
	if !strings.Contains(staff, `"user":"annie"`) || strings.Contains(staff, "carol") || strings.Contains(staff, "nobody") {
		t.Errorf("%s", staff)
	}
}
