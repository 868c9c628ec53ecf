package storage

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sort"
	"sync"

	"sekisho/authn"
)

var _ authn.Records = (*DB)(nil)

// maxRecord bounds the octets of one record's Data.
const maxRecord = mib

// records are all records of the life cycle, in memory like the rest of what decisions look at. Their Data lies there in
// plain: seeds are never in it, links and keys are hashed, and what is left is names, as accounts hold them too. On disk it
// is sealed.
//
// mu is held while an Update that names or changes records runs, behind the accounts' and the tokens' locks and before
// state.mu: check and change are one step for all of them. A *Record once put is never changed, so readers copy it later.
type records struct {
	mu    sync.RWMutex
	kinds [256]recordTable
}

// recordTable is one kind. Lists are in order, so that pages are found by halving.
type recordTable struct {
	byID     map[uint64]*authn.Record
	byLookup map[[16]byte]uint64
	all      []*authn.Record // by ID
	accounts map[authn.AccountID][]*authn.Record
	due      []*authn.Record // by Due, those that have one
}

func compareID(a, b *authn.Record) int { return cmp.Compare(a.ID, b.ID) }

func compareDue(a, b *authn.Record) int {
	return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.ID, b.ID))
}

func (rs *records) get(key authn.RecordKey) *authn.Record { return rs.kinds[key.Kind].byID[key.ID] }

// enter is put without order; sort follows.
func (t *recordTable) enter(r *authn.Record) {
	if t.byID == nil {
		t.byID, t.byLookup, t.accounts = map[uint64]*authn.Record{}, map[[16]byte]uint64{}, map[authn.AccountID][]*authn.Record{}
	}
	t.byID[r.ID] = r
	if r.Lookup != [16]byte{} {
		t.byLookup[r.Lookup] = r.ID
	}
}

// put makes a record or replaces it.
func (t *recordTable) put(r *authn.Record) {
	t.drop(r.ID)
	t.enter(r)
	t.all = insert(t.all, r, compareID)
	if r.Account != 0 {
		t.accounts[r.Account] = insert(t.accounts[r.Account], r, compareID)
	}
	if r.Due != 0 {
		t.due = insert(t.due, r, compareDue)
	}
}

func (t *recordTable) drop(id uint64) {
	r := t.byID[id]
	if r == nil {
		return
	}
	delete(t.byID, id)
	if t.byLookup[r.Lookup] == id {
		delete(t.byLookup, r.Lookup)
	}
	t.all = without(t.all, r, compareID)
	if r.Account != 0 {
		if t.accounts[r.Account] = without(t.accounts[r.Account], r, compareID); len(t.accounts[r.Account]) == 0 {
			delete(t.accounts, r.Account)
		}
	}
	if r.Due != 0 {
		t.due = without(t.due, r, compareDue)
	}
}

// sort brings the lists in order after records were entered.
func (t *recordTable) sort() {
	t.all = make([]*authn.Record, 0, len(t.byID))
	for _, r := range t.byID {
		t.all = append(t.all, r)
		if r.Due != 0 {
			t.due = append(t.due, r)
		}
	}
	slices.SortFunc(t.all, compareID)
	slices.SortFunc(t.due, compareDue)
	for _, r := range t.all {
		if r.Account != 0 {
			t.accounts[r.Account] = append(t.accounts[r.Account], r)
		}
	}
}

func insert(list []*authn.Record, r *authn.Record, compare func(a, b *authn.Record) int) []*authn.Record {
	at, _ := slices.BinarySearchFunc(list, r, compare)
	return slices.Insert(list, at, r)
}

func without(list []*authn.Record, r *authn.Record, compare func(a, b *authn.Record) int) []*authn.Record {
	at, ok := slices.BinarySearchFunc(list, r, compare)
	if !ok {
		return list
	}
	return slices.Delete(list, at, at+1)
}

