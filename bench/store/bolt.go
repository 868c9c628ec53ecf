package main

import (
	"encoding/binary"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// boltStore is a B+tree by bbolt.
type boltStore struct{ db *bolt.DB }

var bucket = []byte("token")

func openBolt(dir string) (store, error) {
	db, err := bolt.Open(filepath.Join(dir, "bolt.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	return &boltStore{db}, err
}

func key(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

func (b *boltStore) Load(n int) error {
	for i := 0; i < n; i += 100000 {
		if err := b.db.Update(func(tx *bolt.Tx) error {
			k, err := tx.CreateBucketIfNotExists(bucket)
			if err != nil {
				return err
			}
			for j := i; j < min(n, i+100000); j++ {
				if err := k.Put(key(uint64(j)), make([]byte, 8)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (b *boltStore) Commit(ops []*op) error {
	return b.db.Update(func(tx *bolt.Tx) error {
		k := tx.Bucket(bucket)
		for _, o := range ops {
			kk := key(o.ID)
			v := k.Get(kk)
			if o.OK = len(v) == 8 && binary.BigEndian.Uint64(v) < o.Counter; o.OK {
				if err := k.Put(kk, binary.BigEndian.AppendUint64(nil, o.Counter)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (b *boltStore) Close() error { return b.db.Close() }
