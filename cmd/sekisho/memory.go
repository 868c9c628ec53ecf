package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// garbageRoom is how much garbage may gather between two collections, in octets.
const garbageRoom = 8 << 20

// settleMemory gives back what loading the database took and sets how far the heap may grow from here.
//
// Go lets the heap double before it collects: with a million tokens, hundreds of megabytes of garbage that nobody misses.
// What lives here is nearly all packed records without pointers, which a collection does not even look at, and a login leaves
// no garbage. So the room for garbage is a fixed size, whatever the number of tokens: collections stay rare because little
// is allocated, and cheap because little is scanned. Who set GOGC or GOMEMLIMIT knows better and is left alone.
func settleMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		debug.SetGCPercent(gcPercent(m.HeapAlloc))
	}
	debug.FreeOSMemory()
}

// gcPercent is the growth that leaves garbageRoom over a live heap: at most Go's own 100, at least 4.
func gcPercent(live uint64) int {
	return int(min(100, max(4, garbageRoom*100/max(live, 1))))
}