// RecordOf finds the record of a kind by its Lookup; zero when there is none. Like the other readers of records it sees
// what was decided a moment ago and is still on its way to the disk: who acts on it outside does so by an Update of its own.
func (db *DB) RecordOf(kind authn.RecordKind, lookup [16]byte) uint64 {
	if lookup == [16]byte{} {
		return 0
	}
	rs := &db.state.Load().records
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return rs.kinds[kind].byLookup[lookup]
}

// Record gives a copy; authn.ErrNotFound when there is none.
func (db *DB) Record(key authn.RecordKey) (*authn.Record, error) {
	rs := &db.state.Load().records
	rs.mu.RLock()
	r := rs.get(key)
	rs.mu.RUnlock()
	if r == nil {
		return nil, fmt.Errorf("%v %d: %w", key.Kind, key.ID, authn.ErrNotFound)
	}
	return cloneRecord(r), nil
}

// Records lists a page of copies.
func (db *DB) Records(q authn.RecordQuery) ([]*authn.Record, error) {
	if !q.Kind.Valid() {
		return nil, fmt.Errorf("listing records: there is no %v", q.Kind)
	}
	rs := &db.state.Load().records
	rs.mu.RLock()
	page := rs.kinds[q.Kind].page(q)
	rs.mu.RUnlock()
	for i, r := range page {
		page[i] = cloneRecord(r)
	}
	return page, nil
}

// page finds the records that fit, in the order of the page.
func (t *recordTable) page(q authn.RecordQuery) []*authn.Record {
	list, limit := t.narrow(q), pageSize(q.Limit)
	from, to := 0, len(list)
	if q.After != 0 {
		from = sort.Search(to, func(i int) bool { return list[i].ID > q.After })
	}
	if q.Before != 0 {
		to = sort.Search(to, func(i int) bool { return list[i].ID >= q.Before })
	}
	var page []*authn.Record
	for n := 0; n < to-from && len(page) < limit; n++ {
		r := list[from+n]
		if q.Newest {
			r = list[to-1-n]
		}
		if fitsRecord(q, r) {
			page = append(page, r)
		}
	}
	return page
}

// narrow gives the records to look through, by ID: few where an index leaves few.
func (t *recordTable) narrow(q authn.RecordQuery) []*authn.Record {
	if q.Account != 0 {
		return t.accounts[q.Account]
	}
	if q.DueBy == 0 {
		return t.all
	}
	n := sort.Search(len(t.due), func(i int) bool { return t.due[i].Due > q.DueBy })
	if n > len(t.all)/8 {
		return t.all // a page fills soon
	}
	list := slices.Clone(t.due[:n])
	slices.SortFunc(list, compareID)
	return list
}

func fitsRecord(q authn.RecordQuery, r *authn.Record) bool {
	return (q.Account == 0 || q.Account == r.Account) && (len(q.States) == 0 || slices.Contains(q.States, r.State)) &&
		(q.DueBy == 0 || r.Due != 0 && r.Due <= q.DueBy)
}

func cloneRecord(r *authn.Record) *authn.Record {
	c := *r
	c.Data = bytes.Clone(r.Data)
	return &c
}

// showRecords holds the records for f and the change behind it.
func (l *locked) showRecords(keys []authn.RecordKey) {
	l.lockRecords()
	for _, k := range keys {
		r := l.st.records.get(k)
		if r != nil {
			r = cloneRecord(r)
		}
		l.held.Records = append(l.held.Records, r)
	}
}

func (l *locked) lockRecords() {
	if !l.recordsHeld {
		l.st.records.mu.Lock()
		l.recordsHeld = true
	}
}

