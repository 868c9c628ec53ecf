package testenv

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

// echo answers every datagram with itself and reports which addresses it saw.
func echo(t *testing.T) (addr string, sources chan netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	sources = make(chan netip.AddrPort, 1<<16)
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				close(sources)
				return
			}
			sources <- from
			_, _ = c.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	return c.LocalAddr().String(), sources
}

// exchange sends n numbered datagrams one after the other, each when the one before has had its answer or its time, and
// gives the numbers in the order in which they came back.
func exchange(t *testing.T, relay string, n int, wait time.Duration) []uint32 {
	t.Helper()
	c, err := net.Dial("udp", relay)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var got []uint32
	buf := make([]byte, 2048)
	receive := func(d time.Duration) bool {
		if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
			t.Fatal(err)
		}
		k, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		if err != nil || k != 4 {
			t.Fatalf("read %d octets: %v", k, err)
		}
		got = append(got, binary.BigEndian.Uint32(buf))
		return true
	}
	for i := range n {
		if _, err := c.Write(binary.BigEndian.AppendUint32(nil, uint32(i))); err != nil {
			t.Fatal(err)
		}
		receive(wait)
	}
	for receive(200 * time.Millisecond) {
	}
	return got
}

func TestRelayPassesEverything(t *testing.T) {
	target, _ := echo(t)
	got := exchange(t, Relay(t, target, RelayOptions{}), 500, time.Second)
	if len(got) != 500 || !slices.IsSorted(got) {
		t.Fatalf("%d of 500 came back, in order: %v", len(got), slices.IsSorted(got))
	}
}

func TestRelayIsBad(t *testing.T) {
	for _, tt := range []struct {
		name     string
		options  RelayOptions
		requests int
		low, top int // answers
		ordered  bool
	}{
		{"everything lost", RelayOptions{Drop: 100}, 100, 0, 0, true},
		{"a fifth lost each way", RelayOptions{Seed: 1, Drop: 20}, 2000, 1180, 1380, true},
		{"everything twice each way", RelayOptions{Duplicate: 100}, 50, 200, 200, true},
		{"half held back", RelayOptions{Seed: 2, Reorder: 50}, 100, 100, 100, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, _ := echo(t)
			got := exchange(t, Relay(t, target, tt.options), tt.requests, 100*time.Microsecond)
			if len(got) < tt.low || len(got) > tt.top {
				t.Errorf("%d answers to %d requests, want %d to %d", len(got), tt.requests, tt.low, tt.top)
			}
			if slices.IsSorted(got) != tt.ordered {
				t.Errorf("in order: %v, want %v", !tt.ordered, tt.ordered)
			}
		})
	}
}

// A seed chooses the same victims each time, or a failure seen once could not be seen again; what else happens to a
// datagram does not change which are lost.
func TestRelaySeed(t *testing.T) {
	lost := func(o RelayOptions) (numbers []int) {
		r := &relay{options: o, choices: rand.New(rand.NewPCG(o.Seed, 0))}
		r.options.Hold = relayHold
		for i := range 1000 {
			sent := false
			r.pass(nil, func([]byte) { sent = true })
			if !sent {
				numbers = append(numbers, i)
			}
		}
		return numbers
	}
	one := lost(RelayOptions{Seed: 7, Drop: 30})
	if len(one) < 250 || len(one) > 350 {
		t.Errorf("%d of 1000 lost at 30 percent", len(one))
	}
	if again := lost(RelayOptions{Seed: 7, Drop: 30, Duplicate: 50}); !slices.Equal(one, again) {
		t.Error("the same seed lost other datagrams")
	}
	if other := lost(RelayOptions{Seed: 8, Drop: 30}); slices.Equal(one, other) {
		t.Error("another seed lost the same datagrams")
	}
}

func TestRelayTellsClientsApart(t *testing.T) {
	target, sources := echo(t)
	relay := Relay(t, target, RelayOptions{})
	_ = exchange(t, relay, 3, time.Second)
	_ = exchange(t, relay, 3, time.Second)
	seen := map[netip.AddrPort]int{}
	for range 6 {
		seen[<-sources]++
	}
	if len(seen) != 2 {
		t.Errorf("two clients arrived from %d addresses: %v", len(seen), seen)
	}
	for from, n := range seen {
		if n != 3 {
			t.Errorf("%v sent %d datagrams, want 3", from, n)
		}
	}
}

// TestRelayManyClients wants the newest client served however many there were before it.
func TestRelayManyClients(t *testing.T) {
	target, _ := echo(t)
	relay := Relay(t, target, RelayOptions{})
	buf := make([]byte, 16)
	for i := range relayClients + 100 {
		c, err := net.Dial("udp", relay)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("hello"))
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = c.Read(buf)
		_ = c.Close()
		if err != nil {
			t.Fatalf("client %d got no answer: %v", i+1, err)
		}
	}
}
