package admin

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Web is the operators' listener on the network: what stands before API and pages there and not on the local socket.
type Web struct {
	API     http.Handler
	Pages   http.Handler // nil: none
	URL     string       // at which browsers come; its pages may post
	Proxies []netip.Prefix
	Log     *slog.Logger
}

// HTTPServer is the listener's server with its limits.
func (web Web) HTTPServer() (*http.Server, error) {
	u, err := url.Parse(web.URL)
	if err != nil {
		return nil, fmt.Errorf("reading admin.url: %w", err)
	}
	cross := http.NewCrossOriginProtection()
	if web.URL != "" {
		if err := cross.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("reading admin.url: %w", err)
		}
	}
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, newProblem(http.StatusForbidden, "cross-origin", wordCrossOrigin))
	}))
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/"):
			web.API.ServeHTTP(w, r)
		case web.Pages != nil:
			web.Pages.ServeHTTP(w, r)
		default:
			writeProblem(w, newProblem(http.StatusNotFound, "not-found", wordNotFound))
		}
	})
	guarded := cross.Handler(inner)
	secure := u.Scheme == "https" && !loopback(u.Hostname())
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		if secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r.RemoteAddr = web.client(r)
		guarded.ServeHTTP(w, r)
	})
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(web.Log.Handler(), slog.LevelDebug),
	}, nil
}

// client is where a request comes from: the nearest address before the trusted proxies. Whatever stands further left in the
// header, anybody may have written.
func (web Web) client(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !web.trusts(from.Addr()) {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		from = netip.AddrPortFrom(a, 0)
		if !web.trusts(a) {
			break
		}
	}
	return from.String()
}

func (web Web) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(web.Proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// ListenWeb opens the operators' listener. Connections of one address beyond mostFromAddress are closed, those of proxies apart.
func (web Web) ListenWeb(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for operators: %w", err)
	}
	return &fairListener[netip.Addr]{Listener: l, most: mostFromAddress, open: map[netip.Addr]int{}, key: func(c net.Conn) (netip.Addr, bool, error) {
		a, err := netip.ParseAddrPort(c.RemoteAddr().String())
		return a.Addr().Unmap(), web.trusts(a.Addr()), err
	}}, nil
}
