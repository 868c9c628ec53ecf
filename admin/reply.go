package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"sekisho/authn"
)

// A call with an Idempotency-Key has one effect, however often and however much in parallel it is sent:
//
//	reserve  the key is saved as running, or found: with another body it is refused, running it is told so, done it is
//	         answered as before
//	run      the call is served
//	keep     a success is saved with the key for a day; a refusal frees the key, because nothing was done
//
// Where the service ends between run and keep nobody knows what the call did: the key says so until its day is over.

// Bounds of kept answers.
const (
	replyLife  = 24 * time.Hour
	replyBytes = 256 << 10 // a longer answer is not kept; nor is a file, nor one that holds a secret
	replySweep = 100       // old keys that one new key takes away
)

// The states of a ReplyRecord.
const (
	replyRunning uint8 = iota + 1
	replyDone
)

// kept is what a ReplyRecord holds.
type kept struct {
	Call   [32]byte // digest of method, path, query and body
	Caller string
	Key    [32]byte // digest
	Status int      // 0: the answer is not kept
	Body   string
}

// replies are the calls under way with a key.
type replies struct {
	mu      sync.Mutex
	running map[uint64]bool
}

func (r *replies) begin(id uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[id] {
		return false
	}
	if r.running == nil {
		r.running = map[uint64]bool{}
	}
	r.running[id] = true
	return true
}

func (r *replies) end(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, id)
}

type secretKey struct{}

// holdsSecret keeps an answer from being kept: it alone shows what it holds.
func holdsSecret(ctx context.Context) {
	if mark, ok := ctx.Value(secretKey{}).(*bool); ok {
		*mark = true
	}
}

// once serves calls with an Idempotency-Key, and passes all others on.
func (s *Server) once(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if key == "" || r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		if len(key) > 255 || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
			writeProblem(w, newProblem(http.StatusUnprocessableEntity, "bad-input", wordBadIdempotency, Place{"Idempotency-Key", "want 1 to 255 printable ASCII characters"}))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxImport))
		if err != nil {
			writeProblem(w, newProblem(http.StatusRequestEntityTooLarge, "too-large", wordTooLarge))
			return
		}
		k := kept{Caller: PrincipalOf(r.Context()).Name, Key: sha256.Sum256([]byte(key)), Call: callDigest(r, body)}
		sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s%s", len(k.Caller), k.Caller, k.Key[:]))
		id := authn.RecordKey{Kind: authn.ReplyRecord, ID: binary.BigEndian.Uint64(sum[:8])>>1 | 1}
		if !s.calls.replies.begin(id.ID) {
			w.Header().Set("Retry-After", "1")
			writeProblem(w, newProblem(http.StatusConflict, "in-progress", wordInProgress))
			return
		}
		defer s.calls.replies.end(id.ID)
		former, p := s.reserve(id, &k)
		switch {
		case p != nil:
			writeProblem(w, p)
		case former != nil:
			former.replay(w)
		default:
			s.serveOnce(w, r, next, id, k, body)
		}
	})
}

