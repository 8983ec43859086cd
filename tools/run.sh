#!/bin/sh
# make run: shows the program at work. From the environment: MODEL, FILES (between blanks), PROMPT, N, ASK.
set -eu
cd "$(dirname "$0")/.."
model=$MODEL count=$N prompt=$PROMPT
set -f
set -- $FILES
[ -f "$model" ] || { echo "$model: no such model file (make run MODEL=path/to/model.gguf)" >&2; exit 1; }
bytes=0
for file; do
  [ -f "$file" ] || { echo "$file: no such file (make run FILES=\"a b\")" >&2; exit 1; }
  bytes=$((bytes + $(wc -c <"$file")))
done
files=$#
for file; do
  shift
  set -- "$@" -f "$file"
done
echo "Model:   $model"
[ "$files" = 1 ] && noun=file || noun=files
echo "Context: $files $noun, $bytes bytes, then the prompt: $prompt"
case $model in
  *fixture.gguf) echo "Note:    the fixture's weights are random: what follows shows that everything works, and is noise as text." ;;
esac
how=""
[ "${ASK:-1}" = 0 ] || how="--ask --temp 0"
echo "Running: build/release/mneme run $how -m $model -f ... -p '$prompt' -n $count"
echo
exec build/release/mneme run $how -m "$model" "$@" -p "$prompt" -n "$count"
