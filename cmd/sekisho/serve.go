package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sekisho/admin"
	"sekisho/audit"
	"sekisho/authn"
	"sekisho/console"
	"sekisho/internal/sdnotify"
	"sekisho/radius"
	"sekisho/storage"
	"sekisho/token"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the service until it is told to stop", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP) // from the beginning, or one that comes early would end the program
			defer signal.Stop(hangups)
			config, warnings, err := loadConfig(a.configFile(), a.environ)
			if err != nil {
				return err
			}
			log, level := newLeveledLog(a.err, config.Log)
			for _, w := range warnings {
				log.Warn("the configuration has a weak spot", "warning", w)
			}
			spareProcessors()
			s, err := open(cmd.Context(), config, log)
			if err != nil {
				return err
			}
			s.level, s.hangups, s.manager = level, hangups, sdnotify.New(a.environ, os.Getpid())
			return s.run(cmd.Context())
		},
	}
	a.configFlag(cmd)
	return cmd
}

// spareProcessors gives the scheduler of Go two places more than there are processors. The committer spends most of its
// time in fsync. Without a spare place the runtime's monitor takes the committer's away at each of them, because somebody
// might want it, and for that looks around every 20 microseconds for as long as the service is busy: up to a fifth of its CPU
// on two processors. GOMAXPROCS in the environment goes first.
func spareProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 2)
	}
}

// service is the running whole. It is made by open, which opens and wires everything and then listens, and lives until
// the context of run ends.
type service struct {
	config    *Config // of the start: what stays for the life of the service
	log       *slog.Logger
	level     *slog.LevelVar     // of log; nil: it stays as it is
	hangups   <-chan os.Signal   // each asks for a reload; nil: none come
	manager   *sdnotify.Notifier // nil: none
	db        *storage.DB
	parts     atomic.Pointer[parts]
	clock     clock
	counters  *authn.Metrics
	stream    *audit.Stream
	mails     *mails
	radius    *radius.Server
	admin     *http.Server
	metrics   *http.Server
	pages     *http.Server // nil: none configured
	web       *http.Server // of operators; nil: none configured
	openWeb   func() (net.Listener, error)
	webAt     net.Listener
	adminAt   net.Listener
	pagesAt   net.Listener
	metricsAt net.Listener  // nil: none configured
	stopping  chan struct{} // closed when run begins to end

	reloading sync.Mutex    // one reload at a time
	reseals   chan struct{} // a word after a rotation of the data key
	snapshots sync.Mutex    // one copy of the database has the name for it
	retiring  retiring
}

// open opens what the service stands on, wires the parts together and listens on every door, so that whatever is wrong
// shows before the first answer. After an error nothing stays open.
func open(ctx context.Context, config *Config, log *slog.Logger) (*service, error) {
	s := &service{config: config, log: log, stopping: make(chan struct{}), reseals: make(chan struct{}, 1)}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	err := s.openStore(ctx, registry)
	if err == nil {
		err = s.wire(registry)
	}
	if err == nil {
		err = s.listen()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *service) openStore(ctx context.Context, registry prometheus.Registerer) error {
	key, err := token.LoadOuterKey(s.config.Keys.File)
	if err != nil {
		return fmt.Errorf("opening the key of the store: %w", err)
	}
	s.db, err = storage.Open(ctx, s.config.Storage, key, storage.Env{Now: time.Now, Log: s.log, Metrics: registry})
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	removeSnapshot(s.config.Storage)
	settleMemory()
	s.clock = clock{&authn.Clock{}}
	s.clock.observe(s.log)
	last, err := newest(ctx, s.db)
	if err != nil {
		return err
	}
	if ahead := time.Until(last); ahead > 5*time.Second && !kernelSynchronised() {
		s.log.Error("the clock stands before the newest event; time-based codes wait for 'sekisho clock accept'", "behind", ahead.Round(time.Second))
		s.clock.BeginDoubt()
	}
	return nil
}

func (s *service) wire(registry *prometheus.Registry) error {
	s.counters = authn.NewMetrics(registry)
	s.stream = s.auditStream()
	registry.MustRegister(s.stream.Collector())
	s.mails = newMails(s, registry)
	p, err := s.build(s.config, nil, false)
	if err != nil {
		return err
	}
	s.parts.Store(p)
	s.radius = &radius.Server{
		Config: s.config.Radius, Authenticator: p.login, Sessions: s.db, Ratchets: ratchets{s.db, s.log}, Log: s.log,
		Registerer: registry, Healthy: func() bool { return s.db.Healthy() == nil }, Now: time.Now,
	}
	s.admin = p.api.HTTPServer()
	p.handler = s.admin.Handler
	s.admin.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.parts.Load().ServeHTTP(w, r) })
	s.metrics = &http.Server{Handler: s.metricsHandler(registry), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	if s.web, err = s.operatorsWeb(); err != nil {
		return err
	}
	s.pages, err = s.selfService()
	return err
}

