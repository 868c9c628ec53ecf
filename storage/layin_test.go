//go:build layin

package storage

import (
	"bytes"
	"database/sql"
	"os"
	"strconv"
	"testing"

	"sekisho/token"
)

// TestLayIn gives a database a long past, so that the bench can measure what a login costs with it: it repeats the journal
// that real logins wrote, under new numbers, links and seals, until so many events were added. The chain holds
// afterwards. Nothing is synced on the way: the file is good for nothing but the bench. The server must be stopped.
//
//	LAYIN_DATABASE  the file
//	LAYIN_KEY       its sealing key's file
//	LAYIN_EVENTS    how many events to add
func TestLayIn(t *testing.T) {
	add, err := strconv.ParseUint(os.Getenv("LAYIN_EVENTS"), 10, 63)
	if err != nil {
		t.Fatalf("LAYIN_EVENTS: %v", err)
	}
	db, err := sql.Open("sqlite", "file:"+os.Getenv("LAYIN_DATABASE")+"?_pragma=synchronous(0)&_pragma=journal_mode(wal)&_pragma=cache_size(-100000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	sealer := layinSecrets(t, db)
	pattern, head, next := layinPattern(t, db, sealer)
	if add > 0 && len(pattern) == 0 {
		t.Fatal("there are no logins to repeat: log people in first")
	}
	end := next + add
	rows := 0
	for next < end {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		put, err := tx.Prepare("insert into journal (" + journalColumns + ") values (?, ?, ?, ?, ?, ?)")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; n < 2000 && next < end; n++ {
			r := pattern[(rows+n)%len(pattern)]
			r.first = next
			r.chain = sealer.link(head, r.first, r.count, r.at, r.cores)
			if len(r.personal) > 0 {
				if r.personal, err = sealer.seal("journal", r.first, r.personal); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := put.Exec(int64(r.first), r.count, r.at, r.cores, r.personal, r.chain); err != nil {
				t.Fatal(err)
			}
			head, next = r.chain, r.last()+1
		}
		if _, err := tx.Exec("update meta set seq = ?, flushed = ?, commits = commits + ?", int64(next-1), int64(next-1), n); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		rows += n
	}
	if _, err := db.Exec("pragma wal_checkpoint(truncate)"); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events in %d rows added", next+add-end, rows)
}

// layinSecrets opens the keys that the journal is linked and sealed with.
func layinSecrets(t *testing.T, db *sql.DB) *secrets {
	t.Helper()
	outer, err := token.LoadOuterKey(os.Getenv("LAYIN_KEY"))
	if err != nil {
		t.Fatal(err)
	}
	var wrapped []byte
	if err := db.QueryRow("select wrapped from keys where id = 1").Scan(&wrapped); err != nil {
		t.Fatal(err)
	}
	keys, err := token.Unwrap(outer, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	return newSecrets(keys)
}

// layinPattern reads the newest rows with their personal parts opened, where the chain ends and the number that comes next.
// Rows of logins hold many events each; those of acts are few and old. Their time is set back by an hour: a start replays
// what is of the last minutes.
func layinPattern(t *testing.T, db *sql.DB, s *secrets) (pattern []journalRow, head []byte, next uint64) {
	t.Helper()
	rows, err := db.Query("select " + journalColumns + " from journal order by first_seq desc limit 500")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r journalRow
		if err := r.scan(rows); err != nil {
			t.Fatal(err)
		}
		r.cores, r.personal, r.chain = bytes.Clone(r.cores), bytes.Clone(r.personal), bytes.Clone(r.chain)
		if head == nil {
			head, next = r.chain, r.last()+1
		}
		if r.count < 4 {
			continue
		}
		if len(r.personal) > 0 {
			if r.personal, err = s.open("journal", r.first, r.personal); err != nil {
				t.Fatal(err)
			}
		}
		r.at -= 3600 * 1e6
		pattern = append(pattern, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return pattern, head, next
}
