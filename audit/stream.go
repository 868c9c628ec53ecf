package audit

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sekisho/authn"
)

// Journal is the durable events.
//
// Follow gives every event after seq and then each one as it becomes durable, until ctx ends. Position is the newest durable
// event and the chain's link there.
type Journal interface {
	Follow(ctx context.Context, seq uint64) iter.Seq2[authn.Event, error]
	Position() (seq uint64, link []byte)
}

// Stream sends a journal to one target. All fields but Now are required.
type Stream struct {
	Config  Config
	Journal Journal
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now

	sent   atomic.Uint64
	failed atomic.Bool
}

// Times of the stream.
const (
	headEvery     = 5 * time.Second // heads leave the machine so often (S24)
	connectWithin = 10 * time.Second
	writeWithin   = 10 * time.Second
	firstPause    = time.Second // after a fault, twice as long each time
	longestPause  = time.Minute
	overlap       = 1000 // events sent again after a lost connection: what TCP had taken and the server had not
)

// Run sends until ctx ends. A target that is away holds nothing else up: what it missed is sent when it is back. An error is
// a config that cannot work.
func (s *Stream) Run(ctx context.Context) error {
	if faults := s.Config.Check(); len(faults) > 0 {
		f := faults[0]
		return fmt.Errorf("audit.%s: %s; %s", f.Key, f.Problem, f.Advice)
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	from, err := readPosition(s.Config.Position)
	if err != nil {
		return err
	}
	if newest, _ := s.Journal.Position(); from > newest {
		// A restored database is behind the target; its events carry numbers that the target has seen already.
		s.Log.Warn("the audit's target is ahead of the database: an older database was restored", "target", from, "database", newest)
		from = newest
	}
	s.sent.Store(from)
	pause := firstPause
	for {
		began := s.sent.Load()
		err := s.send(ctx)
		if ctx.Err() != nil {
			return s.savePosition()
		}
		if s.sent.Load() > began {
			pause = firstPause
		}
		if !s.failed.Swap(true) {
			s.Log.Error("events do not leave the machine; logins go on, and they are sent when the target is back", "to", s.Config.To, "error", err)
		}
		if err := s.savePosition(); err != nil {
			s.Log.Error("how far the audit's target is cannot be saved", "error", err)
		}
		select {
		case <-ctx.Done():
			return s.savePosition()
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
		s.sent.Store(s.sent.Load() - min(s.sent.Load(), overlap))
	}
}

// send opens the target and sends to it until something goes wrong.
func (s *Stream) send(ctx context.Context) error {
	out, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go out.watch(cancel)
	events := make(chan authn.Event, 256)
	failed := make(chan error, 1)
	go func() {
		defer close(events)
		for ev, err := range s.Journal.Follow(ctx, s.sent.Load()) {
			if err != nil {
				failed <- fmt.Errorf("reading the journal: %w", err)
				return
			}
			select {
			case events <- ev:
			case <-ctx.Done():
				return
			}
		}
	}()
	head := time.NewTicker(headEvery)
	defer head.Stop()
	for {
		select {
		case ev, ok := <-events:
			if !ok {
				select {
				case err := <-failed:
					return err
				default:
					return cmpCause(ctx)
				}
			}
			r := NewRecord(&ev, s.Config.People)
			if err := s.write(out, &r, len(events) == 0); err != nil {
				return err
			}
			s.sent.Store(ev.Seq)
		case <-head.C:
			seq, link := s.Journal.Position()
			if seq > s.sent.Load() {
				continue // the events come first
			}
			r := Head(seq, link, s.Now())
			if err := s.write(out, &r, true); err != nil {
				return err
			}
			if err := s.savePosition(); err != nil {
				s.Log.Error("how far the audit's target is cannot be saved", "error", err)
			}
		}
	}
}

func cmpCause(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return errors.New("the journal ended")
}

func (s *Stream) write(out *sink, r *Record, flush bool) error {
	r.Instance = s.Config.Instance
	if err := out.put(r); err != nil {
		return err
	}
	if flush {
		if err := out.flush(); err != nil {
			return err
		}
	}
	if s.failed.Swap(false) {
		s.Log.Info("events leave the machine again", "to", s.Config.To, "from", r.Seq)
	}
	return nil
}

// sink is an open target.
type sink struct {
	c      io.WriteCloser
	conn   net.Conn // nil: a file
	buf    *bufio.Writer
	put    func(r *Record) error
	sync   func() error
	framed []byte
}

func (s *Stream) open(ctx context.Context) (*sink, error) {
	t, err := s.Config.target()
	if err != nil {
		return nil, err
	}
	k := &sink{}
	if t.scheme == "file" {
		f, err := os.OpenFile(t.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		k.c, k.buf, k.sync = f, bufio.NewWriterSize(f, 1<<16), f.Sync
		k.put = func(r *Record) error {
			_, err := k.buf.Write(append(r.Line(), '\n'))
			return err
		}
		return k, nil
	}
	d := net.Dialer{Timeout: connectWithin}
	switch t.scheme {
	case "tls":
		secure, err := s.Config.tls(t.host)
		if err != nil {
			return nil, err
		}
		k.conn, err = (&tls.Dialer{NetDialer: &d, Config: secure}).DialContext(ctx, "tcp", t.address)
		if err != nil {
			return nil, err
		}
	default:
		if k.conn, err = d.DialContext(ctx, t.scheme, t.address); err != nil {
			return nil, err
		}
	}
	host := s.Config.Instance
	if host == "" {
		host, _ = os.Hostname()
	}
	k.c, k.buf = k.conn, bufio.NewWriterSize(k.conn, 1<<16)
	pid := os.Getpid()
	var message []byte
	k.put = func(r *Record) error {
		message = appendSyslog(message[:0], r, host, pid)
		_ = k.conn.SetWriteDeadline(time.Now().Add(writeWithin))
		if t.scheme == "udp" {
			_, err := k.conn.Write(datagram(message))
			return err
		}
		k.framed = frame(k.framed[:0], message)
		_, err := k.buf.Write(k.framed)
		return err
	}
	return k, nil
}

// watch ends the stream when the server closes the connection: a syslog server never says anything, so the first sign of a
// dead one is the end of what it sends.
func (k *sink) watch(gone context.CancelCauseFunc) {
	if k.conn == nil || k.conn.LocalAddr().Network() == "udp" {
		return
	}
	_, err := io.Copy(io.Discard, k.conn)
	if err == nil {
		err = errors.New("the syslog server closed the connection")
	}
	gone(err)
}

func (k *sink) flush() error {
	if k.conn != nil {
		_ = k.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	}
	if err := k.buf.Flush(); err != nil {
		return err
	}
	if k.sync != nil {
		return k.sync()
	}
	return nil
}

// Close writes what waits and closes the target.
func (k *sink) Close() error {
	return errors.Join(k.flush(), k.c.Close())
}

func (s *Stream) savePosition() error { return writePosition(s.Config.Position, s.sent.Load()) }

func readPosition(path string) (uint64, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s holds no number; remove it to send the whole journal again", path)
	}
	return n, nil
}

// writePosition replaces the file in one step: half a number would skip events.
func writePosition(path string, seq uint64) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", seq)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// Collector counts what waits; 0 where nothing is to leave.
func (s *Stream) Collector() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sekisho_audit_behind_events", Help: "Durable events that have not left the machine yet; 0 without audit.to.",
	}, func() float64 {
		newest, _ := s.Journal.Position()
		if !s.Config.On() {
			return 0
		}
		return float64(newest - min(newest, s.sent.Load()))
	})
}
