package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sekisho/authn"
	"sekisho/operator"
)

// NameReading is how a typed name is read, and whose it is.
type NameReading struct {
	Typed     string   `json:"typed" doc:"octets that are no printable text stand as \\xHH"`
	Client    string   `json:"client,omitempty" doc:"whose rules it is read by; empty: those of operators"`
	Steps     []string `json:"steps" doc:"what was done, a sentence each"`
	StepsJA   []string `json:"steps_ja"`
	Directory string   `json:"directory,omitempty" doc:"the one that is asked; empty: none is"`
	AskedFor  string   `json:"asked_for,omitempty" doc:"the name it is asked for"`
	Result    string   `json:"result" doc:"found, unknown-user, ambiguous-user or directory-down"`
	User      string   `json:"user,omitempty" doc:"canonical name of who was found"`
	ID        string   `json:"id,omitempty" doc:"immutable in the directory"`
	Account   string   `json:"account,omitempty"`
	Policy    string   `json:"policy,omitempty" doc:"the one that holds for them at the client"`
}

func (s *Server) nameRoutes(api huma.API) {
	huma.Get(api, "/api/v1/names", s.readName)
}

// readName tells what a login would make of a name. Nothing is counted.
func (s *Server) readName(ctx context.Context, in *struct {
	Typed  string `query:"typed" maxLength:"4096" doc:"as a person would type it"`
	Client string `query:"client" maxLength:"253" doc:"at which client; default: none, as operators' commands read it"`
}) (*struct{ Body NameReading }, error) {
	names := &operatorNames
	var client *authn.Client
	if in.Client != "" {
		var known bool
		if client, known = s.Clients.Login(in.Client); !known {
			return nil, newProblem(http.StatusNotFound, "unknown-client", wordUnknownClient(in.Client))
		}
		names = &client.Names
	}
	typed := []byte(in.Typed)
	r := names.Read(s.Directories, typed)
	v := NameReading{Typed: authn.Shown(typed), Client: in.Client}
	v.Steps, v.StepsJA = sentences(r.Steps(s.Directories, names, typed))
	say := func(english, japanese string, a ...any) {
		v.Steps, v.StepsJA = append(v.Steps, fmt.Sprintf(english, a...)), append(v.StepsJA, fmt.Sprintf(japanese, a...))
	}
	if r.Branch == nil {
		v.Result = authn.UnknownUser.String()
		return &struct{ Body NameReading }{v}, nil
	}
	v.Directory, v.AskedFor = r.Branch.Name, authn.Shown(r.Name)
	u, err := s.Directories.Lookup(ctx, &r)
	switch {
	case errors.Is(err, authn.ErrUnknownUser):
		v.Result = authn.UnknownUser.String()
		say("It knows nobody of this name.", "この名前の利用者はいません。")
	case errors.Is(err, authn.ErrAmbiguousUser):
		v.Result = authn.AmbiguousUser.String()
		say("The name fits more than one of its users, so nobody gets in by it.", "この名前に当てはまる利用者が複数いるため、この名前では利用できません。")
	case err != nil:
		s.Log.Error("the directory did not answer", "directory", r.Branch.Name, "error", err)
		v.Result = authn.DirectoryDown.String()
		say("It does not answer; the service's log has the reason.", "応答がありません。理由はサービスのログにあります。")
	case s.allow(ctx, operator.ReadTokens, s.target(ctx, authn.Owner{User: u})) != nil:
		v.Result = authn.UnknownUser.String()
		say("It knows nobody of this name.", "この名前の利用者はいません。")
	default:
		v.Result, v.User, v.ID = "found", authn.Shown([]byte(u.Name)), authn.Shown([]byte(u.ID))
		say("It knows them as %s, id %s.", "利用者 %s (ID %s) です。", v.User, v.ID)
		if id := s.Store.AccountOf(u.Directory, u.ID); id != 0 {
			v.Account = id.String()
		}
		if u.Barred != 0 {
			say("It lets nobody in by this name: %[1]s", "この名前では利用できません: %[2]s", u.Barred.Sentence(), u.Barred.Japanese())
		}
		if client != nil {
			s.sayPolicy(client, u, &v, say)
		}
	}
	return &struct{ Body NameReading }{v}, nil
}

// sayPolicy names the policy that holds for somebody at a client.
func (s *Server) sayPolicy(c *authn.Client, u *authn.User, v *NameReading, say func(english, japanese string, a ...any)) {
	p := authn.For(s.Policies, c, u)
	switch {
	case p == nil:
		say("No policy fits them at client %s, so they are refused.", "VPN装置 %s で当てはまるポリシーがないため、拒否します。", c.Name)
		return
	case p.Deny:
		say("At client %s policy %s holds, which refuses them.", "VPN装置 %s ではポリシー %s により拒否します。", c.Name, p.Name)
	default:
		say("At client %s policy %s holds.", "VPN装置 %s ではポリシー %s を適用します。", c.Name, p.Name)
	}
	v.Policy = p.Name
}

// sentences parts them by language.
func sentences(all []authn.Sentence) (english, japanese []string) {
	for _, s := range all {
		english, japanese = append(english, s.English), append(japanese, s.Japanese)
	}
	return english, japanese
}
