package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// pragmas hold for every connection; what counts for durability is read back (design: WAL with NORMAL may lose commits
// that were acknowledged).
var pragmas = []struct{ name, value, reads string }{
	{"busy_timeout", "5000", "5000"},
	{"journal_mode", "wal", "wal"},
	{"synchronous", "full", "2"},
	{"foreign_keys", "on", "1"},
	{"journal_size_limit", "67108864", "67108864"}, // octets of WAL kept after a checkpoint
	{"wal_autocheckpoint", "4000", "4000"},         // pages: what a busy second writes
	{"cache_size", "-6144", "-6144"},               // KiB: rows are written, and read only at start and for listings
	{"temp_store", "memory", "2"},
	{"secure_delete", "on", "1"}, // what was erased or removed leaves neither free pages nor a backup (S25)
}

// statement names a prepared statement of the committer.
type statement int

const (
	beginStmt statement = iota
	commitStmt
	rollbackStmt
	journalStmt
	metaStmt
	flushedStmt
	putTokenStmt
	putAccountStmt
	putTokenSlabStmt
	putTokenStateStmt
	putAccountSlabStmt
	putAccountStateStmt
	newTokenSlabStmt
	newTokenStateStmt
	newAccountSlabStmt
	newAccountStateStmt
	dropTokenStateStmt
	dropTokenSlabStmt
	dropAccountStateStmt
	dropAccountSlabStmt
	buryStmt
	batchStmt
	grantStmt
	dropTokensStmt
	dropAccountsStmt
	dropGrantsStmt
	dropBatchStmt
	sessionStmt
	raiseStmt
	releaseStmt
	personalStmt
	keepingStmt
	cutStmt
	sessionPeopleStmt
	sessionDropStmt
	putRecordStmt
	dropRecordStmt
	statementCount
)

var statements = [statementCount]string{
	beginStmt:    `begin immediate`,
	commitStmt:   `commit`,
	rollbackStmt: `rollback`,
	journalStmt:  `insert into journal (first_seq, count, at, cores, personal, link) values (?, ?, ?, ?, ?, ?)`,
	metaStmt:     `update meta set commits = ?, seq = ? where id = 1 and incarnation = ?`,
	flushedStmt:  `update meta set flushed = ? where id = 1`,
	putTokenStmt: `insert into token (id, serial, credential_id, name, form, mode, state, expiry, fingerprint, batch)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		on conflict (id) do update set serial = excluded.serial, credential_id = excluded.credential_id, name = excluded.name,
		form = excluded.form, mode = excluded.mode, state = excluded.state, expiry = excluded.expiry,
		fingerprint = excluded.fingerprint, batch = excluded.batch`,
	putAccountStmt: `insert into account (id, directory, external, name, batch) values (?, ?, ?, ?, ?)
		on conflict (id) do update set directory = excluded.directory, external = excluded.external, name = excluded.name,
		batch = excluded.batch`,
	putTokenSlabStmt:     putSlab("token_slab"),
	putTokenStateStmt:    putSlab("token_state"),
	putAccountSlabStmt:   putSlab("account_slab"),
	putAccountStateStmt:  putSlab("account_state"),
	newTokenSlabStmt:     `insert into token_slab (number, seq, records, batch) values (?, 0, ?, ?)`,
	newTokenStateStmt:    `insert into token_state (number, seq, records) values (?, 0, ?)`,
	newAccountSlabStmt:   `insert into account_slab (number, seq, records, batch) values (?, 0, ?, ?)`,
	newAccountStateStmt:  `insert into account_state (number, seq, records) values (?, 0, ?)`,
	dropTokenStateStmt:   `delete from token_state where number in (select number from token_slab where batch = (select id from batch where id = ? and live = 0))`,
	dropTokenSlabStmt:    `delete from token_slab where batch = (select id from batch where id = ? and live = 0)`,
	dropAccountStateStmt: `delete from account_state where number in (select number from account_slab where batch = (select id from batch where id = ? and live = 0))`,
	dropAccountSlabStmt:  `delete from account_slab where batch = (select id from batch where id = ? and live = 0)`,
	buryStmt:             `insert into tombstone (fingerprint, last) values (?, ?) on conflict (fingerprint) do update set last = max(last, excluded.last)`,
	batchStmt:            `insert into batch (id, live, seq) values (?, ?, ?) on conflict (id) do update set live = excluded.live, seq = excluded.seq`,
	grantStmt:            `insert into batch_grant (batch, account, holds) values (?, ?, ?)`,
	dropTokensStmt:       `delete from token where id in (select value from json_each(?)) and batch = (select id from batch where id = ? and live = 0)`,
	dropAccountsStmt:     `delete from account where id in (select value from json_each(?)) and batch = (select id from batch where id = ? and live = 0)`,
	dropGrantsStmt:       `delete from batch_grant where account in (select value from json_each(?)) and batch = (select id from batch where id = ? and live = 0)`,
	dropBatchStmt:        `delete from batch where id = ? and live = 0`,
	sessionStmt: `insert into session (nas, session, status, at, client, received, seconds, octets_in, octets_out, cause, personal)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (nas, session, status, at) do nothing`,
	raiseStmt:    `insert into ratchet (client, address, since) values (?, ?, ?) on conflict (client, address) do nothing`,
	releaseStmt:  `delete from ratchet where client = ? and address = ?`,
	personalStmt: `update journal set personal = ? where first_seq = ?`,
	keepingStmt: `insert into keeping (id, cut, cut_link, cut_at, cut_mac, names, origins, sessions) values (1, ?, ?, ?, ?, ?, ?, ?)
		on conflict (id) do update set cut = excluded.cut, cut_link = excluded.cut_link, cut_at = excluded.cut_at, cut_mac = excluded.cut_mac,
		names = excluded.names, origins = excluded.origins, sessions = excluded.sessions`,
	cutStmt:           `delete from journal where first_seq <= ?`,
	sessionPeopleStmt: `update session set personal = x'' where nas = ? and session = ? and status = ? and at = ?`,
	sessionDropStmt:   `delete from session where nas = ? and session = ? and status = ? and at = ?`,
	putRecordStmt: `insert into record (kind, id, version, account, state, due, lookup, data) values (?, ?, ?, ?, ?, ?, ?, ?)
		on conflict (kind, id) do update set version = excluded.version, account = excluded.account, state = excluded.state,
		due = excluded.due, lookup = excluded.lookup, data = excluded.data`,
	dropRecordStmt: `delete from record where kind = ? and id = ?`,
}

