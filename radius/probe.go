package radius

// TryListen binds every address of the config and lets go of it again: for each, in the order of Listen and then
// ListenAccounting, nil or why it cannot be bound.
func (c Config) TryListen() []Tried {
	var all []Tried
	s := c.settle()
	for _, text := range append(append([]string(nil), s.auth...), s.acct...) {
		sockets, err := openSockets(text)
		for _, sock := range sockets {
			_ = sock.conn.Close()
		}
		all = append(all, Tried{text, err})
	}
	return all
}

// Tried is what came of binding one address.
type Tried struct {
	Address string
	Err     error
}
