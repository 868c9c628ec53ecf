package admin

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"sekisho/authn"
	"sekisho/operator"
	"sekisho/token"
)

// One export, in order:
//
//	recipient  the file is sealed under a password, a key or for a certificate, or nothing is made
//	gather     the tokens asked for; none of them is changed
//	event      who took how many seeds, and why, is durable before the first octet leaves
//	write      seed after seed is opened, sealed into the file and cleared
//
// The answer begins before the last seed is opened. Where a seed cannot be opened, the file has no end, and every reader
// refuses it.

// exportInput is the call.
type exportInput struct {
	Body struct {
		Password    authn.Secret `json:"password,omitempty" doc:"seals the file; 16 characters or more"`
		Key         authn.Secret `json:"key,omitempty" doc:"or a pre-shared key of 16, 24 or 32 octets, in hexadecimal or base64"`
		Certificate string       `json:"certificate,omitempty" maxLength:"65536" doc:"or for this X.509 certificate (PEM, RSA)"`
		State       string       `json:"state,omitempty" enum:"in stock,in use,expired" doc:"default: in stock and in use"`
		Form        string       `json:"form,omitempty" enum:"software,hardware"`
		Tokens      []string     `json:"tokens,omitempty" maxItems:"1000" doc:"only these, by serial, credential ID or ID, in any state but destroyed"`
		Reason      string       `json:"reason" minLength:"1" maxLength:"200" doc:"why; it stands in the audit"`
	}
}

// Headers of an export.
const (
	ExportCount  = "Sekisho-Tokens" // how many tokens the file holds
	ExportShared = "Sekisho-Shared" // how many of them several users hold; the file names one user each
)

// ExportEnd is how the file of an export ends; without it the file was cut.
const ExportEnd = "</KeyContainer>\n"

func (s *Server) exportRoute(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "export-tokens", Method: http.MethodPost, Path: "/api/v1/tokens/export",
		Summary: "Give tokens with their seeds out, as a sealed PSKC file",
		Responses: map[string]*huma.Response{"200": {Description: "the file; it ends with </KeyContainer> or was cut",
			Content: map[string]*huma.MediaType{"application/pskc+xml": {}}}},
	}, func(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
		if err := s.administrator(ctx); err != nil {
			return nil, err
		}
		to, err := s.recipient(in)
		if err != nil {
			return nil, err
		}
		if p := s.allow(ctx, operator.ExportSeeds, operator.Target{}); p != nil {
			clear(to.Key)
			return nil, p
		}
		tokens, err := s.toExport(ctx, in)
		if err == nil {
			_, err = s.note(ctx, "token.export", exportDetail(in, tokens, to))
		}
		if err != nil {
			clear(to.Key)
			return nil, err
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			defer clear(to.Key)
			_, w := humago.Unwrap(c)
			s.writeExport(ctx, w, tokens, to)
		}}, nil
	})
}

// recipient says who can open the file.
func (s *Server) recipient(in *exportInput) (*token.Recipient, error) {
	b, to := &in.Body, &token.Recipient{}
	bad := func(where string, err error) error {
		return newProblem(http.StatusUnprocessableEntity, "bad-input", wordBadRecipient, Place{where, err.Error()})
	}
	var err error
	if b.Password.Len() > 0 {
		to.Password = b.Password.Reveal()
	}
	if b.Key.Len() > 0 {
		if to.Key, err = token.ParseTransportKey(b.Key.Reveal()); err != nil {
			return nil, bad("key", err)
		}
	}
	if b.Certificate != "" {
		if to.Certificate, err = parseCertificate(b.Certificate); err != nil {
			return nil, bad("certificate", err)
		}
	}
	if err := to.Check(s.Now()); err != nil {
		clear(to.Key)
		return nil, bad("", err)
	}
	return to, nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || strings.Contains(string(rest), "-----BEGIN") {
		return nil, errors.New("want one certificate in PEM (-----BEGIN CERTIFICATE-----), the recipient's own")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("the certificate cannot be read")
	}
	return cert, nil
}

