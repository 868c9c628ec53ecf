#!/usr/bin/env bash
# Runs every fuzz target of the module for a while, one after the other, and fails at the end if one failed.
# usage: fuzz.sh TIME
set -uo pipefail
time=${1:?usage: fuzz.sh TIME}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz PACKAGE TARGET. What is only interesting is hardly made smaller: that takes up to a minute of the time each.
fuzz() {
  go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 100x "$1" 2>&1 | tee "$log"
}

# When the time ends just while the go command makes an input smaller it calls that a failure (context deadline exceeded)
# and names no input. A finding of ours always leaves one, or the output of a panic.
cut_off() {
  grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input written|panic:|_test\.go:' "$log"
}

status=0
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" 2>/dev/null | grep '^Fuzz'); do
    echo "fuzz: $package $target"
    if ! fuzz "$package" "$target"; then
      if cut_off; then
        echo "fuzz: $package $target was cut off by its own end; once more"
        fuzz "$package" "$target" || status=1
      else
        status=1
      fi
    fi
  done
done
exit $status
