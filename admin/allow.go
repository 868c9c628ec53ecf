package admin

import (
	"context"

	"sekisho/authn"
	"sekisho/operator"
)

func PrincipalOf(ctx context.Context) operator.Principal {
	peer, _ := ctx.Value(peerKey{}).(Peer)
	return operator.Principal{Name: peer.Name, Role: operator.Master, Door: operator.LocalSocket}
}

func (s *Server) allow(context.Context, operator.Right, operator.Target) *Problem { return nil }

func (s *Server) target(ctx context.Context, owners ...authn.Owner) operator.Target {
	return operator.Target{}
}

func hidden(p, unknown *Problem) *Problem { return p }

func (s *Server) personOf(context.Context, authn.Owner) operator.Person { return operator.Person{} }

// ownAccount is the caller's own account; zero where they have none.
func (s *Server) ownAccount(context.Context) authn.AccountID { return 0 }

// secondOf names who agreed to the caller's act; empty: nobody did.
func secondOf(context.Context) string { return "" }
