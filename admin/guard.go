package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"sekisho/authn"
	"sekisho/operator"
)

// maxBody bounds a call's body but for seed files.
const maxBody = 1 << 20

// importPattern is the one route that takes more.
const importPattern = "POST /api/v1/tokens/import"

// guard asks who calls, refuses everybody else, and turns a panic into one failed request. mux finds the route; next, which
// ends in mux, serves it.
func (s *Server) guard(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				what := fmt.Sprintf("a %T", p) // the value can hold what the call brought, a PIN too
				if e, ok := p.(runtime.Error); ok {
					what = e.Error()
				}
				s.Log.Error("the admin API met a fault", "path", r.URL.Path, "fault", what, "stack", string(debug.Stack()))
				writeProblem(w, newProblem(http.StatusInternalServerError, "fault", wordFault))
			}
		}()
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, pattern := mux.Handler(r)
		route, known := routes[pattern]
		c := &caller{remote: remoteOf(r), agent: shortened(r.UserAgent(), 200), approval: r.Header.Get(ApprovalHeader), call: r.Method + " " + r.URL.RequestURI()}
		p := s.identify(r, c)
		if p != nil && !(known && route.by == open && p.Code == "sign-in") {
			writeProblem(w, p)
			return
		}
		if pattern != importPattern {
			if p := c.readBody(w, r); p != nil {
				writeProblem(w, p)
				return
			}
		}
		r = r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
		if pattern != "" {
			if p := s.enter(r.Context(), route, known, pattern); p != nil {
				writeProblem(w, p)
				return
			}
		} else {
			w = &noRoute{ResponseWriter: w}
		}
		if known && route.by == open {
			// Nobody is known yet by whom calls could be counted or answers kept; an address stands for whoever calls.
			if wait := s.calls.paces.take("sign-in "+c.from(), s.Now()); wait > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
				writeProblem(w, newProblem(http.StatusTooManyRequests, "too-many-calls", wordTooManyCalls))
				return
			}
			mux.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func shortened(text string, most int) string {
	if len(text) > most {
		return text[:most]
	}
	return text
}

// identify finds out who calls: by the kernel's word on the local socket, by an API key, or by a session's cookie.
func (s *Server) identify(r *http.Request, c *caller) *Problem {
	if peer, ok := r.Context().Value(peerKey{}).(Peer); ok {
		if !s.Operators.Allow(peer) {
			s.Log.Warn("the admin API refused a caller", "uid", peer.UID, "name", peer.Name)
			return newProblem(http.StatusForbidden, "not-an-operator", wordNotOperator(peer))
		}
		c.peer, c.Principal = peer, operator.Principal{Name: peer.Name, Role: operator.Master, Door: operator.LocalSocket}
		return nil
	}
	if secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		if s.byKey(c, secret) {
			return nil
		}
	} else if cookie, err := r.Cookie(SessionCookie); err == nil && s.bySession(r.Context(), c, cookie.Value) {
		return nil
	}
	return newProblem(http.StatusUnauthorized, "sign-in", wordSignIn)
}

// readBody takes the body in, so that it is bounded everywhere, and an approval can be for this very one.
func (c *caller) readBody(w http.ResponseWriter, r *http.Request) *Problem {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	var err error
	c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return newProblem(http.StatusRequestEntityTooLarge, "too-large", wordTooLarge)
	}
	if err != nil {
		return newProblem(http.StatusBadRequest, "bad-input", wordCutBody)
	}
	r.Body = io.NopCloser(bytes.NewReader(c.body))
	return nil
}

// enter is the door's part of a route's access.
func (s *Server) enter(ctx context.Context, route access, known bool, pattern string) *Problem {
	c := callerOf(ctx)
	switch {
	case !known:
		s.Log.Error("a route of the admin API has no right, so nobody may call it", "route", pattern)
		return newProblem(http.StatusForbidden, operator.NoRight.String(), wordNoRight(c.Principal, "none"))
	case route.right == "":
		return nil
	case route.by == byDoor:
		return s.allow(ctx, route.right, operator.Target{})
	case c.NoToken:
		return answerProblem(operator.RegisterOnly, route.right, c.Principal)
	case !c.may(route.right):
		return answerProblem(operator.NoRight, route.right, c.Principal)
	}
	return nil
}

// act is the caller's act at this moment. Whoever calls it has asked allow: a handler that forgot to changes nothing.
func (s *Server) act(ctx context.Context) authn.Act {
	c := callerOf(ctx)
	if c == nil || !c.asked {
		panic("an act that nobody was asked about")
	}
	return authn.Act{Actor: c.Name, Now: s.Now()}
}

// noRoute makes a problem of the mux's own words for a path that leads nowhere; what it says of a wrong method stays.
type noRoute struct {
	http.ResponseWriter
	said bool
}

// WriteHeader is [http.ResponseWriter]'s.
func (n *noRoute) WriteHeader(status int) {
	if n.said = status == http.StatusNotFound; n.said {
		writeProblem(n.ResponseWriter, newProblem(status, "not-found", wordNotFound))
		return
	}
	n.ResponseWriter.WriteHeader(status)
}

// Write is [http.ResponseWriter]'s.
func (n *noRoute) Write(b []byte) (int, error) {
	if n.said {
		return len(b), nil
	}
	return n.ResponseWriter.Write(b)
}
