package admin

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// Verified is what a walk over the whole audit chain came to.
type Verified struct {
	OK      bool   `json:"ok"`
	Seq     uint64 `json:"seq" doc:"number of the newest event when the walk began"`
	Link    string `json:"link" doc:"the chain's link there, in hex; compare it with a head that left the machine"`
	Problem string `json:"problem,omitempty" doc:"the first place that does not hold"`
}

func (s *Server) auditRoutes(api huma.API, mux *http.ServeMux) {
	huma.Post(api, "/api/v1/audit/verify", s.verifyAudit)
	mux.HandleFunc("GET /api/v1/audit", s.exportAudit)
}

// verifyAudit is POST /api/v1/audit/verify: it walks every link, every event and every personal part that was not erased.
// A broken chain is an answer, not an error of the call.
func (s *Server) verifyAudit(ctx context.Context, _ *struct{}) (*struct{ Body Verified }, error) {
	seq, link := s.Store.Position()
	v := Verified{OK: true, Seq: seq, Link: hex.EncodeToString(link)}
	if err := s.Store.VerifyChain(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, s.problem(ctx.Err())
		}
		v.OK, v.Problem = false, err.Error()
		s.Log.Error("the audit chain does not hold", "error", err)
	}
	return &struct{ Body Verified }{v}, nil
}

// exportAudit is GET /api/v1/audit: every event after ?after=, logins and acts, as JSON lines in the order of the chain.
func (s *Server) exportAudit(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 63)
	if r.URL.Query().Get("after") != "" && err != nil {
		writeProblem(w, newProblem(http.StatusUnprocessableEntity, "bad-input", wordBadAfter, Place{"after", "is no number of an event"}))
		return
	}
	seq, _ := s.Store.Position()
	s.streamLogins(w, r, &LoginQuery{Acts: true}, after, seq, false)
}
