package radius

import "time"

// Replace lets every packet that arrives from now on be handled by another configuration and its Authenticator; the error
// is the config's [Faults], and then nothing has changed. A request under way ends by the configuration under which it came:
// it holds on to its client, and the client to everything else. The reply cache goes on, so that a repeated packet gets the
// same answer as before (S13); it has to pass the checks of the new configuration first, so a gateway that was taken out
// gets silence, and so does a packet under a secret that holds no longer. By a client's name its counters go on too, and
// the places it holds. What Listen has bound stays bound, whatever the config says.
func (s *Server) Replace(c Config, a Authenticator) error {
	next := c.settle()
	if len(next.faults) > 0 {
		return next.faults
	}
	next.serve(a)
	old := s.settled.Load()
	next.longest = max(next.longest, old.longest)
	next.inherit(old)
	s.settled.Store(next)
	s.logins.resize(next.maxInFlight)
	s.records.resize(next.maxInFlight)
	s.waiting.resize(waitingPlaces(next.maxInFlight))
	return nil
}

// serve makes a settled config ready for requests.
func (s *settled) serve(a Authenticator) {
	s.longest = time.Second
	for _, c := range s.clients {
		c.authenticator = a
		s.longest = max(s.longest, c.login.Deadline)
	}
}

// inherit hands over what clients keep, by their names.
func (s *settled) inherit(old *settled) {
	known := make(map[string]*standing, len(old.clients))
	for _, c := range old.clients {
		known[c.name] = c.standing
	}
	for _, c := range s.clients {
		if st := known[c.name]; st != nil {
			c.standing = st
		}
	}
}

// waitingPlaces is how many refusals may wait for their time.
func waitingPlaces(maxInFlight int) int { return 16 * maxInFlight }
