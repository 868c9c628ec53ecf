package directory

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// line is a connection of the service account on which many searches are under way at once. Whoever asks writes what others
// have queued too; one goroutine reads and hands each answer to the one who asked. Nothing here depends on the order of the
// answers.
type line struct {
	c         *conn
	limit     int           // octets of one answer
	writeTime time.Duration // a server that does not read for so long is not well
	born      time.Time

	mu      sync.Mutex
	asked   map[int]*question // by message id; whom nobody waits for any more is not in it
	out     []byte            // written by nobody yet
	spare   []byte            // an empty buffer
	writing bool              // somebody writes
	quiet   bool              // retired: takes no more questions and is closed after the last answer
	fault   error             // why it ended; nil: it has not
	used    time.Time         // of the last answer
}

// question is one search that waits for its answer. It is used again only after it was taken out of its line.
type question struct {
	answer []byte // SearchResultEntries and the SearchResultDone, each a whole message
	left   int    // octets that may still come
	err    error
	done   chan struct{} // room for one
	timer  *time.Timer
}

var questions = sync.Pool{New: func() any {
	q := &question{done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	q.timer.Stop()
	return q
}}

// keptAnswer is up to where the buffer of an answer is used again.
const keptAnswer = 16 << 10

func (q *question) free() {
	q.timer.Stop()
	if cap(q.answer) > keptAnswer {
		q.answer = nil
	}
	q.answer, q.err = q.answer[:0], nil
	questions.Put(q)
}

var (
	errLineRetired = errors.New("the connection takes no more questions")
	// errNeighbour ends the questions on a connection that another one's answer ended.
	errNeighbour = errors.New("the connection ended with the answer to another question")
)

// newLine takes over a connection that is signed in.
func newLine(c *conn, limit int, writeTime time.Duration) *line {
	l := &line{c: c, limit: limit, writeTime: writeTime, asked: make(map[int]*question), born: time.Now()}
	l.used = l.born
	_ = c.raw.SetDeadline(time.Time{})
	go l.read()
	return l
}

// ask is one search, from question to answer.
func (l *line) ask(ctx context.Context, until time.Time, s *query) (*ldap.SearchResult, error) {
	p, err := l.send(until, s)
	if err != nil {
		return nil, err
	}
	return p.result(ctx)
}

// pending is a question that was sent.
type pending struct {
	line *line
	id   int
	q    *question
}

// send puts a question on the line. An error means that it was not sent.
func (l *line) send(until time.Time, s *query) (p pending, err error) {
	q := questions.Get().(*question)
	q.left = l.limit
	q.timer.Reset(time.Until(until))
	l.mu.Lock()
	if l.fault != nil || l.quiet || l.c.next == maxMessageID {
		err := l.fault
		l.mu.Unlock()
		q.free()
		if err == nil {
			err = errLineRetired
		}
		return p, err
	}
	id := l.c.id()
	l.asked[id] = q
	l.out = appendQuery(l.out, id, s)
	write := !l.writing
	l.writing = true
	l.mu.Unlock()
	if write {
		// Those who can run now put their questions into the same write.
		runtime.Gosched()
		l.write()
	}
	return pending{l, id, q}, nil
}

// write sends until nothing is left to send.
func (l *line) write() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.fault == nil && len(l.out) > 0 {
		octets := l.out
		l.out = l.spare[:0]
		l.spare = nil
		l.mu.Unlock()
		_ = l.c.raw.SetWriteDeadline(time.Now().Add(l.writeTime))
		_, err := l.c.Write(octets)
		l.mu.Lock()
		if cap(octets) <= inboxKept {
			l.spare = octets[:0]
		}
		if err != nil {
			l.fail(err)
		}
	}
	l.writing = false
}

// wait waits for the end of the answer, of the question's time or of the context, and tells whether it is there.
func (p pending) wait(ctx context.Context) bool {
	select {
	case <-p.q.done:
		p.q.done <- struct{}{}
		return true
	case <-p.q.timer.C:
		p.giveUp(context.DeadlineExceeded)
	case <-ctx.Done():
		return false
	}
	return true
}

// giveUp ends the wait for an answer. Whatever comes for it later is passed over. A line that left a question unanswered
// takes no more of them.
func (p pending) giveUp(err error) {
	l := p.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked[p.id] == nil {
		return // it is there after all
	}
	delete(l.asked, p.id)
	p.q.err = err
	p.q.done <- struct{}{}
	l.quiet = true
	l.closeIfQuiet()
}