// callDigest fixes what was asked for.
func callDigest(r *http.Request, body []byte) [32]byte {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\x00%s\x00%s\x00", r.Method, r.URL.EscapedPath(), r.URL.RawQuery)
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// reserve saves a key as running. former is what an earlier call with it came to.
func (s *Server) reserve(id authn.RecordKey, k *kept) (former *kept, p *Problem) {
	now := s.Now()
	keys := authn.Keys{Records: []authn.RecordKey{id}}
	old, err := s.Store.Records(authn.RecordQuery{Kind: authn.ReplyRecord, DueBy: now.Unix(), Limit: replySweep})
	if err != nil {
		return nil, asProblem(s.problem(err))
	}
	for _, r := range old {
		if r.RecordKey != id {
			keys.Records = append(keys.Records, r.RecordKey)
		}
	}
	running := false
	err = s.save(keys, func(h *authn.Held) (authn.Change, error) {
		former, running = nil, false
		var c authn.Change
		next := &authn.Record{RecordKey: id, State: replyRunning, Due: now.Add(replyLife).Unix()}
		if r := h.Records[0]; r != nil && r.Due > now.Unix() {
			former = new(kept)
			if err := json.Unmarshal(r.Data, former); err != nil {
				return c, fmt.Errorf("reading a kept answer: %w", err)
			}
			running = r.State == replyRunning
			return c, nil
		}
		for _, r := range h.Records[1:] {
			if r != nil && r.Due <= now.Unix() {
				c.Gone = append(c.Gone, r.RecordKey)
			}
		}
		var err error
		next.Data, err = json.Marshal(k)
		c.Records = []*authn.Record{next}
		return c, err
	})
	switch {
	case err != nil:
		return nil, asProblem(s.problem(err))
	case former == nil:
		return nil, nil
	case former.Call != k.Call || former.Caller != k.Caller || former.Key != k.Key:
		return nil, newProblem(http.StatusUnprocessableEntity, "idempotency-mismatch", wordOtherCall)
	case running: // of a process that ended
		return nil, newProblem(http.StatusConflict, "outcome-unknown", wordOutcomeUnknown)
	}
	return former, nil
}

// replay answers as before.
func (k *kept) replay(w http.ResponseWriter) {
	if k.Status == 0 {
		writeProblem(w, newProblem(http.StatusConflict, "already-done", wordAlreadyDone))
		return
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(k.Status)
	_, _ = io.WriteString(w, k.Body)
}

// serveOnce runs a call and keeps what came of it.
func (s *Server) serveOnce(w http.ResponseWriter, r *http.Request, next http.Handler, id authn.RecordKey, k kept, body []byte) {
	secret := false
	r = r.WithContext(context.WithValue(r.Context(), secretKey{}, &secret))
	r.Body = io.NopCloser(bytes.NewReader(body))
	c := &copying{ResponseWriter: w}
	defer func() {
		fault := recover()
		if err := s.settle(id, k, c, secret, fault != nil); err != nil {
			s.Log.Error("the answer to a call with an Idempotency-Key could not be kept", "error", err)
		}
		if fault != nil {
			panic(fault)
		}
	}()
	next.ServeHTTP(c, r)
}

// settle keeps a success, frees the key of a refusal, and leaves a key as running where nobody knows.
func (s *Server) settle(id authn.RecordKey, k kept, c *copying, secret, fault bool) error {
	unknown := fault || bytes.Contains(c.body.Bytes(), []byte(`"unknown-outcome"`)) && c.status == http.StatusServiceUnavailable
	if unknown {
		return nil
	}
	if c.status < 300 && !secret && !c.long && c.Header().Get("Content-Type") == "application/json" {
		k.Status, k.Body = max(c.status, http.StatusOK), c.body.String()
	}
	return s.save(authn.Keys{Records: []authn.RecordKey{id}}, func(h *authn.Held) (authn.Change, error) {
		if h.Records[0] == nil {
			return authn.Change{}, nil
		}
		if c.status >= 300 {
			return authn.Change{Gone: []authn.RecordKey{id}}, nil
		}
		next := *h.Records[0]
		next.State = replyDone
		var err error
		next.Data, err = json.Marshal(k)
		return authn.Change{Records: []*authn.Record{&next}}, err
	})
}

// save runs one update to its durable end, whoever waits.
func (s *Server) save(keys authn.Keys, f func(*authn.Held) (authn.Change, error)) error {
	saved := make(chan error, 1)
	err := s.Store.Update(keys, f, func(err error) { saved <- err })
	if err != nil {
		return err
	}
	return <-saved
}

// copying keeps a copy of a short answer.
type copying struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	long   bool
}

// WriteHeader notes the status.
func (c *copying) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write copies as far as is kept.
func (c *copying) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	if c.long = c.long || c.body.Len()+len(b) > replyBytes; !c.long {
		c.body.Write(b)
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (c *copying) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// asProblem is an error of [Server.problem] as what it is.
func asProblem(err error) *Problem {
	var p *Problem
	errors.As(err, &p)
	return p
}
