// Package storage keeps accounts, tokens and the chain of events in SQLite. It is the [authn.Store] behind every login
// and the one place where a used step becomes durable.
//
//	            Update(keys, f, done)                            committer, one goroutine
//	reserve a place ─ lock accounts, tokens ─ f ─ apply ─ queue ──► take all that waits ─ one transaction ─ done, in order
//	     │ none: ErrBusy                       in memory    │          journal row, rows of acts, meta
//	     ▼                                                  ▼          └ fails: recover ─ reopen, read back, reload, probe
//
// Decisions look at memory alone ([state]); rows are written, and read only at start. A login is one event in the journal:
// ledger of the used step and audit row at once. Accounts and tokens are packed records, 64 to a slab (slab.go, record.go),
// and a slab is two rows (slabrow.go). They are brought up to date behind the journal (flush.go), and a start replays the
// events that they do not hold yet (load.go). Acts of the life cycle write their slabs, and the rows that listings search,
// together with their event.
//
// What the life cycle keeps beside them (links, requests, mails, operators and so on) are records (records.go): all in memory,
// one sealed row each, written with the entry of their change.
//
// What has to hold: a step once burnt in memory is never forgotten while the process lives; nothing is acknowledged before
// it is on disk; done is called in the order of the decisions; after a commit that failed nothing is decided until the
// disk is sure again (recover.go).
package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// DB is an open database. It owns its file: one process, one DB (S11).
type DB struct {
	cfg     Config
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
	lock    *living
	ballast *ballast
	keys    *token.Keys
	secrets *secrets

	gate     sync.RWMutex // held for reading by every decision, for writing while recovery loads memory anew or rows are written down from it
	reloads  sync.RWMutex // taken before gate; held for reading by imports, which go on for long, for writing by recovery
	state    atomic.Pointer[state]
	queue    *queue
	health   atomic.Pointer[error]
	lowSpace atomic.Bool
	watch    watch
	handed   atomic.Pointer[func()] // OnHandedOut's
	imports  sync.Mutex
	passes   sync.Mutex // one pass over the journal that changes it at a time: personal parts are read, and written later
	undoneMu sync.Mutex
	undone   []undone // imports under way, and given up ones whose rows are still there

	verdicts    atomic.Pointer[verdicts] // nil when they are too old
	started     time.Time
	incarnation []byte
	machine     []byte
	epoch       uint64
	committed   atomic.Uint64 // newest durable event
	versions    atomic.Uint64 // newest version of a record

	fileMu sync.Mutex // guards the pointer; the committer alone changes it
	file   *file

	// The committer's own.
	commits    uint64
	flushed    uint64
	head       []byte // newest link of the chain
	flush      flushPass
	batch      []*entry
	rows       slabRows
	cores      []byte
	personal   []byte
	onCommit   func(commit func() error) error // Env's
	flushRound int                             // Env's

	heads        atomic.Pointer[position] // where the chain stands, for the mark
	lastMark     mark
	between      chan func() // what a snapshot wants done between two commits
	copying      sync.Mutex  // one snapshot at a time
	closing      chan struct{}
	stopped      chan struct{} // closed when the committer has ended
	housekeeping sync.WaitGroup
	closeOnce    sync.Once
	closeErr     error
}

// Open opens the database, or makes it, and returns when it takes changes. It refuses a file that another process holds,
// that an older or copied state has taken the place of (adopt it: [Adopt]), or that a newer program wrote.
func Open(ctx context.Context, cfg Config, outer *token.OuterKey, env Env) (*DB, error) {
	db, m, err := open(ctx, cfg, outer, env)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*DB, error) {
		db.abandon()
		return nil, err
	}
	old, err := readMark(db.cfg.Mark)
	if err != nil {
		return fail(err)
	}
	if err := old.fits(m, db.machine); err != nil {
		return fail(err)
	}
	if err := db.takeOver(ctx, old, m); err != nil {
		return fail(err)
	}
	db.start()
	return db, nil
}

