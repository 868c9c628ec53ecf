package storage

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		child()
		return
	}
	if os.Getenv(importVar) != "" {
		importChild()
		return
	}
	os.Exit(m.Run())
}
