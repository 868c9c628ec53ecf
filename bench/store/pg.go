package main

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// The ways to write a batch to PostgreSQL.
const (
	pgRow      = iota // a transaction for each change
	pgPipeline        // one transaction, statements sent without waiting for each other
	pgUnnest          // one statement for all
	pgAppend          // compared in memory, appended by one statement
)

// pgStore is PostgreSQL; dir is a connection string.
type pgStore struct {
	c    *pgx.Conn
	mode int
	m    map[uint64]uint64
}

func openPG(dsn string, mode int) (store, error) {
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

func (p *pgStore) Commit(ops []*op) error {
	ctx := context.Background()
	switch p.mode {
	case pgRow:
		for _, o := range ops {
			t, err := p.c.Exec(ctx, upd, int64(o.Counter), int64(o.ID))
			if err != nil {
				return err
			}
			o.OK = t.RowsAffected() == 1
		}
		return nil
	case pgPipeline:
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
	if p.mode == pgAppend {
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
	at := make(map[int64]*op, len(ops))
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
