package radius

// Effective is the config with its defaults filled in, those of each client's profile too. It needs a config that passed
// Check.
func (c Config) Effective() Config {
	s := c.settle()
	c.Listen, c.ListenAccounting, c.MaxInFlight = s.auth, s.acct, s.maxInFlight
	clients := make([]ClientConfig, len(c.Clients))
	for i, cc := range c.Clients {
		cc.fill(s.clients[i])
		clients[i] = cc
	}
	c.Clients = clients
	return c
}

// fill writes what a client came to be over what its config left out.
func (c *ClientConfig) fill(cl *client) {
	l := &cl.login
	c.Profile = orDefault(c.Profile, defaultProfile)
	c.MessageAuthenticator = [...]string{messageAuthRequired: "required", messageAuthRatchet: "ratchet", messageAuthOff: "off"}[cl.messageAuth]
	c.LimitProxyState, c.StatusServer, c.TrustStation, c.StaticChallenge = &cl.limitProxies, &cl.status, &l.TrustStation, &cl.twoFields
	c.Service = l.Service
	c.FirstFactor = orDefault(c.FirstFactor, "none")
	c.Challenge = l.ChallengeMode()
	c.ChallengeTries = l.Tries
	c.Prompts = orDefault(c.Prompts, "both")
	c.RejectDelay, c.RetryAfter, c.Deadline = l.RejectDelay, l.RetryAfter, l.Deadline
}