// open does what Open and Adopt share: everything up to the question whether the file is the living one.
func open(ctx context.Context, cfg Config, outer *token.OuterKey, env Env) (*DB, meta, error) {
	if err := cfg.Check(); err != nil {
		return nil, meta{}, fmt.Errorf("storage: %w", err)
	}
	cfg, env = cfg.withDefaults(), env.withDefaults()
	db := &DB{
		cfg: cfg, now: env.Now, log: env.Log, started: env.Now(), onCommit: env.onCommit, flushRound: env.flushRound,
		ballast:     newBallast(cfg.Path+".ballast", int64(cfg.Ballast)*mib),
		queue:       newQueue(cfg.Queue),
		incarnation: make([]byte, 16),
		file:        &file{},
		between:     make(chan func()), closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	_, _ = rand.Read(db.incarnation)
	// Versions are counted from a random number, so that a start, and a restored backup, gives no record a version again.
	// JSON readers lose digits above 53 bits.
	db.versions.Store(binary.BigEndian.Uint64(db.incarnation) >> 12)
	var err error
	if db.lock, err = lockFile(cfg.Path); err != nil {
		return nil, meta{}, err
	}
	db.metrics = newMetrics(db, env.Metrics)
	m, err := db.openMeta(ctx, outer)
	if err != nil {
		db.abandon()
		return nil, meta{}, err
	}
	return db, m, nil
}

// openMeta opens the file and reads what has to be known before anything else.
func (db *DB) openMeta(ctx context.Context, outer *token.OuterKey) (meta, error) {
	var err error
	if db.machine, err = machineID(db.cfg.MachineID); err != nil {
		return meta{}, err
	}
	f, err := openFile(ctx, db.cfg.Path)
	if diskFull(err) && db.giveUpBallast() {
		f, err = openFile(ctx, db.cfg.Path)
	}
	if err != nil {
		return meta{}, err
	}
	db.file = f
	// goose wants a pool; the writing connection is given back to it meanwhile.
	if err := f.conn.Close(); err != nil {
		return meta{}, err
	}
	if err := migrate(ctx, f.write); err != nil {
		return meta{}, err
	}
	if err := f.connect(ctx); err != nil {
		return meta{}, err
	}
	if err := f.prepare(ctx); err != nil {
		return meta{}, err
	}
	if err := db.openKeys(ctx, outer); err != nil {
		return meta{}, err
	}
	m, _, err := f.meta(ctx)
	return m, err
}

// openKeys unwraps the data keys, or makes them where there are none yet.
func (db *DB) openKeys(ctx context.Context, outer *token.OuterKey) error {
	var wrapped []byte
	err := each(ctx, db.file.conn, "select wrapped from keys where id = 1", func(rows *sql.Rows) error { return rows.Scan(&wrapped) })
	if err != nil {
		return fmt.Errorf("reading the data keys: %w", err)
	}
	if wrapped == nil {
		if db.keys, err = token.NewKeys(); err != nil {
			return fmt.Errorf("making the data keys: %w", err)
		}
		if wrapped, err = db.keys.Wrap(outer); err != nil {
			return fmt.Errorf("wrapping the data keys: %w", err)
		}
		if _, err := db.file.conn.ExecContext(ctx, "insert into keys (id, wrapped) values (1, ?)", wrapped); err != nil {
			return fmt.Errorf("saving the data keys: %w", err)
		}
	} else if db.keys, err = token.Unwrap(outer, wrapped); err != nil {
		return fmt.Errorf("opening the data keys of %s: %w", db.cfg.Path, err)
	}
	db.secrets = newSecrets(db.keys)
	return nil
}

// takeOver loads memory and makes this start the file's owner. The mark names the new incarnation before the database
// does, so that a crash between the two leaves a pair that still fits.
func (db *DB) takeOver(ctx context.Context, old mark, m meta) error {
	conn := db.file.conn
	for _, text := range []string{
		`delete from token where exists (select 1 from batch where live = 0) and batch in (select id from batch where live = 0)`,
		`delete from account where exists (select 1 from batch where live = 0) and batch in (select id from batch where live = 0)`,
		`delete from token_state where number in (select number from token_slab where batch in (select id from batch where live = 0))`,
		`delete from token_slab where batch in (select id from batch where live = 0)`,
		`delete from account_state where number in (select number from account_slab where batch in (select id from batch where live = 0))`,
		`delete from account_slab where batch in (select id from batch where live = 0)`,
		`delete from batch_grant where batch in (select id from batch where live = 0 or seq <= (select flushed from meta))`,
		`delete from batch where live = 0`,
	} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("clearing an unfinished import: %w", err)
		}
	}
	v := &verdicts{}
	st, err := db.load(ctx, m, v)
	if err != nil {
		return err
	}
	st.reserveAgain(nil)
	db.state.Store(st)
	db.verdicts.Store(v)
	old.Incarnation, old.Next, old.Machine = m.incarnation, db.incarnation, db.machine
	if err := old.write(db.cfg.Mark); err != nil {
		return err
	}
	db.epoch = max(m.epoch, 1)
	if _, err := conn.ExecContext(ctx, `insert into meta (id, incarnation, machine, epoch, commits, seq, flushed) values (1, ?, ?, ?, 0, 0, 0)
		on conflict (id) do update set incarnation = excluded.incarnation, machine = excluded.machine`, db.incarnation, db.machine, int64(db.epoch)); err != nil {
		return fmt.Errorf("taking the database over: %w", err)
	}
	db.commits, db.flushed = m.commits, m.flushed
	db.committed.Store(m.seq)
	db.queue.next = m.seq + 1
	db.publishHead()
	return db.writeMark()
}

