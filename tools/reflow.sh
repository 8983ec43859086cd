#!/bin/sh
# Breaks the lines that are too long (110 characters), in the files given or in all C++ files, and touches nothing else.
# Usage: tools/reflow.sh [FILE]...        needs clang-format
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
command -v clang-format >/dev/null || { echo "$0: clang-format is missing (apt-get install clang-format)" >&2; exit 1; }
if [ $# -eq 0 ]; then
  set -- $(find include src tests bench fuzz -name node_modules -prune -o \( -name '*.h' -o -name '*.inl' -o -name '*.cpp' \) -print)
fi
for file; do
  lines=$(grep -nE '^.{111,}' "$file" | sed -E 's/^([0-9]+):.*/--lines=\1:\1/') || true
  [ -n "$lines" ] || continue
  clang-format -i $lines "$file"   # unquoted: one argument a line
  echo "$file"
done
