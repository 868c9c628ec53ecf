package selfservice

import (
	"context"
	"time"

	"sekisho/authn"
	"sekisho/desk"
	"sekisho/life"
	"sekisho/token"
)

// Desk does what people ask for; *desk.Desk is one, and says what each method does. A *life.Refusal is an answer.
type Desk interface {
	Holder(ctx context.Context, account authn.AccountID) (life.Holder, []token.Token, []life.Record, error)

	FindLink(ctx context.Context, link authn.Secret) (desk.ActivationView, error)
	Activations(ctx context.Context, q authn.RecordQuery) ([]desk.ActivationView, error)
	Issue(ctx context.Context, a desk.Actor, o desk.LinkOrder) (desk.ActivationView, string, error)
	Resend(ctx context.Context, a desk.Actor, id uint64) (desk.ActivationView, string, error)
	Start(ctx context.Context, a desk.Actor, link, session authn.Secret) (desk.StartView, error)
	Finish(ctx context.Context, a desk.Actor, link, session, code authn.Secret, name string) (desk.ActivationView, desk.Done, error)

	Register(ctx context.Context, a desk.Actor, account authn.AccountID, serial string, code authn.Secret) (token.ID, desk.Done, error)
	Defer(ctx context.Context, a desk.Actor, account authn.AccountID, id token.ID) (desk.Done, error)
	Enrol(ctx context.Context, a desk.Actor, o desk.EnrolOrder) (desk.SecretView, error)
	Confirm(ctx context.Context, a desk.Actor, account authn.AccountID, id token.ID, code authn.Secret) (desk.Done, error)
	Rename(ctx context.Context, a desk.Actor, account authn.AccountID, id token.ID, name string) (desk.Done, error)
	Suspend(ctx context.Context, a desk.Actor, account authn.AccountID, id token.ID) (desk.Done, error)
	ReportLost(ctx context.Context, a desk.Actor, account authn.AccountID, id token.ID, stolen bool) (desk.Done, error)
	Resume(ctx context.Context, a desk.Actor, account authn.AccountID, id token.ID, code authn.Secret) (desk.Done, error)
	Test(ctx context.Context, a desk.Actor, name string, code authn.Secret) (life.Verdict, error)
	Resync(ctx context.Context, a desk.Actor, name string, first, second authn.Secret) (desk.Done, error)

	ChoosePIN(ctx context.Context, a desk.Actor, pin authn.Secret) (desk.Done, error)
	ShowTemporary(ctx context.Context, a desk.Actor) (authn.Secret, desk.TemporaryView, error)
	SetRecovery(ctx context.Context, a desk.Actor) (authn.Secret, error)
	Recover(ctx context.Context, a desk.Actor, typed authn.Secret) (authn.Secret, desk.TemporaryView, error)

	Apply(ctx context.Context, a desk.Actor, o desk.RequestOrder) (desk.RequestView, error)
	Requests(ctx context.Context, q authn.RecordQuery) ([]desk.RequestView, error)
	Withdraw(ctx context.Context, a desk.Actor, id uint64) (desk.RequestView, error)
}

var _ Desk = (*desk.Desk)(nil)

// actor is the person of a session. Every session began with the password.
func (s *Session) actor() desk.Actor {
	return desk.Actor{By: life.ByPerson, Account: s.Account, Name: s.Name, Proven: true}
}

// device is one token of a person as a page shows it.
type device struct {
	ID      token.ID
	Name    string // what its owner calls it, else its serial
	Serial  string // of a hardware token
	Soft    bool
	Stage   string // key of its state's words: active, pending, suspended, lost, expired, revoked
	Last    int64  // Unix seconds of the last code that was used; 0: none, or not known
	Expires int64
	Until   int64 // a lost one can be resumed until then
	Mine    bool  // its owner stopped it and may resume it
}

// works reports that its codes open something.
func (d *device) works() bool { return d.Stage == "active" }

// devices are a person's tokens, those that were revoked left out.
func devices(h *life.Holder, tokens []token.Token, now time.Time) (all []device) {
	for _, hold := range h.Holds {
		if hold.Standing == token.Revoked {
			continue
		}
		for i := range tokens {
			if t := &tokens[i]; t.ID == hold.Token {
				all = append(all, deviceOf(&hold, t, now))
			}
		}
	}
	return all
}

func deviceOf(hold *life.Hold, t *token.Token, now time.Time) device {
	d := device{ID: t.ID, Name: t.Name, Soft: t.Form == token.Software, Serial: t.Serial, Expires: t.Expiry, Until: hold.Until}
	if d.Name == "" {
		d.Name = t.Serial
	}
	if t.Mode == token.TOTP && t.Last > 0 {
		d.Last = (t.Last - int64(t.Drift)) * int64(t.Period)
	}
	switch {
	case t.StateAt(now) == token.Expired:
		d.Stage = "expired"
	case hold.Standing == token.Pending:
		d.Stage = "pending"
	case hold.Standing == token.Suspended && (hold.Why == life.WhyLost || hold.Why == life.WhyStolen):
		d.Stage, d.Mine = "lost", true
	case hold.Standing == token.Suspended:
		d.Stage, d.Mine = "suspended", hold.Why == life.WhyPerson
	default:
		d.Stage = "active"
	}
	return d
}

// running reports that temporary codes are good.
func running(h *life.Holder, now time.Time) bool {
	return h.Temporary.Spent < h.Temporary.Most && now.Unix() < h.Temporary.Until
}

// own reads a person and their devices.
func (s *Server) own(q *request) (*life.Holder, []device, error) {
	h, tokens, _, err := s.Desk().Holder(q.Context(), q.session.Account)
	if err != nil {
		return nil, nil, err
	}
	return &h, devices(&h, tokens, q.now), nil
}

// working picks the devices whose codes open something.
func working(all []device) (some []device) {
	for _, d := range all {
		if d.works() {
			some = append(some, d)
		}
	}
	return some
}

func secret(text string) authn.Secret { return authn.NewSecret([]byte(text)) }
