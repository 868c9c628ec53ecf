package console

import (
	"html/template"
	"net/http"
	"strings"

	"sekisho/admin"
	"sekisho/internal/qrcode"
)

// linkPage takes the link that a new operator was given. Its secret stands behind the #, which no server and no log sees: a
// module puts it into the field, and without script people do.
type linkPage struct{ view }

func (p *Pages) link(w http.ResponseWriter, r *http.Request) {
	p.show(w, http.StatusOK, "link", &linkPage{*p.bare(r, "link")})
}

// ownPage shows a new operator their token, once, and takes its first code.
type ownPage struct {
	view
	Token, Key string
	URI        template.URL
	QR         qrcode.Picture
}

// useLink is POST /link: it spends the link, and the token that the session may register is made at once.
func (p *Pages) useLink(w http.ResponseWriter, r *http.Request) {
	v := p.bare(r, "link")
	secret := strings.TrimSpace(r.PostFormValue("secret"))
	if at := strings.LastIndexByte(secret, '#'); at >= 0 {
		secret = secret[at+1:] // the whole link was put in
	}
	a, problem := p.askFully(r, http.MethodPost, "/api/v1/session/link", map[string]string{"secret": secret}, nil)
	if problem != nil {
		v.Here, v.Problem = "/link", problemIn(v.Lang, problem)
		p.show(w, problem.Status, "link", &linkPage{*v})
		return
	}
	passCookies(w, a)
	http.Redirect(w, r, "/own-token", http.StatusSeeOther)
}

func (p *Pages) ownToken(w http.ResponseWriter, r *http.Request) {
	p.show(w, http.StatusOK, "own-token", &ownPage{view: *p.bare(r, "own-token")})
}

// makeOwn is POST /own-token. The key stands on this one answer alone.
func (p *Pages) makeOwn(w http.ResponseWriter, r *http.Request) {
	page := &ownPage{view: *p.bare(r, "own-token")}
	page.Here = "/own-token"
	var made admin.OwnToken
	_, problem := p.askFully(r, http.MethodPost, "/api/v1/session/token", struct{}{}, &made)
	if problem == nil {
		page.Token, page.Key, page.URI = made.Token, made.Secret, template.URL(made.URI) //nolint:gosec // an otpauth URI that the API made
		var err error
		if page.QR, err = qrcode.Draw(made.URI); err != nil {
			p.Log.Error("a key could not be drawn", "error", err) // it stands there as text
		}
		p.show(w, http.StatusOK, "own-token", page)
		return
	}
	page.Problem = problemIn(page.Lang, problem)
	p.show(w, problem.Status, "own-token", page)
}

// confirmOwn is POST /own-token/confirm: the first right code ends the session, and both factors open the next one.
func (p *Pages) confirmOwn(w http.ResponseWriter, r *http.Request) {
	page := &ownPage{view: *p.bare(r, "own-token"), Token: r.PostFormValue("token")}
	page.Here = "/own-token"
	_, problem := p.askFully(r, http.MethodPost, "/api/v1/session/token/confirm",
		map[string]string{"token": page.Token, "code": r.PostFormValue("code")}, nil)
	if problem != nil {
		page.Problem = problemIn(page.Lang, problem)
		p.show(w, problem.Status, "own-token", page)
		return
	}
	sayNext(w, "own-token")
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}