// toExport gives the tokens that are asked for.
func (s *Server) toExport(ctx context.Context, in *exportInput) ([]TokenInfo, error) {
	var all []TokenInfo
	now, b := s.Now(), &in.Body
	if len(b.Tokens) == 0 {
		// One walk over all of them: in two, by state, a token that changes hands meanwhile would come twice.
		for q := (TokenQuery{State: states[b.State], Form: forms[b.Form], Now: now, Limit: 1000}); ; {
			page, err := s.Store.Tokens(ctx, q)
			if err != nil {
				return nil, s.problem(err)
			}
			for _, info := range page {
				if state := info.Token.StateAt(now); b.State != "" || state == token.InStock || state == token.InUse {
					all = append(all, info)
				}
			}
			if len(page) < q.Limit {
				break
			}
			q.After = page[len(page)-1].Token.ID
		}
	}
	seen := map[token.ID]bool{}
	for _, name := range b.Tokens {
		info, err := s.token(ctx, name)
		if err != nil {
			return nil, err
		}
		t := &info.Token
		if t.State == token.Destroyed {
			return nil, newProblem(http.StatusConflict, "destroyed", wordNoSeed(t))
		}
		if !seen[t.ID] && (b.Form == "" || t.Form == forms[b.Form]) && (b.State == "" || t.StateAt(now) == states[b.State]) {
			seen[t.ID] = true
			all = append(all, info)
		}
	}
	if len(all) == 0 {
		return nil, newProblem(http.StatusNotFound, "no-token", wordNothingToExport)
	}
	return all, nil
}

// exportDetail is the line of the audit: how many, which of a few, under what, and why.
func exportDetail(in *exportInput, tokens []TokenInfo, to *token.Recipient) string {
	under := "under a password"
	switch {
	case to.Key != nil:
		under = "under a pre-shared key"
	case to.Certificate != nil:
		under = fmt.Sprintf("for the certificate %x", to.Certificate.SerialNumber)
	}
	detail := fmt.Sprintf("%d tokens %s", len(tokens), under)
	if len(tokens) <= 10 {
		var names []string
		for i := range tokens {
			names = append(names, label(&tokens[i].Token))
		}
		detail += ": " + strings.Join(names, ", ")
	}
	return detail + "; reason: " + authn.Shown([]byte(in.Body.Reason))
}

func (s *Server) writeExport(ctx context.Context, out http.ResponseWriter, tokens []TokenInfo, to *token.Recipient) {
	shared := 0
	for i := range tokens {
		if len(tokens[i].holding()) > 1 {
			shared++
		}
	}
	out.Header().Set("Content-Type", "application/pskc+xml")
	out.Header().Set("Content-Disposition", `attachment; filename="tokens.xml"`)
	out.Header().Set("Cache-Control", "no-store")
	out.Header().Set(ExportCount, strconv.Itoa(len(tokens)))
	out.Header().Set(ExportShared, strconv.Itoa(shared))
	if err := s.exportTo(ctx, out, tokens, to); err != nil {
		s.Log.Error("an export was cut", "error", err)
	}
}

func (s *Server) exportTo(ctx context.Context, out http.ResponseWriter, tokens []TokenInfo, to *token.Recipient) error {
	w, err := token.NewPSKCWriter(out, to)
	if err != nil {
		return err
	}
	defer w.Abort()
	buf := make([]byte, 0, token.MaxSeed)
	defer func() { clear(buf[:cap(buf)]) }()
	for i := range tokens {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := &tokens[i].Token
		seed, err := s.Keys.OpenSeed(buf[:0], t.ID, t.Sealed)
		if err != nil {
			return fmt.Errorf("opening the seed of token %v: %w", t.ID, err)
		}
		if err := w.Write(t, seed, tokens[i].holder()); err != nil {
			return err
		}
	}
	return w.Close()
}

// holder is the first user who holds the token, as an import reads them; empty for none.
func (info *TokenInfo) holder() string {
	for _, h := range info.Holders {
		if h.Standing != token.Revoked {
			return h.Name
		}
	}
	return ""
}
