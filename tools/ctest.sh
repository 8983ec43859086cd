#!/bin/sh
# Runs the tests of a preset, then shows what the failed ones said, without what went well in them, and says which
# were skipped and why. Status: that of ctest.
# Usage: tools/ctest.sh PRESET [CTEST_OPTION]...
set -eu
cd "$(dirname "$0")/.."
preset=$1
shift
# ThreadSanitizer cannot place its shadow where address randomisation is strong (vm.mmap_rnd_bits > 28).
plain=""
[ "$preset" != tsan ] || ! setarch -R true 2>/dev/null || plain="setarch -R"
status=0
$plain ctest --preset "$preset" -j2 --timeout 1800 "$@" || status=$?
log=build/$preset/Testing/Temporary/LastTest.log
[ "$status" = 0 ] || awk '
  /^[0-9]+\/[0-9]+ Testing: / { name = $3; text = "" }
  /^\[ RUN      \]|^\[       OK \]|^\[-----|^$/ { next }
  { text = text "  " $0 "\n" }
  /^Test Passed\.$/ { name = "" }
  /^<end of output>$/ { ended = text }
  /end time:/ && name != "" { print "failed: " name "\n" ended }' "$log"
# GoogleTest writes FILE:LINE: Skipped, the reason, then [  SKIPPED ] NAME (TIME).
awk '/: Skipped$/ { getline reason; next }
     /^\[  SKIPPED \] .*\(/ { line = $4 ": " reason; if (!seen[line]++) skipped[++count] = line }
     END { if (count) print count " skipped:"; for (i = 1; i <= count; ++i) print "  " skipped[i] }' \
  "$log"
exit $status
