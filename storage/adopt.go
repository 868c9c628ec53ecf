package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sekisho/authn"
	"sekisho/token"
)

// Adoption says what [Adopt] did.
type Adoption struct {
	Epoch     uint64 // the new one
	Seq       uint64 // of the event that names both heads
	Suspended int    // assignments of event-based tokens that now wait for a resync
	Raised    int    // time-based tokens whose last step was moved ahead
	Found     uint64 // newest event of the file
	Known     int    // tokens whose last step came from outside
	// Gap says why event-based tokens were suspended although the stream was there; empty: they were not, or there was none.
	Gap string
}

// Outside is what events that left the machine tell about the time that a file does not know (S12).
type Outside struct {
	Last   map[token.ID]int64 // the highest step of each token that was used
	Newest uint64             // number of the newest event
	// Missing gives the first event behind another one, up to Newest, that is not there; ok is false where none is missing.
	Missing func(after uint64) (first uint64, ok bool)
}

// gap says why the stream cannot stand for the lost time: what it does not hold may have been used as well.
func (o *Outside) gap(m meta, old mark) string {
	if first, missing := o.Missing(m.seq); missing {
		return fmt.Sprintf("event %d is missing in it", first)
	}
	if newest := max(o.Newest, m.seq); newest < old.Seq {
		return fmt.Sprintf("it ends at event %d, and the database here had come to event %d", newest, old.Seq)
	}
	return ""
}

// Adopt makes the present file the living one, after a restore or a move, while no server runs (S11, S12). Codes used after
// the file's last event are not known in it. So event-based tokens are suspended until a resync; time-based ones refuse
// every step up to now, drift and ahead, the widest window of any policy in steps. Where env.Outside holds every event of the
// lost time, event-based tokens go on behind the steps that these used. The chain goes on with an event that
// names the head found here and the one that the mark knew. All of it is one transaction.
func Adopt(ctx context.Context, cfg Config, outer *token.OuterKey, env Env, actor string, ahead int) (Adoption, error) {
	db, m, err := open(ctx, cfg, outer, env)
	if err != nil {
		return Adoption{}, err
	}
	defer db.abandon()
	if m.incarnation == nil {
		return Adoption{}, fmt.Errorf("adopting %s: the file is empty: put the restored database there first, or remove the mark %s to begin anew", db.cfg.Path, db.cfg.Mark)
	}
	old, markErr := readMark(db.cfg.Mark)
	if markErr != nil {
		db.log.Warn("the mark cannot be read and is replaced", "error", oneLine(markErr))
	}
	now := db.now()
	st, err := db.load(ctx, m, nil)
	if err != nil {
		return Adoption{}, err
	}
	db.state.Store(st)
	report := Adoption{Epoch: max(m.epoch, old.Epoch) + 1, Seq: max(m.seq, old.Seq) + 1, Found: m.seq}
	suspend, told := true, ""
	if out := env.Outside; out != nil {
		report.Gap = out.gap(m, old)
		suspend = report.Gap != ""
		report.Seq = max(report.Seq, out.Newest+1) // numbers that left the machine are not used again
		report.Known = st.raise(out.Last)
		told = fmt.Sprintf("; %d tokens by events up to %d that left the machine", report.Known, out.Newest)
	}
	ev := &authn.Event{At: now, Kind: authn.ActEvent, Act: "storage.adopt", Actor: actor, Step: token.NoStep,
		Detail: fmt.Sprintf("epoch %d; found event %d, head %x; the mark knew event %d, head %x, epoch %d%s", report.Epoch, m.seq, db.head, old.Seq, old.Head, old.Epoch, told)}
	e, err := newEntry(ev, func(error) {})
	if err != nil {
		return Adoption{}, err
	}
	e.seq = report.Seq
	st.fence(&report, time.Unix(max(now.Unix(), old.Newest), 0), now, ahead, suspend)
	db.commits = m.commits
	db.committed.Store(m.seq)
	if err := db.adopt(e, m, report.Epoch); err != nil {
		return Adoption{}, err
	}
	db.epoch = report.Epoch
	if err := db.writeMark(); err != nil {
		return Adoption{}, err
	}
	return report, errors.Join(db.file.checkpoint(ctx))
}

// raise moves last steps to where events outside left them, never back, and counts tokens.
func (st *state) raise(last map[token.ID]int64) (n int) {
	for id, step := range last {
		if slot, ok := st.tokenSlot(id); ok && step > st.tokens.at(slot).last {
			x := st.tokens.at(slot)
			x.last = step
			st.noteBurnt(x)
			n++
		}
	}
	return n
}

// fence closes what the lost events may have used up.
func (st *state) fence(report *Adoption, newest, now time.Time, ahead int, suspend bool) {
	for _, slot := range st.tokenIDs.all() {
		x := st.tokens.at(slot)
		if x.mode != token.TOTP {
			continue
		}
		t := token.Token{Mode: x.mode, Period: x.period}
		if last := t.StepAt(newest) + int64(x.drift) + int64(ahead); last > x.last {
			x.last = last
			st.noteStep(x)
			report.Raised++
		}
	}
	if !suspend {
		return
	}
	for _, slot := range st.accountIDs.all() {
		x := st.accounts.at(slot)
		suspended := false
		for i := range st.holdsOf(x) {
			h := &st.holdsOf(x)[i]
			if h.slot == 0 || st.tokens.at(h.slot-1).mode != token.HOTP || h.standing != token.Active && h.standing != token.Pending {
				continue
			}
			h.standing, h.since = token.Suspended, now.Unix()
			report.Suspended++
			suspended = true
		}
		if suspended {
			x.generation++
		}
		if x.more != 0 { // codes that opened without a token may have been used since
			st.withMore(x, func(m *accountMore) { m.spare = false })
		}
	}
}

// adopt writes everything in one transaction, under this process's incarnation. All rows are whole and up to date then,
// so nothing is left to replay.
func (db *DB) adopt(e *entry, m meta, epoch uint64) error {
	f := db.file
	if _, err := f.exec(beginStmt); err != nil {
		return fmt.Errorf("adopting: %w", err)
	}
	_, err := f.conn.ExecContext(context.Background(), `update meta set incarnation = ?, machine = ?, epoch = ?, flushed = ? where id = 1`,
		db.incarnation, db.machine, int64(epoch), int64(e.seq))
	var next position
	if err == nil {
		next, err = db.write([]*entry{e}, nil)
	}
	if err == nil {
		err = db.writeAllSlabs(e.seq)
	}
	if err == nil {
		_, err = f.exec(commitStmt)
	} else {
		_, _ = f.exec(rollbackStmt)
	}
	if err != nil {
		return fmt.Errorf("adopting: %w", err)
	}
	db.head = next.head
	db.committed.Store(next.seq)
	db.heads.Store(&next)
	return nil
}

// writeAllSlabs puts every slab into the open transaction, one at a time.
func (db *DB) writeAllSlabs(seq uint64) error {
	st, rows := db.state.Load(), &db.rows
	for n := range st.tokens.count {
		rows.reset()
		rows.token(st, n, seq, true)
		if err := rows.write(db.file); err != nil {
			return err
		}
	}
	for n := range st.accounts.count {
		rows.reset()
		rows.account(st, n, seq, true)
		if err := rows.write(db.file); err != nil {
			return err
		}
	}
	rows.reset()
	return nil
}
