package main

import (
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// A store that let a counter through twice would be measured for work that it does not do.
func TestCompareAndSet(t *testing.T) {
	for name, open := range map[string]func(dir string) (store, error){
		"log":           func(dir string) (store, error) { return openLog(dir, false) },
		"bbolt":         openBolt,
		"sqlite":        func(dir string) (store, error) { return openSQLite("sqlite", dir+"/s.db") },
		"sqlite-append": func(dir string) (store, error) { return openSQLiteAppend("sqlite", dir+"/s.db") },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			if err := s.Load(10); err != nil {
				t.Fatal(err)
			}
			for _, batch := range [][]struct {
				id, counter uint64
				ok          bool
			}{
				{{1, 5, true}, {2, 5, true}},
				{{1, 5, false}, {2, 4, false}, {1, 6, true}},
				{{1, 6, false}, {2, 6, true}, {3, 1, true}, {3, 1, false}},
			} {
				var ops []*op
				for _, b := range batch {
					ops = append(ops, &op{ID: b.id, Counter: b.counter})
				}
				if err := s.Commit(ops); err != nil {
					t.Fatal(err)
				}
				for i, b := range batch {
					if ops[i].OK != b.ok {
						t.Errorf("token %d, counter %d: %v, want %v", b.id, b.counter, ops[i].OK, b.ok)
					}
				}
			}
			b := &bench{name: name, store: s, tokens: 10, counter: 1000}
			if r := b.groupCommit(1000, 50, 50*time.Millisecond); r.Ops != 50 || r.Refused != 0 || r.Commits < 1 {
				t.Errorf("group commit: %+v", r)
			}
		})
	}
}
