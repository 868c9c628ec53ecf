package admin

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How fast one caller may change things: a person never notices, and a script that ran wild is stopped within seconds.
const (
	changesPerSecond = 20
	changesAtOnce    = 300
	mostCallers      = 1000 // that are remembered; whoever is idle is forgotten first
)

// paces hold each caller to a rate.
type paces struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

// take reports whether a caller may change something now, else how long to wait.
func (p *paces) take(caller string, now time.Time) (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.by[caller]
	if l == nil {
		if len(p.by) >= mostCallers {
			for name, old := range p.by {
				if old.TokensAt(now) >= changesAtOnce {
					delete(p.by, name)
				}
			}
		}
		if p.by == nil {
			p.by = map[string]*rate.Limiter{}
		}
		l = rate.NewLimiter(changesPerSecond, changesAtOnce)
		p.by[caller] = l
	}
	if l.AllowN(now, 1) {
		return 0
	}
	r := l.ReserveN(now, 1)
	defer r.CancelAt(now)
	return r.DelayFrom(now)
}

// paced holds changes to a rate; reads are free.
func (s *Server) paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if wait := s.calls.paces.take(PrincipalOf(r.Context()).Name, s.Now()); wait > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
				writeProblem(w, newProblem(http.StatusTooManyRequests, "too-many-calls", wordTooManyCalls))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
