package storage

import "bytes"

// Position is the newest durable event and the chain's link there.
func (db *DB) Position() (seq uint64, link []byte) {
	p := db.heads.Load()
	return p.seq, bytes.Clone(p.head)
}
