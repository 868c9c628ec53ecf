// store measures durable compare-and-set of used counters: the change that must be on disk before an Access-Accept may
// leave. Every store does the same thing, `update token set last_counter=$1 where id=$2 and last_counter<$1`, over a table
// of -tokens rows, and says for each change whether it was applied. One committer takes what is waiting, at most -batch
// changes, makes it durable in one transaction, and then answers all of it (group commit).
//
//	store -store log-prealloc|log|bbolt|sqlite|sqlite-append -dir FOLDER
//	store -store pg-row|pg-pipeline|pg-unnest|pg-append -dir CONNECTION-STRING -load
package main

import _ "modernc.org/sqlite"

func main() {
	measure(map[string]func(dir string) (store, error){
		"log":           func(dir string) (store, error) { return openLog(dir, false) },
		"log-prealloc":  func(dir string) (store, error) { return openLog(dir, true) },
		"bbolt":         openBolt,
		"sqlite":        func(dir string) (store, error) { return openSQLite("sqlite", dir+"/sqlite.db") },
		"sqlite-append": func(dir string) (store, error) { return openSQLiteAppend("sqlite", dir+"/sqlite-append.db") },
		"pg-row":        func(dsn string) (store, error) { return openPG(dsn, pgRow) },
		"pg-pipeline":   func(dsn string) (store, error) { return openPG(dsn, pgPipeline) },
		"pg-unnest":     func(dsn string) (store, error) { return openPG(dsn, pgUnnest) },
		"pg-append":     func(dsn string) (store, error) { return openPG(dsn, pgAppend) },
	})
}
