package admin

import (
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// describe adds to the description what all routes have in common and no handler says. The description is committed as
// docs/openapi.json; a test compares them.
func describe(api huma.API) {
	doc := api.OpenAPI()
	doc.Info.Description = "Operators' API of Sekisho. Errors are problems of RFC 9457 with a stable code. Lists go on with after " +
		"and come as CSV too. A change may name the version it was decided on (If-Match), and a POST may be sent again with the same " +
		"Idempotency-Key for a day. Changes are limited to 20 a second for each caller."
	for path, item := range doc.Paths {
		for method, op := range map[string]*huma.Operation{
			http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodDelete: item.Delete, http.MethodPatch: item.Patch,
		} {
			if op == nil {
				continue
			}
			op.Tags = []string{tagOf(path)}
			if right := routes[method+" "+path].right; right != "" {
				op.Extensions = map[string]any{"x-right": string(right)} // that its caller needs
			}
			if method == http.MethodPost {
				op.Parameters = append(op.Parameters, &huma.Param{Name: "Idempotency-Key", In: "header",
					Description: "any text of the caller's own; the same key has one effect within 24 hours", Schema: &huma.Schema{Type: huma.TypeString}})
			}
			sheet := slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == "format" && p.In == "query" && method == http.MethodGet })
			if ok := op.Responses["200"]; sheet && ok != nil && ok.Content["text/csv"] == nil {
				ok.Content["text/csv"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
			}
		}
	}
}

// tagOf groups routes by the word behind the version.
func tagOf(path string) string {
	const prefix = "/api/v1/"
	if len(path) <= len(prefix) {
		return "api"
	}
	word := path[len(prefix):]
	for i, c := range word {
		if c == '/' {
			return word[:i]
		}
	}
	return word
}
