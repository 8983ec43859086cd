#!/bin/sh
# Runs every fuzzer for some seconds from its seeds (fuzz/corpus/NAME); stops at the first finding, which is left in
# build/fuzz/found/NAME. Usage: tools/fuzz.sh SECONDS
set -eu
cd "$(dirname "$0")/.."
for program in build/fuzz/fuzz/fuzz_*; do
  [ -f "$program" ] && [ -x "$program" ] || continue
  name=${program##*/fuzz_}
  found=build/fuzz/found/$name
  mkdir -p "$found/inputs" "fuzz/corpus/$name"
  echo "== $program, $1 seconds"
  "$program" -max_total_time="$1" -timeout=10 -artifact_prefix="$found/" "$found/inputs" "fuzz/corpus/$name" 2>"$found/log" ||
    { tail -n 40 "$found/log" >&2; echo "$program found something: see $found" >&2; exit 1; }
  tail -n 1 "$found/log"
done
