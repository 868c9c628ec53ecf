#!/usr/bin/env bash
# Runs every fuzz target of the module for a while, one after the other, and fails at the end if one failed.
# usage: fuzz.sh TIME
set -uo pipefail
time=${1:?usage: fuzz.sh TIME}
status=0
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" 2>/dev/null | grep '^Fuzz'); do
    echo "fuzz: $package $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || status=1
  done
done
exit $status
