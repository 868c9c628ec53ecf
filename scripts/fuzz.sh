#!/usr/bin/env bash
# Runs every fuzz target of the module for a while, two at a time, and fails at the end if one failed.
# usage: fuzz.sh TIME [PACKAGE TARGET]   TIME of each target, such as 10s; with PACKAGE and TARGET that one alone
set -uo pipefail
time=${1:?usage: fuzz.sh TIME [PACKAGE TARGET]}

# When the time ends just while the go command makes an input smaller it calls that a failure (context deadline exceeded)
# and names no input. A finding of ours always leaves one, or the output of a panic.
cut_off() {
  grep -q 'context deadline exceeded' "$1" && ! grep -qE 'Failing input written|panic:|_test\.go:' "$1"
}

# one PACKAGE TARGET. What is only interesting is hardly made smaller: that takes up to a minute of the time each.
one() {
  local log status
  log=$(mktemp)
  trap 'rm -f "$log"' RETURN
  for try in 1 2; do
    go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 100x -parallel 1 "$1" >"$log" 2>&1
    status=$?
    if [ $status -eq 0 ]; then
      printf 'fuzz: %-26s %-28s %s\n' "$1" "$2" "$(grep -o 'execs: [0-9]*' "$log" | tail -1)"
      return 0
    fi
    if [ "$try" -eq 1 ] && cut_off "$log"; then
      echo "fuzz: $1 $2 was cut off by its own end; once more"
      continue
    fi
    break
  done
  printf -- '--- FAIL: fuzz %s %s\n%s\n' "$1" "$2" "$(tail -60 "$log")"
  return 1
}

if [ $# -eq 3 ]; then
  one "$2" "$3"
  exit
fi
# Listing builds each package's tests once; the build cache serves the runs.
for package in $(go list ./...); do
  go test -list '^Fuzz' "$package" 2>/dev/null | grep '^Fuzz' | sed "s|^|$package |"
done | xargs -P 2 -L 1 "$0" "$time"
