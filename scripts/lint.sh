#!/usr/bin/env bash
# Formatting, go vet, golangci-lint, and known vulnerabilities where their database can be reached.
# usage: lint.sh GOLANGCI_VERSION GOVULNCHECK_VERSION
set -uo pipefail
status=0
bin=$PWD/.bin
mkdir -p "$bin"

have() { # have TOOL MODULE VERSION: builds the tool into .bin unless that very version is there
  if [ "$(go version -m "$bin/$1" 2>/dev/null | awk '$1 == "mod" {print $3}')" != "$3" ]; then
    echo "lint: building $1 $3"
    GOBIN=$bin go install "$2@$3" || return 1
  fi
}

unformatted=$(git ls-files -- '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
  printf 'lint: gofmt would change:\n%s\n' "$unformatted"
  status=1
fi
go vet ./... || status=1
have golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint "$1" && "$bin/golangci-lint" run ./... || status=1
if [ -f bench/go.mod ]; then
  (cd bench && go vet ./...) || status=1
fi
if have govulncheck golang.org/x/vuln/cmd/govulncheck "$2"; then
  out=$("$bin/govulncheck" ./... 2>&1)
  code=$?
  if [ $code -ne 0 ] && grep -q 'fetching vulnerabilities\|dial tcp\|no such host\|vuln.go.dev.*\(4\|5\)[0-9][0-9]' <<<"$out"; then
    echo "lint: LEFT OUT: govulncheck cannot reach its database"
  else
    printf '%s\n' "$out"
    [ $code -eq 0 ] || status=1
  fi
else
  status=1
fi
exit $status
