#!/bin/sh
# Runs every benchmark program, one after the other. Usage: tools/bench.sh [OPTION]...
set -eu
cd "$(dirname "$0")/.."
count=0
for program in build/bench/bench/*; do
  [ -f "$program" ] && [ -x "$program" ] || continue
  count=$((count + 1))
  echo "== $program"
  "$program" "$@"
done
[ $count -gt 0 ] || { echo "tools/bench.sh: nothing to run in build/bench/bench" >&2; exit 1; }
