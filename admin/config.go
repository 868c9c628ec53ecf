package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Reloaded is what a reload of the configuration came to.
type Reloaded struct {
	Changes []ConfigChange `json:"changes" doc:"what holds from now on"`
	Restart []string       `json:"restart,omitempty" doc:"keys that were changed and hold only after a restart; the running values go on"`
	Notes   []string       `json:"warnings,omitempty" doc:"weak spots of the new configuration"`
}

// ConfigChange is one key whose value is another one now. Secrets are compared and not shown.
type ConfigChange struct {
	Key string `json:"key" doc:"entries of lists by their names"`
	Old string `json:"old,omitempty" doc:"empty: it was not set"`
	New string `json:"new,omitempty" doc:"empty: it is not set any more"`
}

// BadConfig is everything that keeps a configuration from being taken; the former one goes on.
type BadConfig []Place

// Error says how many faults there are.
func (b BadConfig) Error() string {
	return fmt.Sprintf("the new configuration has %d fault(s)", len(b))
}

// reloadConfig is POST /api/v1/config/reload.
func (s *Server) reloadConfig(ctx context.Context, _ *struct{}) (*struct{ Body Reloaded }, error) {
	r, err := s.Reload(ctx, s.act(ctx).Actor)
	if bad, ok := errors.AsType[BadConfig](err); ok {
		return nil, newProblem(http.StatusUnprocessableEntity, "bad-config", wordBadConfig(len(bad)), bad...)
	}
	if err != nil {
		return nil, s.problem(err)
	}
	if r.Changes == nil {
		r.Changes = []ConfigChange{}
	}
	return &struct{ Body Reloaded }{r}, nil
}
