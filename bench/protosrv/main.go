// protosrv is a prototype of the hot path, to see how near a durable server can come to the ceiling: batched receive, users
// and their last used counters in memory, one append-only log with group commit, the Access-Accept sent only after
// fdatasync. It is no product: one shared secret, no configuration, no policy, no audit.
package main

import (
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sekisho/bench/internal/mmsg"
	"sekisho/bench/internal/otpgen"

	"golang.org/x/sys/unix"
)

// user is one login with its token.
type user struct {
	last   int64 // highest counter/step used; -1: none
	secret [20]byte
	pw     [10]byte
}

// server is everything; receive and commit are its two threads.
type server struct {
	fd     int
	file   *os.File
	off    int64
	users  []user
	index  map[string]int32
	hotp   bool
	pass   bool
	window int64
	sync   bool
	gather time.Duration

	mu   sync.Mutex
	cond *sync.Cond
	cur  *group
}

// group is what one commit makes durable, and the answers waiting for it.
type group struct {
	log  []byte
	resp []byte // answers back to back
	end  []int
	peer []unix.RawSockaddrInet4
	keys []uint64
	seen []*seen
}

// seen is the answer to one (address, port, identifier), so that a retransmission gets the same (RFC 5080 section 2.2.2).
type seen struct {
	auth [16]byte
	done atomic.Bool // resp may be sent again
	resp []byte
}

func main() {
	addr := flag.String("addr", "127.0.0.1:11830", "where to listen, IPv4")
	secret := flag.String("secret", "testing123", "shared secret")
	users := flag.Int("users", 1000, "number of users")
	seed := flag.String("seed", "bench", "what their secrets are derived from, as radload's")
	dir := flag.String("dir", ".", "folder of the log")
	kind := flag.String("kind", "totp", "totp|hotp")
	layout := flag.String("layout", "otp", "otp|passotp: what the password field holds")
	batch := flag.Int("batch", 64, "datagrams received at once")
	window := flag.Int64("window", 1, "TOTP steps each side; HOTP look-ahead")
	noSync := flag.Bool("no-sync", false, "do not fdatasync (to see what durability costs)")
	gather := flag.Duration("gather", 0, "a commit that follows a small one (under 16 logins) first waits so long for more")
	flag.Parse()
	t0 := time.Now()
	s := &server{index: map[string]int32{}, hotp: *kind == "hotp", pass: *layout == "passotp", window: *window, sync: !*noSync, gather: *gather}
	s.cond = sync.NewCond(&s.mu)
	s.load(*seed, *users)
	s.openLog(*dir)
	runtime.GC()
	ua, err := net.ResolveUDPAddr("udp4", *addr)
	check(err)
	s.fd, err = mmsg.Socket(&unix.SockaddrInet4{Port: ua.Port, Addr: [4]byte(ua.IP.To4())}, false, nil, 8<<20)
	check(err)
	log.Printf("%d users in %v", len(s.users), time.Since(t0))
	s.cur = &group{}
	go s.commit()
	go s.receive([]byte(*secret), *batch)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT)
	<-ch
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// load derives the users as radload does.
func (s *server) load(seed string, n int) {
	s.users = make([]user, n)
	for i := range s.users {
		u := otpgen.Derive(seed, i)
		s.users[i] = user{last: -1, secret: u.Secret, pw: u.Password}
		s.index[u.Name] = int32(i)
	}
}
