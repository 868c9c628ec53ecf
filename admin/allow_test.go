package admin

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"sekisho/operator"
)

// TestEveryRouteHasARight walks the description of the API: each of its calls stands in the table of rights, and the table
// has no other ones.
func TestEveryRouteHasARight(t *testing.T) {
	w := httptest.NewRecorder()
	silent(t, io.Discard).Handler().ServeHTTP(w, as(Peer{0, "root"}, "GET", "/api/openapi.json", ""))
	var doc struct {
		Paths map[string]map[string]struct {
			Right operator.Right `json:"x-right"`
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	left := maps.Clone(routes)
	for path, calls := range doc.Paths {
		for method, op := range calls {
			route := strings.ToUpper(method) + " " + path
			if a, ok := routes[route]; !ok || a.right != op.Right {
				t.Errorf("%s: in the table %v (%v), described %q", route, a, ok, op.Right)
			}
			delete(left, route)
		}
	}
	for route, a := range left {
		stream := route == "POST /api/v1/backup" || route == "GET /api/v1/audit" // beside huma
		if !stream && !strings.HasPrefix(route, "GET /api/openapi") {
			t.Errorf("%s is in the table alone", route)
		}
		if a.right != "" && !slices.Contains(operator.Rights(), a.right) {
			t.Errorf("%s asks for %q, which is no right", route, a.right)
		}
	}
}

// TestARouteWithoutARightIsShut: what was forgotten in the table is refused, to masters too.
func TestARouteWithoutARightIsShut(t *testing.T) {
	s := silent(t, io.Discard)
	old := routes["GET /api/v1/health"]
	delete(routes, "GET /api/v1/health")
	defer func() { routes["GET /api/v1/health"] = old }()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, as(Peer{0, "root"}, "GET", "/api/v1/health", ""))
	if w.Code != 403 || problemOf(t, w).Code != "no-right" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestNobodyActsUnasked: a handler that forgets to ask ends in a fault and changes nothing.
func TestNobodyActsUnasked(t *testing.T) {
	s := silent(t, io.Discard)
	ctx := context.WithValue(t.Context(), callerKey{}, &caller{Principal: operator.Principal{Name: "mio", Role: operator.Auditor, Door: operator.Key}})
	if p := s.allow(ctx, operator.Revoke, operator.Target{}); p == nil || p.Code != "no-right" {
		t.Errorf("an auditor revokes: %v", p)
	}
	defer func() {
		if recover() == nil {
			t.Error("an act that was refused went on")
		}
	}()
	s.act(ctx)
}
