package storage

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// Head is the chain's link behind an event, as it left the machine.
type Head struct {
	Seq  uint64
	Link []byte
}

// Verified says what a walk over the chain has seen.
type Verified struct {
	Seq     uint64 // newest event when the walk began
	Link    []byte // of the chain there
	Cut     uint64 // newest event that retention has removed; the walk began behind it. 0: none was
	CutAt   time.Time
	Erased  int // events whose personal part was erased
	Reduced int // events whose name is a hash, or whose address went by age
	Heads   int // of those that were given, how many were compared; older ones were cut
	// Differ names rows of accounts and tokens that say less than the events: a step that was used and is not, a stop that is
	// gone. The chain itself holds.
	Differ []string
}

// maxDiffer bounds the list.
const maxDiffer = 100

// ErrHead says that a head that left the machine is not one of the chain.
var ErrHead = fmt.Errorf("%w: it is not the chain that left the machine", ErrChain)

// VerifyChain walks the audit chain from where it was cut: every link, every core, every personal part against its hash, the
// end against memory, and heads that left the machine. Personal parts that were erased are counted. On the way it goes by
// the events once more and compares them with the rows of accounts and tokens. The error names the first place that does not
// hold. Erasures and retention wait meanwhile.
func (db *DB) VerifyChain(ctx context.Context, heads ...Head) (Verified, error) {
	db.passes.Lock()
	defer db.passes.Unlock()
	read, err := db.reader()
	if err != nil {
		return Verified{}, err
	}
	k, err := db.keeping(ctx, read)
	if err != nil {
		return Verified{}, err
	}
	end := db.heads.Load()
	v := Verified{Seq: end.seq, Link: bytes.Clone(end.head), Cut: k.cut}
	if k.cut > 0 {
		v.CutAt = time.UnixMicro(k.cutAt).UTC()
	}
	rows, err := db.rowsNow(ctx, read)
	if err != nil {
		return v, err
	}
	heads = slices.DeleteFunc(slices.Clone(heads), func(h Head) bool { return h.Seq <= k.cut })
	v.Heads = len(heads)
	if end.seq > k.cut {
		heads = append(heads, Head{end.seq, end.head})
	}
	slices.SortStableFunc(heads, func(a, b Head) int { return int(min(max(int64(a.Seq)-int64(b.Seq), -1), 1)) })
	check := chainCheck{secrets: db.secrets, head: k.begins(), next: k.cut + 1}
	for {
		n, err := db.readJournal(ctx, read, journalColumns, check.next, 1<<63-1, 256, false, func(r *journalRow) error {
			if err := check.row(r); err != nil {
				return err
			}
			for len(heads) > 0 && heads[0].Seq <= r.last() {
				if heads[0].Seq != r.last() || !bytes.Equal(heads[0].Link, r.chain) {
					return fmt.Errorf("%w: behind event %d it went on from %s", ErrHead, heads[0].Seq, hex.EncodeToString(heads[0].Link))
				}
				heads = heads[1:]
			}
			return v.row(db.secrets, r, rows)
		})
		if err != nil {
			return v, err
		}
		if n < 256 {
			break
		}
	}
	if len(heads) > 0 {
		return v, fmt.Errorf("%w at its end: it ends at event %d, and event %d was written", ErrChain, check.next-1, heads[len(heads)-1].Seq)
	}
	rows.laxGuards(&v)
	return v, nil
}

// row looks at one row's events and personal parts.
func (v *Verified) row(s *secrets, r *journalRow, rows *rowsNow) error {
	events, sums, err := r.events()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChain, err)
	}
	if len(r.personal) == 0 && slices.ContainsFunc(sums, func(sum []byte) bool { return sum != nil }) {
		return fmt.Errorf("%w at journal row %d: its personal parts were taken away, and by no erasure", ErrChain, r.first)
	}
	people, err := r.people(s)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChain, err)
	}
	for i, p := range people {
		switch {
		case len(p) == 0 && sums[i] != nil:
			v.Erased++
		case len(p) == 0:
		case sums[i] != nil && reduced(p):
			v.Reduced++
		case len(sums[i]) != hashSize || personalHash(p) != [hashSize]byte(sums[i]):
			return fmt.Errorf("%w at event %d: its personal part is not the one that was written", ErrChain, r.first+uint64(i))
		}
	}
	for i := range events {
		rows.compare(v, &events[i])
	}
	return nil
}

func (v *Verified) differ(format string, args ...any) {
	if len(v.Differ) < maxDiffer {
		v.Differ = append(v.Differ, fmt.Sprintf(format, args...))
	}
}

// rowsNow is what the rows of accounts and tokens said when a walk began, as far as events tell it too.
type rowsNow struct {
	flushed  uint64 // the rows hold every event up to here
	tokens   map[token.ID]*tokenRow
	accounts map[authn.AccountID]*accountRow
}

type tokenRow struct {
	last int64
	upTo uint64 // the row holds every event up to here
	told bool
}

type accountRow struct {
	row      [2]uint8
	wait     [2]int64
	theftRun uint8
	stopped  authn.Stop
	upTo     uint64

	seen  authn.GuardAfter // the newest one that the row holds, where no act came behind it
	event uint64           // of it
}

