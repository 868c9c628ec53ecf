package desk

import (
	"context"
	"time"

	"sekisho/life"
	"sekisho/token"
)

// Retire destroys a token of the stock that is broken or lost there.
func (d *Desk) Retire(ctx context.Context, a Actor, id token.ID) (Done, error) {
	o := order{Actor: a, what: "token.retire", tokens: []token.ID{id}}
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) { return act.Retire(s, id) })
	return d.do(ctx, o)
}

// Extend moves the expiry of tokens ahead, all or none (P11).
func (d *Desk) Extend(ctx context.Context, a Actor, ids []token.ID, to time.Time) (Done, error) {
	o := order{Actor: a, what: "token.extend", tokens: ids}
	o.rule = plain(func(act life.Act, s life.State) (life.Change, *life.Refusal) { return act.Extend(s, ids, unix(to)) })
	return d.do(ctx, o)
}

// Reserve keeps tokens for the members of a group, who may register them by serial; "" ends that.
func (d *Desk) Reserve(ctx context.Context, a Actor, ids []token.ID, group string) (Done, error) {
	o := order{Actor: a, what: "token.reserve", tokens: ids}
	o.rule = func(t *table) (life.Change, *life.Refusal, error) {
		var c life.Change
		if a.By&(life.ByAdmin|life.ByMaster) == 0 {
			return c, &life.Refusal{Code: life.NotAllowed}, nil
		}
		for _, id := range ids {
			if t.held.Token(id) == nil {
				return life.Change{}, &life.Refusal{Code: life.NoSuchToken, About: id.String()}, nil
			}
		}
		for _, r := range t.state.Records {
			r.Group = group
			c.Records = append(c.Records, r)
		}
		return c, nil, nil
	}
	return d.do(ctx, o)
}
