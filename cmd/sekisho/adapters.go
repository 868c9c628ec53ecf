package main

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/admin"
	"sekisho/authn"
	"sekisho/radius"
	"sekisho/storage"
	"sekisho/token"
)

// adminStore gives the API the store in its own words: the two packages do not know each other.
type adminStore struct{ *storage.DB }

var _ admin.Store = adminStore{}

func (s adminStore) FindToken(ctx context.Context, name string) (token.ID, error) {
	if id, ok := s.TokenBySerial(name); ok {
		return id, nil
	}
	ids, err := s.TokensByCredential(ctx, name)
	if err != nil || len(ids) != 1 {
		return 0, err
	}
	return ids[0], nil
}

func (s adminStore) FindSerial(serial string) token.ID {
	id, _ := s.TokenBySerial(serial)
	return id
}

func (s adminStore) FindSeed(fingerprint [16]byte) token.ID {
	id, _ := s.TokenBySeed(fingerprint)
	return id
}

func (s adminStore) Token(id token.ID) (admin.TokenInfo, error) {
	info, err := s.DB.Token(id)
	return tokenInfo(info), err
}

func (s adminStore) Tokens(ctx context.Context, q admin.TokenQuery) ([]admin.TokenInfo, error) {
	page, err := s.DB.Tokens(ctx, storage.TokenFilter(q))
	all := make([]admin.TokenInfo, len(page))
	for i, info := range page {
		all[i] = tokenInfo(info)
	}
	return all, err
}

func (s adminStore) Accounts(ctx context.Context, q admin.AccountQuery) ([]*authn.Account, error) {
	return s.DB.Accounts(ctx, storage.AccountFilter{Directory: q.Directory, Name: q.Name, After: q.After, Limit: q.Limit})
}

func tokenInfo(info storage.TokenInfo) admin.TokenInfo {
	out := admin.TokenInfo{Token: info.Token}
	for _, h := range info.Holders {
		out.Holders = append(out.Holders, admin.TokenHolder(h))
	}
	return out
}

func (s adminStore) Logins(ctx context.Context, q admin.LoginQuery) ([]authn.Event, error) {
	return s.DB.Logins(ctx, storage.LoginFilter(q))
}

func (s adminStore) VerifyChain(ctx context.Context, heads []admin.Head) (admin.Chain, error) {
	given := make([]storage.Head, len(heads))
	for i, h := range heads {
		given[i] = storage.Head(h)
	}
	v, err := s.DB.VerifyChain(ctx, given...)
	return admin.Chain(v), err
}

func (s adminStore) Erase(ctx context.Context, account authn.AccountID, names [][]byte, by *authn.Event, progress func(done, total uint64)) (admin.Erasure, error) {
	e, err := s.DB.Erase(ctx, account, names, by, progress)
	return admin.Erasure(e), err
}

func (s adminStore) Follow(ctx context.Context, seq uint64) iter.Seq2[authn.Event, error] {
	return s.DB.Follow(ctx, seq)
}

// gateways tells the API about the clients and their ratchets.
type gateways struct {
	config radius.Config
	db     *storage.DB
}

var _ admin.Clients = gateways{}

func (g gateways) Clients() []admin.Client {
	since := map[string]string{}
	for _, r := range g.db.Ratchets() {
		since[r.Client] = r.Since.Format(time.RFC3339)
	}
	var all []admin.Client
	for _, c := range g.config.List() {
		v := admin.Client{Name: c.Login.Name, Profile: c.Profile, Addresses: c.Addresses, MessageAuthenticator: c.MessageAuthenticator,
			Ratchet: since[c.Login.Name], Challenge: c.Login.ChallengeMode()}
		if c.Login.Service != c.Login.Name {
			v.Service = c.Login.Service
		}
		all = append(all, v)
	}
	return all
}

func (g gateways) Login(name string) (*authn.Client, bool) {
	for _, c := range g.config.AuthnClients() {
		if c.Name == name {
			return &c, true
		}
	}
	return nil, false
}

func (g gateways) Client(name string) (admin.ClientDetail, bool) {
	for i, c := range g.Clients() {
		if c.Name != name {
			continue
		}
		d := admin.ClientDetail{Client: c}
		for _, s := range g.config.List()[i].Settings {
			d.Settings = append(d.Settings, admin.ClientSetting(s))
		}
		d.Guide, _ = g.config.Guide(name, towards(c.Addresses[0]))
		return d, true
	}
	return admin.ClientDetail{}, false
}

// towards is the address from which this machine reaches another, single or of a network; a word to replace where it has
// no way there. Nothing is sent.
func towards(address string) string {
	host, _, _ := strings.Cut(address, "/")
	conn, err := net.Dial("udp", net.JoinHostPort(host, "9"))
	if err != nil {
		return "THIS-SERVER"
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().(*net.UDPAddr).IP.String()
}

func (g gateways) ReleaseMA(ctx context.Context, name string, act *authn.Event) (known bool, err error) {
	for _, c := range g.config.List() {
		if c.Login.Name != name {
			continue
		}
		for _, text := range c.Addresses {
			addr, err := netip.ParseAddr(text)
			if err != nil || !g.db.RatchetRaised(name, addr) {
				continue
			}
			saved := make(chan error, 1)
			if err := g.db.ReleaseRatchet(name, addr, act, func(err error) { saved <- err }); err != nil {
				return true, err
			}
			select {
			case err = <-saved:
				return true, err
			case <-ctx.Done():
				return true, ctx.Err()
			}
		}
		return true, authn.ErrNotFound
	}
	return false, nil
}

// ratchets lets radius raise a ratchet without waiting; what could not be written is logged, and raised again by the
// client's next packet.
type ratchets struct {
	*storage.DB
	log *slog.Logger
}

var _ radius.Ratchets = ratchets{}

func (r ratchets) RaiseRatchet(client string, addr netip.Addr) {
	failed := func(err error) {
		if err != nil {
			r.log.Error("a ratchet could not be saved", "client", client, "error", err)
		}
	}
	if err := r.DB.RaiseRatchet(client, addr, failed); err != nil {
		failed(err)
	}
}

// clock is the watch on the wall clock with the machine's own clocks.
type clock struct{ *authn.Clock }

var _ admin.Clock = clock{}

// Accept ends a doubt.
func (c clock) Accept() bool { return c.Clock.Accept(time.Now(), bootTime()) }

// observe compares the clocks once.
func (c clock) observe(log *slog.Logger) {
	if c.Observe(time.Now(), bootTime(), kernelSynchronised) {
		log.Error("the clock jumped and nothing confirms it; time-based codes wait for 'sekisho clock accept'")
	}
}

// bootTime runs since the machine started, through suspends, and nobody sets it.
func bootTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// kernelSynchronised is the kernel's word that a time service disciplines the clock (S21).
func kernelSynchronised() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	const unsynchronised = 0x40 // STA_UNSYNC
	return err == nil && state != unix.TIME_ERROR && t.Status&unsynchronised == 0
}

// newest is the moment of the newest event in the store; zero when there is none.
func newest(ctx context.Context, db *storage.DB) (time.Time, error) {
	events, err := db.Logins(ctx, storage.LoginFilter{Acts: true, Limit: 1})
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the newest event: %w", err)
	}
	if len(events) == 0 {
		return time.Time{}, nil
	}
	return events[0].At, nil
}