// admitRecords says whether what f ordered of records may happen; nothing is changed yet. It holds the records from here on.
func (l *locked) admitRecords(keys []authn.RecordKey) error {
	l.lockRecords()
	rs := &l.st.records
	named := make(map[authn.RecordKey]bool, len(keys))
	for _, k := range keys {
		named[k] = true
	}
	touched := make(map[authn.RecordKey]bool, len(l.ch.Records)+len(l.ch.Gone))
	for _, k := range l.ch.Gone {
		if !named[k] || rs.get(k) == nil || touched[k] {
			return fmt.Errorf("%v %d cannot go: it does not exist, is not held by this update, or is named twice", k.Kind, k.ID)
		}
		touched[k] = true
	}
	for _, r := range l.ch.Records {
		switch k := r.RecordKey; {
		case !k.Kind.Valid() || k.ID == 0 || k.ID >= 1<<63:
			return fmt.Errorf("%v %d: there is no such record", k.Kind, k.ID)
		case len(r.Data) > maxRecord:
			return fmt.Errorf("%v %d has %d octets: at most %d", k.Kind, k.ID, len(r.Data), maxRecord)
		case touched[k]:
			return fmt.Errorf("%v %d is changed twice by one update", k.Kind, k.ID)
		case !named[k] && rs.get(k) != nil:
			return fmt.Errorf("%v %d: %w", k.Kind, k.ID, authn.ErrExists)
		default:
			touched[k] = true
		}
	}
	type secret struct {
		kind   authn.RecordKind
		lookup [16]byte
	}
	lookups := map[secret]bool{}
	for _, r := range l.ch.Records {
		if r.Lookup == [16]byte{} {
			continue
		}
		s := secret{r.Kind, r.Lookup}
		other, there := rs.kinds[r.Kind].byLookup[r.Lookup]
		if lookups[s] || there && !touched[authn.RecordKey{Kind: r.Kind, ID: other}] {
			return fmt.Errorf("%v %d has the secret of another one: %w", r.Kind, r.ID, authn.ErrExists)
		}
		lookups[s] = true
	}
	return nil
}

// sealRecords gives the records of the change their versions and lets their rows travel with the entry.
func (db *DB) sealRecords(ch *authn.Change, e *entry) error {
	for _, k := range ch.Gone {
		e.writes = append(e.writes, write{dropRecordStmt, []any{int64(k.Kind), int64(k.ID)}})
	}
	for _, r := range ch.Records {
		r.Version = db.versions.Add(1)
		sealed, err := db.secrets.seal(recordPurpose(r), r.ID, r.Data)
		if err != nil {
			return err
		}
		e.writes = append(e.writes, write{putRecordStmt, []any{int64(r.Kind), int64(r.ID), int64(r.Version), int64(r.Account), int64(r.State), r.Due, bytes.Clone(r.Lookup[:]), sealed}})
	}
	e.act = true
	return nil
}

// recordPurpose binds the seal of a record to all of its columns, so that whoever can write the file cannot give one
// record's rights or state to another.
func recordPurpose(r *authn.Record) string {
	return fmt.Sprintf("record %d/%d/%d/%d/%d/%x/", r.Kind, r.Version, r.Account, r.State, r.Due, r.Lookup)
}

// applyRecords brings the records of the change into memory.
func (l *locked) applyRecords() {
	kinds := &l.st.records.kinds
	for _, k := range l.ch.Gone {
		kinds[k.Kind].drop(k.ID)
	}
	for _, r := range l.ch.Records { // all leave first: they may swap what finds them
		kinds[r.Kind].drop(r.ID)
	}
	for _, r := range l.ch.Records {
		kinds[r.Kind].put(cloneRecord(r))
	}
}

// loadRecords reads every record.
func (db *DB) loadRecords(ctx context.Context, st *state) error {
	err := each(ctx, db.file.conn, "select kind, id, version, account, state, due, lookup, data from record", func(rows *sql.Rows) error {
		r := &authn.Record{}
		var lookup, data sql.RawBytes
		if err := rows.Scan(&r.Kind, &r.ID, &r.Version, &r.Account, &r.State, &r.Due, &lookup, &data); err != nil {
			return err
		}
		if !r.Kind.Valid() || len(lookup) != len(r.Lookup) {
			return fmt.Errorf("%v %d: %w", r.Kind, r.ID, errCodec)
		}
		copy(r.Lookup[:], lookup)
		var err error
		if r.Data, err = db.secrets.open(recordPurpose(r), r.ID, data); err != nil {
			return err
		}
		st.records.kinds[r.Kind].enter(r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("loading records: %w", err)
	}
	for i := range st.records.kinds {
		st.records.kinds[i].sort()
	}
	return nil
}