// operatorsWeb makes the operators' listener on the network; nil where none is configured.
func (s *service) operatorsWeb() (*http.Server, error) {
	c := s.config.Admin
	if c.Listen == "" {
		return nil, nil
	}
	proxies, _, _ := c.proxies() // checked when it was loaded
	pages := &console.Pages{API: s.admin.Handler, Zone: s.config.dateOnly().Zone, Version: versionText(), Now: time.Now, Log: s.log}
	door := admin.Web{API: s.admin.Handler, Pages: pages.Handler(), URL: c.URL, Proxies: proxies, Log: s.log}
	server, err := door.HTTPServer()
	if err != nil {
		return nil, err
	}
	if c.CertFile != "" {
		pair := &keyPair{cert: c.CertFile, key: c.KeyFile, log: s.log}
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
	}
	s.openWeb = func() (net.Listener, error) {
		l, err := door.ListenWeb(c.Listen)
		if err == nil && server.TLSConfig != nil {
			l = tls.NewListener(l, server.TLSConfig)
		}
		return l, err
	}
	return server, nil
}

func (s *service) listen() error {
	if err := s.radius.Listen(); err != nil {
		return fmt.Errorf("listening for RADIUS: %w", err)
	}
	s.db.OnHandedOut(s.radius.Flush)
	var err error
	s.adminAt, err = admin.Listen(s.config.Admin.Socket)
	if err != nil {
		return err
	}
	if s.config.Metrics.Listen != "" {
		s.metricsAt, err = net.Listen("tcp", s.config.Metrics.Listen)
		if err != nil {
			return fmt.Errorf("listening for metrics: %w", err)
		}
	}
	if s.web != nil {
		if s.webAt, err = s.openWeb(); err != nil {
			return err
		}
	}
	if s.pages != nil {
		s.pagesAt, err = net.Listen("tcp", s.config.SelfService.Listen)
		if err != nil {
			return fmt.Errorf("listening for the self-service pages: %w", err)
		}
		if s.pages.TLSConfig != nil {
			s.pagesAt = tls.NewListener(s.pagesAt, s.pages.TLSConfig)
		}
	}
	return nil
}

// run serves until ctx ends or a part fails, then stops in the order of the work: no new requests, answers to those under
// way, then the doors of operators, the log, the store.
func (s *service) run(ctx context.Context) error {
	auth, acct := s.radius.Addresses()
	s.log.Info("ready", "version", versionText(), "radius", auth, "accounting", acct, "admin", s.config.Admin.Socket,
		"metrics", s.config.Metrics.Listen, "policies", len(s.config.Policies), "clients", len(s.config.Radius.Clients))
	s.warnOneFactor(s.config)
	behind, stopBehind := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { s.parts.Load().login.Run(behind) }) // those that follow share its memory
	background.Go(func() { s.watch(behind) })
	background.Go(func() { s.sendAudit(behind) })
	notices := s.notices()
	_ = notices.Begin() // Run tries again, and tells
	background.Go(func() { notices.Run(behind) })
	background.Go(func() { s.sendMails(behind) })
	background.Go(func() { s.sweepMails(behind) })
	background.Go(func() { s.tickDesk(behind) })
	background.Go(func() { s.retain(behind) })
	background.Go(func() { s.reseal(behind) })
	background.Go(func() { s.watchdog(behind, s.manager.Watchdog()/2) })

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.radius.Serve(ctx) })
	group.Go(func() error {
		s.reloadOnHangup(ctx)
		close(s.stopping)
		s.tell(s.manager.Stopping())
		return nil
	})
	serve := func(server *http.Server, at net.Listener) {
		if at == nil {
			return
		}
		group.Go(func() error {
			err := server.Serve(at)
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("serving %s: %w", at.Addr(), err)
		})
		group.Go(func() error {
			<-ctx.Done()
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if server.Shutdown(grace) != nil {
				_ = server.Close()
			}
			return nil
		})
	}
	serve(s.admin, s.adminAt)
	serve(s.metrics, s.metricsAt)
	serve(s.pages, s.pagesAt)
	serve(s.web, s.webAt)
	s.tell(s.manager.Ready(s.status()))
	err := group.Wait()
	stopBehind()
	background.Wait()
	return errors.Join(err, s.close())
}

