// Package e2e holds tests that drive the built program from outside: RADIUS from real clients, a real directory, the
// commands, signals and the file system. They need root for network namespaces and the Debian packages that `make setup`
// installs; `go test` leaves out aloud what it cannot run.
package e2e
