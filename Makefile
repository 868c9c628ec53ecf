# make demo    build it and run it with everything on loopback
# make test    all tests that end in minutes, against real parts, with the race detector
# make proof   the long ones: every combination, kills, fuzzing; SHARD=unit|e2e|kills|cuts|fuzz|mutants runs one part
# make mutants plant faults in the guards and see that tests kill each one
# make lint    formatting, vet, golangci-lint, known vulnerabilities
# make bench   logins/s and CPU per login beside FreeRADIUS; ROW=1 to ROW=13 makes one row of docs/performance.md
# make screenshots  pictures of every page in both languages and themes, in bin/screenshots
# make soak    the proofs again and again, until stopped
# make setup   the Debian packages that tests need, services kept from starting

SHELL := /bin/bash
export PATH := $(CURDIR)/.bin:$(PATH):/usr/local/go/bin:/usr/sbin:/sbin
export GOTOOLCHAIN ?= auto

version := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
golangci := v2.15.0
govulncheck := v1.9.0

# The packages whose tests run in one process; e2e drives the built program and gains nothing from the race detector. What
# builds programs by itself runs with -count 1: go's cache of results does not see what they are built from.
units = $$(go list ./... | grep -v '/e2e$$')

.PHONY: screenshots build demo setup test proof proof-unit proof-e2e proof-kills proof-cuts proof-fuzz proof-mutants mutants lint bench soak clean

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(version)' -o bin/sekisho ./cmd/sekisho

demo: build
	bin/sekisho demo

setup:
	scripts/setup.sh

screenshots: setup
	mkdir -p bin/screenshots
	SEKISHO_REAL=1 SEKISHO_SHOTS=$(CURDIR)/bin/screenshots go test -count 1 -run '^TestPhone$$' ./cmd/sekisho

test: setup
	SEKISHO_REAL=1 go test -race -timeout 15m $(units)
	SEKISHO_REAL=1 go test -count 1 -timeout 8m ./e2e
	if [ -f bench/go.mod ]; then cd bench && go vet ./... && SEKISHO_REAL=1 go test -count 1 -timeout 4m ./...; fi

# Every shard runs whatever became of those before it; the end says which failed.
proof: setup
	@if [ -n "$(SHARD)" ]; then $(MAKE) proof-$(SHARD); exit; fi; \
	failed=; for shard in $(shards); do \
		begin=$$SECONDS; $(MAKE) --no-print-directory proof-$$shard || failed="$$failed $$shard"; \
		echo "proof: $$shard took $$((SECONDS - begin)) s"; \
	done; \
	if [ -n "$$failed" ]; then echo "--- FAIL: proof:$$failed"; exit 1; fi

shards = unit e2e kills cuts fuzz mutants

proof-unit:
	SEKISHO_REAL=1 SEKISHO_PROOF=1 go test -timeout 9m $(units)

proof-e2e:
	SEKISHO_REAL=1 SEKISHO_PROOF=1 go test -count 1 -timeout 9m -skip '^(TestKill|TestPowerCuts)$$' ./e2e

proof-kills:
	SEKISHO_REAL=1 SEKISHO_PROOF=1 go test -count 1 -timeout 9m -run '^TestKill$$' ./e2e

proof-cuts:
	SEKISHO_REAL=1 SEKISHO_PROOF=1 go test -count 1 -timeout 9m -run '^TestPowerCuts$$' ./e2e

proof-fuzz:
	scripts/fuzz.sh 10s

# Planted faults, each of which a test must notice; the proof plants those that could let somebody in.
proof-mutants:
	go run ./internal/mutants/cmd -only I1,I2,I4

mutants:
	go run ./internal/mutants/cmd

lint:
	scripts/lint.sh $(golangci) $(govulncheck)

bench-rows := code-only,ceiling,password

# Without ROW: what fits into nine minutes together. BENCH takes further flags, such as BENCH="-rounds 1 -length 2s -noisy".
bench:
	scripts/setup.sh freeradius-postgresql postgresql libpam-google-authenticator
	cd bench && go run ./compare -rows $(or $(ROW),$(bench-rows)) $(BENCH)

soak: setup
	while SEKISHO_REAL=1 SEKISHO_PROOF=1 SEKISHO_SOAK=1 go test -count 1 -timeout 24h ./... && scripts/fuzz.sh 10m; do date; done

clean:
	rm -rf bin .bin