func putSlab(table string) string {
	return `insert into ` + table + ` (number, seq, records) values (?, ?, ?)
		on conflict (number) do update set seq = excluded.seq, records = excluded.records`
}

// file is the open database: one connection that writes, which the committer alone uses, and a few that read.
type file struct {
	write *sql.DB
	read  *sql.DB
	conn  *sql.Conn
	stmts [statementCount]preparedStmt
	call  call
	run   func(any) error // runPrepared, bound once
	copy  *sqlite.Backup  // of a snapshot under way
}

// openFile opens the database, which the lock has made with its mode where there was none, empties the WAL into it and checks that what makes commits durable is in force.
func openFile(ctx context.Context, path string) (*file, error) {
	f := &file{}
	ok := false
	defer func() {
		if !ok {
			f.close()
		}
	}()
	var err error
	if f.write, err = sql.Open("sqlite", dsn(path, false)); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	f.write.SetMaxOpenConns(1)
	if err := f.connect(ctx); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	if f.read, err = sql.Open("sqlite", dsn(path, true)); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	f.read.SetMaxOpenConns(4)
	ok = true
	return f, nil
}

// connect takes the writing connection, reads its pragmas back and checkpoints (S6): a reopened file may show commits
// that never reached the disk; after the checkpoint they have.
func (f *file) connect(ctx context.Context) error {
	conn, err := f.write.Conn(ctx)
	if err != nil {
		return err
	}
	f.conn = conn
	for _, p := range pragmas {
		var got string
		if err := conn.QueryRowContext(ctx, "pragma "+p.name).Scan(&got); err != nil {
			return fmt.Errorf("reading pragma %s back: %w", p.name, err)
		}
		if got != p.reads {
			return fmt.Errorf("pragma %s is %q, want %q: is the file on a file system that SQLite cannot share memory on?", p.name, got, p.reads)
		}
	}
	return f.checkpoint(ctx)
}

func (f *file) checkpoint(ctx context.Context) error {
	var busy, log, moved int
	if err := f.conn.QueryRowContext(ctx, "pragma wal_checkpoint(truncate)").Scan(&busy, &log, &moved); err != nil {
		return fmt.Errorf("checkpointing the WAL: %w", err)
	}
	if busy != 0 {
		return errors.New("checkpointing the WAL: another connection holds the file")
	}
	return nil
}

