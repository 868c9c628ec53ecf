package admin

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Head is the chain's link behind an event, as it left the machine.
type Head struct {
	Seq  uint64
	Link []byte
}

// Chain is what a walk over the audit chain has seen. CutAt is zero where retention has removed nothing.
type Chain struct {
	Seq     uint64
	Link    []byte
	Cut     uint64
	CutAt   time.Time
	Erased  int
	Reduced int
	Heads   int
	Differ  []string
}

// Verified is what a walk over the whole audit chain came to.
type Verified struct {
	OK      bool       `json:"ok"`
	Seq     uint64     `json:"seq" doc:"number of the newest event when the walk began"`
	Link    string     `json:"link" doc:"the chain's link there, in hex; compare it with a head that left the machine"`
	Cut     uint64     `json:"cut,omitempty" doc:"newest event that retention has removed; the walk began behind it"`
	Since   *time.Time `json:"since,omitempty" doc:"when that event was written"`
	Erased  int        `json:"erased" doc:"events whose personal part was erased"`
	Reduced int        `json:"reduced" doc:"events whose name became a hash, or whose address went, by age"`
	Heads   int        `json:"heads" doc:"heads that left the machine and were compared"`
	Differ  []string   `json:"differ,omitempty" doc:"rows of accounts and tokens that say less than the events"`
	Problem string     `json:"problem,omitempty" doc:"the first place that does not hold"`
}

// MaxHeads bounds the heads of one verification.
const MaxHeads = 1000

// VerifyHead is one head to compare.
type VerifyHead struct {
	Seq  uint64 `json:"seq"`
	Link string `json:"link" pattern:"^[0-9a-f]{64}$" doc:"in hex"`
}

// VerifyBody is what a verification may be given.
type VerifyBody struct {
	Heads []VerifyHead `json:"heads,omitempty" maxItems:"1000" doc:"heads that left the machine"`
}

func (s *Server) auditRoutes(api huma.API, mux *http.ServeMux) {
	huma.Post(api, "/api/v1/audit/verify", s.verifyAudit)
	mux.HandleFunc("GET /api/v1/audit", s.exportAudit)
}

// verifyAudit is POST /api/v1/audit/verify: it walks every link, every event and every personal part that was not erased.
// A broken chain is an answer, not an error of the call.
func (s *Server) verifyAudit(ctx context.Context, in *struct{ Body *VerifyBody }) (*struct{ Body Verified }, error) {
	var heads []Head
	if in.Body != nil {
		for _, h := range in.Body.Heads {
			link, err := hex.DecodeString(h.Link)
			if err != nil {
				return nil, newProblem(http.StatusUnprocessableEntity, "bad-input", wordBadHead)
			}
			heads = append(heads, Head{h.Seq, link})
		}
	}
	c, err := s.Store.VerifyChain(ctx, heads)
	v := Verified{OK: true, Seq: c.Seq, Link: hex.EncodeToString(c.Link), Cut: c.Cut, Erased: c.Erased, Reduced: c.Reduced, Heads: c.Heads, Differ: c.Differ}
	if !c.CutAt.IsZero() {
		v.Since = &c.CutAt
	}
	switch {
	case ctx.Err() != nil:
		return nil, s.problem(ctx.Err())
	case err != nil:
		v.OK, v.Problem = false, err.Error()
		s.Log.Error("the audit chain does not hold", "error", err)
	case len(c.Differ) > 0:
		v.OK, v.Problem = false, fmt.Sprintf("%d rows differ from the audit; the first: %s", len(c.Differ), c.Differ[0])
		s.Log.Error("rows differ from the audit", "rows", len(c.Differ), "first", c.Differ[0])
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
