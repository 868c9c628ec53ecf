package admin

import (
	"context"
	"slices"
	"strings"
)

// ClientList is a page of gateways, by name.
type ClientList struct {
	Listing
	Clients []Client `json:"clients"`
}

var clientColumns = []column[Client]{
	{"name", func(c *Client) string { return c.Name }},
	{"service", func(c *Client) string { return c.Service }},
	{"profile", func(c *Client) string { return c.Profile }},
	{"addresses", func(c *Client) string { return strings.Join(c.Addresses, "; ") }},
	{"message_authenticator", func(c *Client) string { return c.MessageAuthenticator }},
	{"ratchet_since", func(c *Client) string { return c.Ratchet }},
	{"challenge", func(c *Client) string { return c.Challenge }},
}

func (s *Server) listClients(_ context.Context, in *struct{ Paging }) (*listReply[ClientList], error) {
	known := slices.Clone(s.Clients.Clients())
	slices.SortFunc(known, func(a, b Client) int { return strings.Compare(a.Name, b.Name) })
	all, next, err := gather(&in.Paging, func(after string, n int) (page []Client, next string, err error) {
		for _, c := range known {
			if c.Name <= after {
				continue
			}
			if len(page) == n {
				return page, page[n-1].Name, nil
			}
			page = append(page, c)
		}
		return page, "", nil
	})
	if err != nil {
		return nil, err
	}
	return answer(&in.Paging, "clients", clientColumns, all, next, func(l Listing, all []Client) ClientList { return ClientList{l, all} }), nil
}