func (s *service) close() error {
	var faults []error
	for _, l := range []net.Listener{s.adminAt, s.metricsAt, s.pagesAt, s.webAt} {
		if l != nil {
			_ = l.Close()
		}
	}
	if p := s.parts.Load(); p != nil {
		closeDirectories(p.directories)
	}
	s.retiring.closeAll()
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			faults = append(faults, fmt.Errorf("closing the store: %w", err))
		}
	}
	return errors.Join(faults...)
}

// watch looks once a second at what changes from outside: the clock, and the directories' lockout thresholds.
func (s *service) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	limits, status := lockouts{}, s.status()
	for _, d := range s.config.directories() {
		limits[d.Name] = d.LDAP.FailureLimit // check-config has told about it
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.clock.observe(s.log)
			p := s.parts.Load()
			for _, w := range limits.look(p.directories) {
				if p.config.asksPasswords() {
					s.log.Warn("a directory's lockout threshold is low", "warning", w)
				}
			}
			if now := s.status(); now != status {
				status = now
				s.tell(s.manager.Status(status))
			}
		}
	}
}

// health tells in words how each part is.
func (s *service) health() admin.Health {
	h := admin.Health{OK: true, Version: versionText(), Parts: map[string]string{"store": "ok", "clock": "ok", "radius": "ok"}}
	if err := s.db.Healthy(); err != nil {
		h.OK, h.Parts["store"] = false, err.Error()
	}
	if s.clock.Doubt() {
		h.OK, h.Parts["clock"] = false, "in doubt; compare it with another one, then: sekisho clock accept"
	}
	for _, b := range s.parts.Load().directories {
		words, usable := directoryHealth(b.Directory)
		h.OK, h.Parts["directory "+b.Name] = h.OK && usable, words
	}
	return h
}

func (s *service) metricsHandler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		h := s.health()
		w.Header().Set("Content-Type", "application/json")
		if s.db.Healthy() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(h)
	})
	return mux
}

func newLog(w io.Writer, c LogConfig) *slog.Logger {
	log, _ := newLeveledLog(w, c)
	return log
}

// level is the least level that is logged.
func (c LogConfig) level() (level slog.Level) {
	_ = level.UnmarshalText([]byte(strings.ToUpper(c.Level))) // checked when it was loaded
	return level
}

// newLeveledLog gives a log whose level can be changed.
func newLeveledLog(w io.Writer, c LogConfig) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	level.Set(c.level())
	options, out := &slog.HandlerOptions{Level: level}, &gathered{w: w}
	if c.Format == "json" {
		return slog.New(gatheringHandler{slog.NewJSONHandler(out, options), out}), level
	}
	return slog.New(gatheringHandler{slog.NewTextHandler(out, options), out}), level
}

// gatheringHandler writes the many lines of logins a batch at a time.
type gatheringHandler struct {
	slog.Handler
	out *gathered
}

var _ authn.Gatherer = gatheringHandler{}

// Gather is [authn.Gatherer]'s.
func (h gatheringHandler) Gather(f func()) {
	h.out.hold(true)
	defer h.out.hold(false)
	f()
}

// gathered is the log's output: while somebody holds it, lines wait for the rest of their batch.
type gathered struct {
	mu      sync.Mutex
	w       io.Writer
	holders int
	waiting []byte
}

// gatheredMost is how many octets wait at most.
const gatheredMost = 64 << 10

func (g *gathered) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holders == 0 {
		return g.w.Write(line)
	}
	g.waiting = append(g.waiting, line...)
	if len(g.waiting) < gatheredMost {
		return len(line), nil
	}
	return len(line), g.flush()
}

func (g *gathered) hold(begin bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if begin {
		g.holders++
		return
	}
	if g.holders--; g.holders == 0 {
		_ = g.flush()
	}
}

// flush writes what waits; the caller holds the lock.
func (g *gathered) flush() error {
	if len(g.waiting) == 0 {
		return nil
	}
	_, err := g.w.Write(g.waiting)
	g.waiting = g.waiting[:0]
	return err
}
