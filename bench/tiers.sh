#!/bin/sh
# What the cold tier costs and gives: one text read with everything in memory and with tiers, then the stored session
# opened again, beside dd on the same disk. A table in Markdown.
# Usage: bench/tiers.sh MODEL [TOKENS]      about so many tokens of context; 8192 if not given
# From the environment: BINARY, THREADS (1), COLD (a folder on the disk to measure, made and removed), SIZES (say
# "--hot 256MiB --warm 0"; the default split if not given), TEXTS (files that the text is made of).
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
model=$1 tokens=${2:-8192}
binary=${BINARY:-build/release/mneme} threads=${THREADS:-1} sizes=${SIZES:-}
cold=${COLD:-build/bench-tiers}
texts=${TEXTS:-"README.md ARCHITECTURE.md CHANGELOG.md docs/*/*.md src/kv/*.cpp"}
decode=64
[ -f "$model" ] || { echo "$model: no such model file" >&2; exit 1; }
[ -x "$binary" ] || { echo "$binary: not built (make build)" >&2; exit 1; }
[ ! -e "$cold" ] || { echo "$cold: is there already, and would be removed" >&2; exit 1; }
mkdir -p "$cold"
trap 'rm -rf "$cold"' EXIT
trap 'exit 1' INT TERM

# run NAME OPTION...: one run of the program; its report in NAME.json, its wall seconds in NAME.wall
run() {
  name=$1
  shift
  begin=$(date +%s.%N)
  "$binary" run -m "$model" -t "$threads" --temp 0 --ignore-eos --json "$@" >"$cold/$name.json" 2>"$cold/$name.err" ||
    { cat "$cold/$name.err" >&2; exit 1; }
  end=$(date +%s.%N)
  echo "$begin $end" | awk '{ print $2 - $1 }' >"$cold/$name.wall"
}
# field NAME KEY [SECTION]: a number of a report; of the first KEY behind SECTION
field() {
  awk -v key="\"$2\":" -v section="\"${3:-}\":" '
    !inside && (section == "\"\":" || $1 == section) { inside = 1 }
    inside && $1 == key { sub(",", "", $2); print $2; exit }' "$cold/$1.json"
}
wall() { cat "$cold/$1.wall"; }
calc() { awk "BEGIN { printf \"$1\", $2 }"; }
# MB/s of the last line of dd
dd_speed() {
  awk 'END { for (i = 2; i < NF; ++i) if ($i == "copied,") print $1 / $(i + 1) / 1e6 }'
}

# The text: as many bytes as so many tokens take of it.
# shellcheck disable=SC2086
cat $texts >"$cold/source"
head -c 20000 "$cold/source" >"$cold/sample"
run sample -f "$cold/sample" -n 1
bytes=$(calc %d "$tokens * $(wc -c <"$cold/sample") / $(field sample tokens prefill)")
while [ "$(wc -c <"$cold/source")" -lt "$bytes" ]; do
  cat "$cold/source" "$cold/source" >"$cold/longer"
  mv "$cold/longer" "$cold/source"
done
head -c "$bytes" "$cold/source" >"$cold/text"
rm "$cold/source"

run empty -p x -n 1
run memory -f "$cold/text" -n $decode
# shellcheck disable=SC2086
run tiered -f "$cold/text" -n $decode --cold-dir "$cold/store" --session bench $sizes
# shellcheck disable=SC2086
run resumed -p x -n 1 --cold-dir "$cold/store" --session bench $sizes

megabytes=$(calc %d "$(field tiered bytes_written) / 1e6 + 64")
LC_ALL=C dd if=/dev/zero of="$cold/dd" bs=1M count="$megabytes" oflag=direct 2>"$cold/dd.write"
LC_ALL=C dd if="$cold/dd" of=/dev/null bs=1M iflag=direct 2>"$cold/dd.read"
rm "$cold/dd"

kv=$(field memory kv_bytes) rss=$(field empty rss_peak_bytes)
row() { printf '| %s | %s | %s | %s |\n' "$@"; }
echo "$model, $(field memory tokens prefill) tokens, keys and values $(calc '%.1f MB' "$kv / 1e6"), $threads threads; sizes: ${sizes:-default}"
echo
row "" "in memory" "tiered" "tiered / memory"
row --- ---: ---: ---:
for what in prefill decode; do
  a=$(field memory tokens_per_second $what) b=$(field tiered tokens_per_second $what)
  row "$what, tok/s" "$(calc %.1f "$a")" "$(calc %.1f "$b")" "$(calc %.3f "$b / $a")"
done
a=$(calc %.0f "$(field memory rss_peak_bytes) - $rss") b=$(calc %.0f "$(field tiered rss_peak_bytes) - $rss")
row "peak memory above an empty context, MB" "$(calc %.1f "$a / 1e6")" "$(calc %.1f "$b / 1e6")" "$(calc %.3f "$b / $a")"
a=$(field memory seconds prefill) b=$(field resumed seconds prefill)
row "first new token, s (computed; resumed)" "$(calc %.3f "$a")" "$(calc %.3f "$b")" "$(calc %.4f "$b / $a")"
a=$(wall memory) b=$(wall resumed)
row "whole run, s, of which an empty one takes $(calc %.2f "$(wall empty)")" "$(calc %.2f "$a")" "$(calc %.2f "$b")" \
  "$(calc %.3f "$b / $a")"
echo
row "" "mneme" "dd, direct" "mneme / dd"
row --- ---: ---: ---:
written=$(field tiered bytes_written) read=$(field resumed bytes_read storage)
a=$(calc %.1f "$written / 1e6 / $(field tiered seconds prefill)") b=$(dd_speed <"$cold/dd.write")
row "written while reading the text, MB/s" "$a" "$(calc %.1f "$b")" "$(calc %.3f "$a / $b")"
a=$(calc %.1f "$read / 1e6 / ($(field resumed read_s storage) + 1e-9)") b=$(dd_speed <"$cold/dd.read")
row "read while resuming, MB/s ($(calc %.1f "$read / 1e6") MB)" "$a" "$(calc %.1f "$b")" "$(calc %.3f "$a / $b")"
echo
echo "Written: $(calc %.1f "$written / 1e6") MB, $(calc %.3f "$written / $kv") of the keys and values;" \
  "found by the resumed run: $(field resumed tokens_found) tokens; the disk was waited for" \
  "$(calc %.3f "$(field tiered stalled_s)") s and $(calc %.3f "$(field resumed stalled_s)") s."
