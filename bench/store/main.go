// store measures durable commits of: log, log-sync, bbolt, sqlite-modernc, pg-row, pg-unnest.
package main

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"os"

	"sekisho/bench/internal/storebench"

	"github.com/jackc/pgx/v5"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite"
)

func main() {
	storebench.Main(map[string]func(string) (storebench.Store, error){
		"log":            func(d string) (storebench.Store, error) { return openLog(d, false) },
		"log-prealloc":   func(d string) (storebench.Store, error) { return openLog(d, true) },
		"bbolt":          openBolt,
		"sqlite-modernc": func(d string) (storebench.Store, error) { return storebench.OpenSQLite("sqlite", d+"/modernc.db") },
		"pg-row":         func(d string) (storebench.Store, error) { return openPG(d, 0) },
		"pg-pipeline":    func(d string) (storebench.Store, error) { return openPG(d, 1) },
		"sqlite-modernc-append": func(d string) (storebench.Store, error) {
			return storebench.OpenSQLiteAppend("sqlite", d+"/modernc-append.db")
		},
		"pg-append": func(d string) (storebench.Store, error) { return openPG(d, 3) },
		"pg-unnest": func(d string) (storebench.Store, error) { return openPG(d, 2) },
	})
}

// logStore: the index in memory, changes appended with a checksum, fdatasync.
type logStore struct {
	f   *os.File
	m   []uint64
	buf []byte
	off int64
}

func openLog(dir string, pre bool) (storebench.Store, error) {
	f, err := os.OpenFile(dir+"/log", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if pre { // written zeroes: later writes change no metadata, so fdatasync needs no journal commit
		z := make([]byte, 1<<20)
		for i := 0; i < 256; i++ {
			if _, err := f.Write(z); err != nil {
				return nil, err
			}
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
	}
	return &logStore{f: f, m: make([]uint64, 1<<21)}, nil
}

func (l *logStore) Load(int) error { return nil }

func (l *logStore) Commit(ops []*storebench.Op) error {
	l.buf = append(l.buf[:0], 0, 0, 0, 0, 0, 0, 0, 0)
	for _, o := range ops {
		if o.OK = l.m[o.ID] < o.Counter; o.OK {
			l.buf = binary.LittleEndian.AppendUint64(l.buf, o.ID)
			l.buf = binary.LittleEndian.AppendUint64(l.buf, o.Counter)
		}
	}
	binary.LittleEndian.PutUint32(l.buf, uint32(len(l.buf)))
	binary.LittleEndian.PutUint32(l.buf[4:], crc32.ChecksumIEEE(l.buf[8:]))
	if l.off+int64(len(l.buf)) > 256<<20 {
		l.off = 0
	}
	if _, err := l.f.WriteAt(l.buf, l.off); err != nil {
		return err
	}
	l.off += int64(len(l.buf))
	if err := unix.Fdatasync(int(l.f.Fd())); err != nil {
		return err
	}
	for _, o := range ops {
		if o.OK {
			l.m[o.ID] = max(l.m[o.ID], o.Counter)
		}
	}
	return nil
}

func (l *logStore) Close() error { return l.f.Close() }

type boltStore struct{ db *bolt.DB }

var bkt = []byte("token")

func openBolt(dir string) (storebench.Store, error) {
	db, err := bolt.Open(dir+"/bolt.db", 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	return &boltStore{db}, err
}

func key(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

func (b *boltStore) Load(n int) error {
	for i := 0; i < n; i += 100000 {
		if err := b.db.Update(func(tx *bolt.Tx) error {
			k, err := tx.CreateBucketIfNotExists(bkt)
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

func (b *boltStore) Commit(ops []*storebench.Op) error {
	return b.db.Update(func(tx *bolt.Tx) error {
		k := tx.Bucket(bkt)
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

type pgStore struct {
	c    *pgx.Conn
	mode int
	m    map[uint64]uint64
}

func openPG(dsn string, mode int) (storebench.Store, error) {
	c, err := pgx.Connect(context.Background(), dsn)
	return &pgStore{c, mode, map[uint64]uint64{}}, err
}

func (p *pgStore) Load(n int) error {
	ctx := context.Background()
	for _, q := range []string{"drop table if exists token", "create table token(id bigint primary key, last_counter bigint not null) with (fillfactor=70)"} {
		if _, err := p.c.Exec(ctx, q); err != nil {
			return err
		}
	}
	if _, err := p.c.Exec(ctx, "create table if not exists used(seq bigserial primary key, id bigint not null, counter bigint not null)"); err != nil {
		return err
	}
	if _, err := p.c.Exec(ctx, "insert into token select g,0 from generate_series(0,$1::bigint-1) g", n); err != nil {
		return err
	}
	_, err := p.c.Exec(ctx, "vacuum analyze token")
	return err
}

const upd = "update token set last_counter=$1 where id=$2 and last_counter<$1"

func (p *pgStore) Commit(ops []*storebench.Op) error {
	ctx := context.Background()
	switch p.mode {
	case 0: // one transaction for each row
		for _, o := range ops {
			t, err := p.c.Exec(ctx, upd, int64(o.Counter), int64(o.ID))
			if err != nil {
				return err
			}
			o.OK = t.RowsAffected() == 1
		}
		return nil
	case 1: // one transaction, pipelined statements
		b := &pgx.Batch{}
		for _, o := range ops {
			b.Queue(upd, int64(o.Counter), int64(o.ID)).Exec(nil)
		}
		r := p.c.SendBatch(ctx, b)
		for _, o := range ops {
			t, err := r.Exec()
			if err != nil {
				r.Close()
				return err
			}
			o.OK = t.RowsAffected() == 1
		}
		return r.Close()
	}
	if p.mode == 3 { // compare in memory, append what was taken
		ids, cs := make([]int64, 0, len(ops)), make([]int64, 0, len(ops))
		for _, o := range ops {
			if o.OK = p.m[o.ID] < o.Counter; o.OK {
				p.m[o.ID] = o.Counter
				ids, cs = append(ids, int64(o.ID)), append(cs, int64(o.Counter))
			}
		}
		_, err := p.c.Exec(ctx, "insert into used(id,counter) select * from unnest($1::bigint[],$2::bigint[])", ids, cs)
		return err
	}
	// one statement; an id twice in a batch: the highest counter is taken, the others wait for the next
	ids, cs := make([]int64, 0, len(ops)), make([]int64, 0, len(ops))
	at := make(map[int64]*storebench.Op, len(ops))
	for _, o := range ops {
		o.OK = false
		if _, dup := at[int64(o.ID)]; dup {
			continue
		}
		at[int64(o.ID)] = o
		ids, cs = append(ids, int64(o.ID)), append(cs, int64(o.Counter))
	}
	rows, err := p.c.Query(ctx, "update token t set last_counter=v.c from unnest($1::bigint[],$2::bigint[]) as v(id,c) where t.id=v.id and t.last_counter<v.c returning t.id", ids, cs)
	if err != nil {
		return err
	}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		at[id].OK = true
	}
	return rows.Err()
}

func (p *pgStore) Close() error { return p.c.Close(context.Background()) }