// start sets the goroutines going.
func (db *DB) start() {
	db.ballast.fill()
	db.checkSpace()
	go db.run()
	db.housekeeping.Add(1)
	go db.keepHouse()
	db.metrics.healthy.Set(1)
}

// keepHouse writes the mark, watches the disk and removes what a given up import left, each second.
func (db *DB) keepHouse() {
	defer db.housekeeping.Done()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	grown := time.After(verdictLife)
	for {
		select {
		case <-db.stopped:
			return
		case <-grown:
			db.verdicts.Store(nil)
		case <-tick.C:
			if err := db.writeMark(); err != nil {
				db.log.Error("the mark could not be written; after a crash the database may have to be adopted", "error", oneLine(err))
			}
			db.checkSpace()
			if at, err := inodeOf(db.cfg.Path); (err != nil || at != db.lock.inode) && db.Healthy() == nil {
				_ = db.enqueue(&entry{done: func(error) {}}) // with nobody logging in, this shows the committer that its file is gone
			}
			if db.Healthy() == nil && db.imports.TryLock() {
				db.dropLeftover()
				db.imports.Unlock()
			}
		}
	}
}

// checkSpace keeps the watermark: below it acts wait, above it the ballast comes back.
func (db *DB) checkSpace() {
	free, err := freeSpace(filepath.Dir(db.cfg.Path))
	if err != nil {
		db.log.Warn("cannot tell how much space the disk has left", "error", oneLine(err))
		return
	}
	db.metrics.free.Set(float64(free))
	mark := int64(max(db.cfg.FreeSpace, 0)) * mib
	low := free < mark
	if db.lowSpace.Swap(low) != low && low {
		db.log.Warn("the disk is nearly full; acts of the life cycle are refused until there is room, logins go on", "free", free, "wanted", mark)
	}
	if !low && db.Healthy() == nil && free > mark+2*db.ballast.size {
		db.ballast.fill()
	}
}

// Close commits what waits, brings the rows up to date and leaves the file to the next start. Nothing is taken any more.
func (db *DB) Close() error {
	db.closeOnce.Do(func() {
		db.queue.shut()
		close(db.closing)
		<-db.stopped
		db.housekeeping.Wait()
		var faults []error
		if err := db.Healthy(); err == nil {
			db.publishHead()
			faults = append(faults, db.writeMark(), db.file.checkpoint(context.Background()))
		}
		db.abandon()
		db.closeErr = errors.Join(faults...)
	})
	return db.closeErr
}

// abandon lets go of files without a word about their content.
func (db *DB) abandon() {
	db.fileMu.Lock()
	db.file.close()
	db.file = &file{}
	db.fileMu.Unlock()
	db.metrics.unregister()
	db.lock.close()
}

// Healthy says why the database takes no changes; nil when it does. It is what /readyz asks.
func (db *DB) Healthy() error {
	if err := db.health.Load(); err != nil {
		return *err
	}
	return nil
}

// OnHandedOut sets what is called when the answers of a commit have all been handed to their askers, so that they can be
// sent together. It is also called before the answer to anything but a login: whoever learns that a change of the life cycle
// stands knows that the Accepts before it were sent (S13). f runs on the committer, must not block, and must not call db.
func (db *DB) OnHandedOut(f func()) { db.handed.Store(&f) }

func (db *DB) handedOut() {
	if f := db.handed.Load(); f != nil {
		(*f)()
	}
}

// Seq is the number of the newest event on disk.
func (db *DB) Seq() uint64 { return db.committed.Load() }

// Epoch counts adoptions, from 1.
func (db *DB) Epoch() uint64 { return db.epoch }

// Keys gives the keys under which seeds are sealed.
func (db *DB) Keys() *token.Keys { return db.keys }

// AccountOf finds the account of a directory's user; zero when there is none.
func (db *DB) AccountOf(directory, external string) authn.AccountID {
	st := db.state.Load()
	st.mu.RLock()
	defer st.mu.RUnlock()
	slot, ok := st.userSlot(directory, external)
	if !ok {
		return 0
	}
	return authn.AccountID(st.accounts.at(slot).id)
}

// Keyed gives a keyed hash for digests, sources and memos; domain keeps their uses apart.
func (db *DB) Keyed(domain byte, parts ...[]byte) [16]byte { return db.secrets.keyed(domain, parts...) }

// reader gives the pool for listings.
func (db *DB) reader() (querier, error) {
	db.fileMu.Lock()
	defer db.fileMu.Unlock()
	if db.file.read == nil {
		if err := db.Healthy(); err != nil {
			return nil, err
		}
		return nil, ErrClosed
	}
	return db.file.read, nil
}

// publishHead shows other goroutines where the chain stands.
func (db *DB) publishHead() {
	db.heads.Store(&position{db.committed.Load(), bytes.Clone(db.head)})
}
