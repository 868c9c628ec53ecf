package storage

import "sekisho/token"

// TokenBySeed finds the living token whose seed has a fingerprint (S9).
func (db *DB) TokenBySeed(fingerprint [16]byte) (token.ID, bool) {
	st := db.state.Load()
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.seed(fingerprint)
}
