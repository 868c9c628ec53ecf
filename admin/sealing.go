package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
)

// Sealing replaces the keys under which the store seals, and opens what they seal. An error is an authn.Refusal where it is the
// caller's to mend.
type Sealing interface {
	// RotateData makes a new data key, saves by with it, and begins to seal seeds again; waiting is how many there are.
	RotateData(ctx context.Context, by *authn.Event) (version uint32, waiting int, err error)
	// RotateOuter wraps the data keys under the key in a file, which the service has to be able to read.
	RotateOuter(ctx context.Context, file string, by *authn.Event) error
	// VerifySealing opens everything that is sealed.
	VerifySealing(ctx context.Context) (Sealed, error)
}

// Sealed is what opening everything came to.
type Sealed struct {
	Version  uint32         `doc:"of the data key that new seals use"`
	Seeds    map[uint32]int // by version
	Rows     int
	Sessions int
	Pending  bool
	Problems []string
}

// SealedView is that for the API.
type SealedView struct {
	OK       bool          `json:"ok"`
	Version  uint32        `json:"version" doc:"of the data key that new seals use"`
	Seeds    []SealedUnder `json:"seeds" doc:"how many seeds each data key seals; those of older ones are being sealed again"`
	Rows     int           `json:"rows" doc:"rows of the audit with personal parts that open"`
	Sessions int           `json:"sessions" doc:"accounting records that open"`
	Pending  bool          `json:"pending" doc:"the key outside is being replaced; a restart with the new one ends that"`
	Problems []string      `json:"problems,omitempty" doc:"what does not open"`
}

// SealedUnder is how many seeds one data key seals.
type SealedUnder struct {
	Version uint32 `json:"version"`
	Seeds   int    `json:"seeds"`
}

// RotatedView is what a rotation began.
type RotatedView struct {
	Version uint32 `json:"version,omitempty" doc:"of the new data key"`
	Waiting int    `json:"waiting,omitempty" doc:"seeds that are being sealed again in the background"`
}

func (s *Server) sealingRoutes(api huma.API) {
	huma.Post(api, "/api/v1/sealing/rotate", s.rotate)
	huma.Post(api, "/api/v1/sealing/verify", s.verifySealing)
}

func (s *Server) rotate(ctx context.Context, in *struct {
	Body struct {
		Outer string `json:"outer,omitempty" maxLength:"4096" doc:"wrap the data keys under the key in this file of the service's machine; without it a new data key is made"`
	}
}) (*struct{ Body RotatedView }, error) {
	if err := s.administrator(ctx); err != nil {
		return nil, err
	}
	act := s.act(ctx)
	by := &authn.Event{At: act.Now, Kind: authn.ActEvent, Actor: act.Actor, Step: -1}
	var v RotatedView
	var err error
	if in.Body.Outer != "" {
		if p := onSocket(ctx); p != nil { // it names a file
			return nil, p
		}
		by.Act = "keys.rotate-outer"
		err = s.Sealing.RotateOuter(ctx, in.Body.Outer, by)
	} else {
		by.Act = "keys.rotate"
		v.Version, v.Waiting, err = s.Sealing.RotateData(ctx, by)
	}
	if _, refused := errors.AsType[*authn.Refusal](err); err != nil && !refused {
		s.Log.Error("a key was not replaced", "error", err)
		return nil, newProblem(http.StatusInternalServerError, "not-saved", wordNotSaved)
	} else if refused {
		return nil, s.problem(err)
	}
	s.logAct(by)
	return &struct{ Body RotatedView }{v}, nil
}

func (s *Server) verifySealing(ctx context.Context, _ *struct{}) (*struct{ Body SealedView }, error) {
	r, err := s.Sealing.VerifySealing(ctx)
	if err != nil {
		return nil, s.problem(err)
	}
	v := SealedView{OK: len(r.Problems) == 0, Version: r.Version, Rows: r.Rows, Sessions: r.Sessions, Pending: r.Pending, Problems: r.Problems, Seeds: []SealedUnder{}}
	for _, version := range slices.Sorted(maps.Keys(r.Seeds)) {
		v.Seeds = append(v.Seeds, SealedUnder{version, r.Seeds[version]})
	}
	if !v.OK {
		s.Log.Error("not everything that is sealed opens", "problems", len(v.Problems), "first", v.Problems[0])
	}
	return &struct{ Body SealedView }{v}, nil
}