// prepare needs the schema, so it follows migrate.
func (f *file) prepare(ctx context.Context) error {
	f.run = f.runPrepared
	return f.conn.Raw(func(raw any) error {
		c, ok := raw.(driver.ConnPrepareContext)
		if !ok {
			return errors.New("preparing statements: the driver cannot")
		}
		for i, text := range statements {
			st, err := c.PrepareContext(ctx, text)
			if err != nil {
				return fmt.Errorf("preparing statement %d: %w", i, err)
			}
			if f.stmts[i], ok = st.(preparedStmt); !ok {
				return errors.New("preparing statements: the driver cannot run them")
			}
		}
		return nil
	})
}

// preparedStmt is a statement as the driver has it. A commit runs four of them: by way of database/sql each costs a
// dozen allocations and several locks more, for a connection that the committer has to itself anyway.
type preparedStmt interface {
	driver.Stmt
	driver.StmtExecContext
}

// call is a statement that is about to run, and what came of it. Its room is used again: only the committer runs
// statements.
type call struct {
	stmt preparedStmt
	args []driver.NamedValue
	res  driver.Result
}

// exec runs a statement. Arguments are of the types that a driver takes, and ints.
func (f *file) exec(s statement, args ...any) (sql.Result, error) {
	if f.stmts[s] == nil {
		return nil, errNotOpen
	}
	c := &f.call
	c.stmt, c.args = f.stmts[s], c.args[:0]
	for i, a := range args {
		if n, ok := a.(int); ok {
			a = int64(n)
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	err := f.conn.Raw(f.run)
	clear(c.args)
	return c.res, err
}

func (f *file) runPrepared(any) (err error) {
	f.call.res, err = f.call.stmt.ExecContext(context.Background(), f.call.args)
	return err
}

// errNotOpen stands in place of a file that is being opened anew.
var errNotOpen = errors.New("the database is not open")

func (f *file) close() {
	_ = f.endCopy()
	if f.run != nil {
		_ = f.conn.Raw(func(any) error {
			for _, st := range f.stmts {
				if st != nil {
					_ = st.Close()
				}
			}
			return nil
		})
	}
	if f.conn != nil {
		_ = f.conn.Close()
	}
	if f.read != nil {
		_ = f.read.Close()
	}
	if f.write != nil {
		_ = f.write.Close()
	}
}

func dsn(path string, readOnly bool) string {
	v := url.Values{}
	for _, p := range pragmas {
		if readOnly && p.name == "journal_mode" {
			continue
		}
		if readOnly && p.name == "cache_size" {
			p.value = "-1024" // KiB: each page of a listing is read once
		}
		v.Add("_pragma", p.name+"("+p.value+")")
	}
	if readOnly {
		v.Add("_pragma", "query_only(1)")
		v.Set("mode", "ro")
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: v.Encode()}).String()
}

// migrate brings the schema up to date and refuses one that is newer than this program.
func migrate(ctx context.Context, db *sql.DB) error {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sub)
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading the schema version: %w", err)
	}
	if have > want {
		return fmt.Errorf("the database has schema %d and this program knows %d at most: it was written by a newer version; install that one, or restore a backup of before the upgrade", have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating the schema from %d to %d: %w", have, want, err)
	}
	return nil
}

// Primary result codes of SQLite that blame the statement, not the disk (S7).
const (
	sqliteError      = 1
	sqliteFull       = 13
	sqliteTooBig     = 18
	sqliteConstraint = 19
	sqliteMismatch   = 20
	sqliteRange      = 25
)

// resultCode gives SQLite's primary result code; 0 when the error is not SQLite's.
func resultCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// blamesStatement reports whether an error before the commit concerns the statement alone.
func blamesStatement(err error) bool {
	switch resultCode(err) {
	case sqliteError, sqliteTooBig, sqliteConstraint, sqliteMismatch, sqliteRange:
		return true
	}
	return false
}

// meta is the one row of its table.
type meta struct {
	incarnation, machine         []byte
	epoch, commits, seq, flushed uint64
}

func (f *file) meta(ctx context.Context) (m meta, found bool, err error) {
	err = f.conn.QueryRowContext(ctx, "select incarnation, machine, epoch, commits, seq, flushed from meta where id = 1").
		Scan(&m.incarnation, &m.machine, &m.epoch, &m.commits, &m.seq, &m.flushed)
	if errors.Is(err, sql.ErrNoRows) {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("reading meta: %w", err)
	}
	return m, true, nil
}

// readTime bounds one read transaction, so that the WAL can be checkpointed past it (S8).
const readTime = 5 * time.Second

// visible leaves out what belongs to an import that is not live.
const visible = `(batch is null or batch not in (select id from batch where live = 0))`

// oneLine keeps a driver's message fit for a log line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
