#!/bin/sh
# A context of a million tokens: reads this project's text with ten records hidden in it, one in each tenth, into a
# session on disk; then asks for each of them in a process of its own. A table in Markdown. Killed and started again, it
# goes on where it was.
# Usage: bench/million.sh MODEL FOLDER [TOKENS]    1048576 tokens if not given; FOLDER keeps the text and the session
# From the environment: BINARY, THREADS (all cores), SIZES ("--hot 256MiB --warm 256MiB"; the default split if not given).
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
model=$1 folder=$2 tokens=${3:-1048576}
binary=${BINARY:-build/release/mneme} sizes=${SIZES:-}
[ -f "$model" ] || { echo "$model: no such model file" >&2; exit 1; }
[ -x "$binary" ] || { echo "$binary: not built (make build)" >&2; exit 1; }
mkdir -p "$folder"

names="amber-falcon quiet-harbor copper-lantern silver-meadow wooden-compass
  distant-orchard crimson-anchor gentle-glacier hidden-temple yellow-saddle"
# The same digits every time: 7 of each name's checksum.
code_of() { printf %s "$1" | cksum | awk '{ printf "%07d", $1 % 10000000 }'; }

# As many bytes as make TOKENS, in ten pieces, a record in the middle of each; 2,000 tokens are left for questions.
make_text() {
  find src docs include -type f \( -name '*.cpp' -o -name '*.h' -o -name '*.md' \) | sort | xargs cat >"$folder/source"
  head -c 400000 "$folder/source" >"$folder/sample"
  per_token=$("$binary" tokenize -m "$model" -f "$folder/sample" --no-specials | wc -w | awk '{ print 400000 / $1 }')
  bytes=$(awk "BEGIN { printf \"%d\", ($tokens - 2000) * $per_token / 10 }")
  while [ "$(wc -c <"$folder/source")" -lt $((bytes * 10)) ]; do
    cat "$folder/source" "$folder/source" >"$folder/longer"
    mv "$folder/longer" "$folder/source"
  done
  piece=0
  for name in $names; do
    for half in 0 1; do
      tail -c +$((piece * bytes + half * (bytes / 2) + 1)) "$folder/source" | head -c $((bytes / 2)) || true
      if [ $half = 0 ]; then printf '\nThe access code for %s is %s.\n' "$name" "$(code_of "$name")"; fi
    done
    piece=$((piece + 1))
  done >"$folder/text.new"
  rm "$folder/source" "$folder/sample"
  mv "$folder/text.new" "$folder/text"
}
[ -f "$folder/text" ] || make_text

# ask NAME OPTION...: the report in NAME.json
ask() {
  name=$1
  shift
  # shellcheck disable=SC2086
  "$binary" run -m "$model" ${THREADS:+-t "$THREADS"} --temp 0 -n 24 --ask --json --cold-dir "$folder/store" --session million \
    $sizes -p "What is the access code for $name?" "$@" >"$folder/$name.json.new"
  if grep -q '"stop": "cancelled"' "$folder/$name.json.new"; then
    echo "interrupted; the same command goes on" >&2
    exit 1
  fi
  mv "$folder/$name.json.new" "$folder/$name.json"
}
# field NAME KEY [SECTION]: a value of a report; of the first KEY behind SECTION
field() {
  awk -v key="\"$2\":" -v section="\"${3:-}\":" '
    !inside && (section == "\"\":" || $1 == section) { inside = 1 }
    inside && $1 == key { sub(/^[^:]*: */, ""); sub(/,$/, ""); print; exit }' "$folder/$1.json"
}
mega() { awk "BEGIN { printf \"%.1f\", $1 / 1e6 }"; }

first=yes right=0 count=0
for name in $names; do
  if [ ! -f "$folder/$name.json" ]; then
    if [ $first = yes ]; then ask "$name" -f "$folder/text"; else ask "$name"; fi
  fi
  if [ $first = yes ]; then
    first=no
    echo "$(field "$name" tokens prefill) tokens read in $(printf %.1f "$(field "$name" seconds prefill)") s," \
      "$(mega "$(field "$name" kv_bytes)") MB of keys and values in memory at the end, peak memory $(mega "$(field "$name" rss_peak_bytes)") MB; sizes: ${sizes:-default}"
    echo
    echo "| depth | record | answer | first token, s | tokens/s | peak memory, MB |"
    echo "|---|---|---|---:|---:|---:|"
  fi
  count=$((count + 1))
  answer=$(field "$name" text)
  case $answer in *"$(code_of "$name")"*) right=$((right + 1)) ;; esac
  printf '| 0.%d5 | %s %s | %s | %.2f | %.2f | %s |\n' $((count - 1)) "$name" "$(code_of "$name")" "$answer" \
    "$(field "$name" seconds prefill)" "$(field "$name" tokens_per_second decode)" "$(mega "$(field "$name" rss_peak_bytes)")"
done
echo
echo "$right of $count right."