// rowsNow reads the rows as they lie on the disk. flushed comes first: what is read behind it holds at least that much.
func (db *DB) rowsNow(ctx context.Context, q querier) (*rowsNow, error) {
	now := &rowsNow{tokens: map[token.ID]*tokenRow{}, accounts: map[authn.AccountID]*accountRow{}}
	if err := each(ctx, q, "select flushed from meta where id = 1", func(rows *sql.Rows) error { return rows.Scan(&now.flushed) }); err != nil {
		return nil, fmt.Errorf("reading meta: %w", err)
	}
	places := map[uint32]*tokenRow{}
	holders := map[uint32]*accountRow{}
	var t token.Token
	var a authn.Account
	for _, table := range []struct {
		query string
		read  func(slot uint32, seq uint64, r *reader)
	}{
		{"select number, 0, records from token_slab where " + visible, func(slot uint32, _ uint64, r *reader) {
			decodeTokenRecord(r, &t)
			places[slot] = &tokenRow{last: token.NoStep}
			now.tokens[t.ID] = places[slot]
		}},
		{"select number, seq, records from token_state", func(slot uint32, seq uint64, r *reader) {
			last := r.varint()
			r.drift()
			r.upTo(math.MaxUint16)
			if x := places[slot]; x != nil {
				x.last, x.upTo = last, max(seq, now.flushed)
			}
		}},
		{"select number, 0, records from account_slab where " + visible, func(slot uint32, _ uint64, r *reader) {
			decodeAccountRecord(r, &a, nil)
			holders[slot] = &accountRow{}
			now.accounts[a.ID] = holders[slot]
		}},
		{"select number, seq, records from account_state", func(slot uint32, seq uint64, r *reader) {
			decodeGuardFields(r, &a.Guard)
			if x := holders[slot]; x != nil {
				g := &a.Guard
				*x = accountRow{row: g.Row, wait: g.Wait, theftRun: g.TheftRun, stopped: g.Stopped, upTo: max(seq, now.flushed)}
			}
		}},
	} {
		err := db.eachSlab(ctx, q, table.query, func(number uint32, seq uint64, blob []byte) error {
			return eachRecord(blob, func(place uint32, r *reader) { table.read(number*slabSize+place, seq, r) })
		})
		if err != nil {
			return nil, fmt.Errorf("reading the rows: %w", err)
		}
	}
	return now, nil
}

// eachSlab reads rows of slabs, a few in each short read.
func (db *DB) eachSlab(ctx context.Context, q querier, query string, f func(number uint32, seq uint64, blob []byte) error) error {
	from := int64(0)
	for {
		n := 0
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, readTime)
			defer cancel()
			rows, err := q.QueryContext(ctx, "select * from ("+query+") where number >= ? order by number limit 256", from)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				var number uint32
				var seq uint64
				var blob sql.RawBytes
				if err := rows.Scan(&number, &seq, &blob); err != nil {
					return err
				}
				n, from = n+1, int64(number)+1
				if err := f(number, seq, blob); err != nil {
					return fmt.Errorf("slab %d: %w", number, err)
				}
			}
			return rows.Err()
		}()
		if err != nil || n < 256 {
			return err
		}
	}
}

// compare goes by one event.
func (n *rowsNow) compare(v *Verified, ev *authn.Event) {
	for _, b := range ev.Burnt {
		x := n.tokens[b.Token]
		switch {
		case x == nil && ev.Seq <= n.flushed:
			n.tokens[b.Token] = &tokenRow{told: true}
			v.differ("token %v: event %d used it, and no row has it", b.Token, ev.Seq)
		case x != nil && ev.Seq <= x.upTo && b.Last > x.last && !x.told:
			x.told = true
			v.differ("token %v: event %d used step %d, and its row says that %d was the last", b.Token, ev.Seq, b.Last, x.last)
		}
	}
	x := n.accounts[ev.Account]
	switch {
	case ev.Account == 0 || x != nil && ev.Seq > x.upTo:
	case x == nil && ev.GuardSet && ev.Seq <= n.flushed:
		n.accounts[ev.Account] = &accountRow{}
		v.differ("account %v: event %d changed it, and no row has it", ev.Account, ev.Seq)
	case x == nil:
	case ev.GuardSet:
		x.seen, x.event = ev.Guard, ev.Seq
	case ev.Kind == authn.ActEvent:
		x.event = 0 // an act may have set it otherwise
	}
}

// laxGuards names accounts whose row counts less against a guesser than the newest event that it holds. More is no fault:
// after a failure of the disk the larger counts stay.
func (n *rowsNow) laxGuards(v *Verified) {
	for id, x := range n.accounts {
		g := &x.seen
		if x.event == 0 {
			continue
		}
		if g.Stopped&^x.stopped != 0 || g.Row[0] > x.row[0] || g.Row[1] > x.row[1] || g.TheftRun > x.theftRun || g.Wait[0] > x.wait[0] || g.Wait[1] > x.wait[1] {
			v.differ("account %v: its row counts less than event %d left there", id, x.event)
		}
	}
	slices.Sort(v.Differ)
}