// result waits for the answer and reads it. The question is gone after it. Alongside an error there may be the entries that
// came before it.
func (p pending) result(ctx context.Context) (*ldap.SearchResult, error) {
	if !p.wait(ctx) {
		p.giveUp(ctx.Err())
	}
	<-p.q.done
	defer p.q.free()
	url := p.line.c.url
	if err := p.q.err; err != nil {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return nil, fmt.Errorf("waiting for the answer of %s: %w", url, err)
		}
		return nil, fmt.Errorf("asking %s: %w", url, err)
	}
	res, err := readSearch(p.q.answer)
	if err != nil {
		return res, fmt.Errorf("asking %s: %w", url, err)
	}
	return res, nil
}

// readSearch reads the messages of an answer.
func readSearch(answer []byte) (*ldap.SearchResult, error) {
	res := &ldap.SearchResult{}
	for {
		n, length, err := header(answer)
		if err != nil || n == 0 || n+length > len(answer) {
			return nil, errBER
		}
		m, err := readMessage(answer[:n+length])
		if err != nil {
			return nil, err
		}
		answer = answer[n+length:]
		if m.op == opSearchDone {
			res.Controls = nil
			if len(m.controls) > 0 {
				cookie, err := pagingCookie(m.controls)
				if err != nil {
					return nil, err
				}
				res.Controls = []ldap.Control{&ldap.ControlPaging{Cookie: cookie}}
			}
			return res, readResult(m.body)
		}
		e, err := readEntry(m.body)
		if err != nil {
			return nil, err
		}
		res.Entries = append(res.Entries, e)
	}
}

// read hands out answers until the connection ends.
func (l *line) read() {
	for {
		octets, err := l.c.in.next(l.c.Conn, l.limit)
		l.mu.Lock()
		if err == nil {
			err = l.deliver(octets)
		} else if errors.Is(err, errAnswerTooLong) {
			l.blame(l.c.in.buf[l.c.in.from:], err)
		}
		if err != nil {
			l.fail(err)
		}
		ended := l.fault != nil
		l.mu.Unlock()
		if ended {
			return
		}
	}
}

// deliver gives a message to the question that it answers; the caller holds the lock. An error ends the line.
func (l *line) deliver(octets []byte) error {
	m, err := readMessage(octets)
	if err != nil {
		return err
	}
	if m.id == noticeDisconnection {
		return notice(&m)
	}
	q := l.asked[m.id]
	if q == nil {
		if m.id <= l.c.next {
			return nil // late: nobody waits for it any more
		}
		return errOtherQuestion
	}
	if q.left -= len(octets); q.left < 0 {
		l.blame(octets, errAnswerTooLong)
		return errAnswerTooLong
	}
	switch m.op {
	case opSearchEntry:
		q.answer = append(q.answer, octets...)
	case opSearchDone:
		q.answer = append(q.answer, octets...)
		delete(l.asked, m.id)
		l.used = time.Now()
		q.done <- struct{}{}
		l.closeIfQuiet()
	case opSearchReference, opIntermediate:
		// What lies on other servers is not below base_dn for Sekisho.
	default:
		return errBER
	}
	return nil
}

// blame ends the question that a message was for, with an error of its own.
func (l *line) blame(octets []byte, err error) {
	id, ok := questionOf(octets)
	if q := l.asked[id]; ok && q != nil {
		delete(l.asked, id)
		q.err = err
		q.done <- struct{}{}
	}
}

// fail ends the line and every question on it; the caller holds the lock.
func (l *line) fail(err error) {
	if l.fault != nil {
		return
	}
	l.fault = err
	l.c.drop()
	for id, q := range l.asked {
		delete(l.asked, id)
		q.err = err
		if errors.Is(err, errAnswerTooLong) {
			q.err = errNeighbour // its own answer was not too long
		}
		q.done <- struct{}{}
	}
}

// closeIfQuiet closes a retired line after its last answer; the caller holds the lock.
func (l *line) closeIfQuiet() {
	if l.quiet && len(l.asked) == 0 {
		l.fail(errLineRetired)
	}
}

// retire takes no more questions and closes when those under way are answered.
func (l *line) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet = true
	l.closeIfQuiet()
}

// end closes at once.
func (l *line) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail(err)
}

// load is how many questions are under way; ok is false for a line that takes no more.
func (l *line) load(now time.Time) (n int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok = l.fault == nil && !l.quiet && l.c.next < maxMessageID
	if ok && len(l.asked) == 0 && now.Sub(l.used) >= idleLimit {
		l.quiet = true
		l.closeIfQuiet()
		return 0, false
	}
	return len(l.asked), ok
}
