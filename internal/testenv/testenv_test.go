package testenv

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestPort wants ports that the kernel gives nobody by itself, each once.
func TestPort(t *testing.T) {
	lowest := 32768
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		lowest, _ = strconv.Atoi(strings.Fields(string(b))[0])
	}
	seen := map[int]bool{}
	for range 200 {
		p := Port(t)
		if seen[p] || p >= lowest || p < 1024 {
			t.Fatalf("port %d: seen %v, the kernel hands out from %d on", p, seen[p], lowest)
		}
		seen[p] = true
	}
}
