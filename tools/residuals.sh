#!/bin/bash
# Trains the residual kinds beside each other (docs/experiments/residuals.md): every run in OUT/NAME, most
# telling ones first. May be killed at any moment and started again with the same arguments: it goes on.
#   tools/residuals.sh OUT [WORKERS] [CORES]    WORKERS runs at a time (1), on these CORES (0,1: one each)
#   tools/residuals.sh --list OUT               what would be run, and how long it would take
# From the environment: CORPUS (folder of tools/corpus.sh), VOCABULARY (vocab-320.bpe of it), MNEME_TRAIN (the
# program), STEPS (of a full run), KV_HEADS, WIDE (dim and ffn-dim of the wider plain model), LEVEL (nice), EARLIER
# (docs/experiments/residuals.csv: runs whose figures it has are not run again).
# `mneme-train compare OUT` makes tables and plots of what is there.
set -euo pipefail
list=
if [ "${1:-}" = --list ]; then list=1; shift; fi
[ $# -ge 1 ] && [ $# -le 3 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
workers=${2:-1}
IFS=, read -ra cores <<< "${3:-}"
program=${MNEME_TRAIN:-$root/build/release/mneme-train}
corpus=${CORPUS:-$root/corpus}
vocabulary=${VOCABULARY:-$corpus/vocab-320.bpe}
steps=${STEPS:-600}
kv_heads=${KV_HEADS:-4}
read -r wide_dim wide_ffn <<< "${WIDE:-160 480}"
level=${LEVEL:-15}
earlier=${EARLIER:-/dev/null}
[ -r "$earlier" ] || { echo "tools/residuals.sh: $earlier: cannot be read" >&2; exit 2; }
export OMP_NUM_THREADS=1
if grep -qw avx512bw /proc/cpuinfo; then export ATEN_CPU_CAPABILITY=${ATEN_CPU_CAPABILITY:-avx512}; fi
search_steps=$((steps / 4))  # of a run in the search for a rate

# --- The experiment ---

# Most telling first. "best" is the rate that the kind's own search found.
everything() {
  stage step_times
  stage search plain mhc muon-vr-mhc alpha muon-vr mhc-identity
  stage first_seed plain mhc muon-vr-mhc muon-vr mhc-identity alpha
  stage first_schedules
  stage more_seeds plain mhc muon-vr-mhc alpha
  stage more_schedules
  stage depth
  stage more_seeds muon-vr
  stage controls
  stage other_kinds
  stage higher_rates
}

# A few steps of each kind in turn, one run at a time: what a step costs, whatever else the machine does.
step_times() {
  local round kind
  one_at_a_time
  for round in 1 2 3; do
    for kind in plain mhc mhc-identity muon-vr muon-vr-mhc alpha wide; do
      job "$kind" time 16 1 "$round" 10
    done
    for kind in plain mhc; do job "$kind" time 32 1 "$round" 6; done
  done
  wait_for_all
}

# The same three rates for every kind; where the best is the lowest or the highest, the next one beyond it too,
# twice at most. Rates are factors of 0.004 (AdamW) and 0.02 (Muon).
search() {
  local kind rate
  for kind; do
    for rate in 0.5 1 2; do job "$kind" rate 16 "$rate" 1 $search_steps; done
  done
  wait_for_all
  for rate in 4 0.25 8 0.125; do
    for kind; do
      if wants_rate "$kind" "$rate"; then job "$kind" rate 16 "$rate" 1 $search_steps; fi
    done
    wait_for_all
  done
  for kind; do choose_rate "$kind"; done
}

full() { job "$1" full "$2" best "$3" "$steps"; }  # KIND LAYERS SEED

first_seed() {
  local kind
  for kind; do full "$kind" 16 1; done
}

# Each run to the end of a schedule of its own, around where plain's loss is expected.
first_schedules() {
  shorter mhc 1 70 80 90
  shorter muon-vr-mhc 1 40 50 60 90
  shorter muon-vr 1 50 60 70
}

shorter() {  # KIND SEED PERCENT...
  local kind=$1 seed=$2 percent
  shift 2
  for percent; do job "$kind" short 16 best "$seed" $((steps * percent / 100)); done
}

more_seeds() {
  local seed kind
  for seed in 2 3; do
    for kind; do full "$kind" 16 "$seed"; done
  done
}

# Twice as deep, at the rate that was found at 16 layers.
depth() {
  full plain 32 1
  full mhc 32 1
  job mhc short 32 best 1 $((steps * 80 / 100))
  job mhc short 32 best 1 $((steps * 70 / 100))
}

# What could explain a gain of mhc but its mixing: width, the embedding, the values. And Muon alone.
controls() {
  search wide x0 vr muon
  for kind in wide x0 vr muon; do full "$kind" 16 1; done
  shorter mhc-identity 1 80 90
}

other_kinds() {
  search hc mhc-lite layerscale rezero
  for kind in hc mhc-lite layerscale rezero; do full "$kind" 16 1; done
}

# Does a kind bear more than the search gave it?
higher_rates() {
  local kind rate
  for kind in plain alpha mhc muon-vr-mhc; do
    for rate in 4 8 16; do job "$kind" rate 16 "$rate" 1 $search_steps; done
  done
}

more_schedules() {
  local seed
  for seed in 2 3; do
    shorter muon-vr-mhc "$seed" 50 60
    shorter mhc "$seed" 80 90
  done
}

# What a kind is, as options of `mneme-train run`.
kind_options() {
  case $1 in
    plain | alpha | rezero | layerscale | hc | mhc | mhc-lite | mhc-identity) echo "residual=$1" ;;
    wide) printf 'residual=plain\ndim=%s\nffn-dim=%s\n' "$wide_dim" "$wide_ffn" ;;
    x0) printf 'residual=plain\nembedding-mix=1\n' ;;
    vr) printf 'residual=plain\nvalue-residual=1\n' ;;
    muon) printf 'residual=plain\nmuon=1\n' ;;
    muon-vr) printf 'residual=plain\nmuon=1\nvalue-residual=1\n' ;;
    muon-vr-mhc) printf 'residual=mhc\nmuon=1\nvalue-residual=1\n' ;;
    *) echo "tools/residuals.sh: $1: no such kind" >&2; exit 1 ;;
  esac
}

# Everything that a run is told but for its place. Later lines win.
run_options() {  # KIND LAYERS RATE SEED STEPS
  cat <<OPTIONS | awk -F= '{ if (!($1 in value)) names[++n] = $1; value[$1] = $2 }
                           END { print "[run]"; for (i = 1; i <= n; ++i) print names[i] "=" value[names[i]] }'
residual=plain
dim=128
layers=$2
heads=4
kv-heads=$kv_heads
head-dim=32
ffn-dim=384
window=256
context-length=256
sinks=0
tied=0
value-residual=0
embedding-mix=0
muon=0
matrix-rate=$(awk "BEGIN { print 0.02 * $3 }")
adam-rate=$(awk "BEGIN { print 0.004 * $3 }")
warmup=$((steps / 12))
seed=$4
steps=$5
tokens-per-step=4096
stages=0:256
task-share=0
validate-every=$((steps / 12))
validation-rows=$(($5 < 20 ? 4 : 64))
bf16=1
fused=1
threads=1
$(kind_options "$1")
OPTIONS
}

# --- How it is carried out ---

declare -A name_of=() core_of=() began=()  # of running processes
free_cores=()
planning='' jobs=0 at_once=$workers
total=0 remaining=0 spent=0 expected_of_spent=0   # seconds of one worker
failed=()

# Seconds of a step; before the first run is measured, those of one core of a server of 2023.
step_seconds() {  # KIND LAYERS
  local log
  log=$(compgen -G "$out/$1.time.l$2.*/log.csv" | head -n 1) || true
  if [ -n "$log" ] && [ "$(wc -l < "$log")" -gt 4 ]; then
    awk -F, 'NR == 3 { from = $7 } NR > 3 { to = $7; n++ } END { print (to - from) / n }' "$log"
    return
  fi
  local factor=1
  case $1 in
    mhc-identity | muon | muon-vr) factor=1.1 ;;
    hc | mhc | mhc-lite | wide) factor=1.15 ;;
    muon-vr-mhc) factor=1.3 ;;
  esac
  awk "BEGIN { print 1.6 * $factor * $2 / 16 }"
}

stage() {
  "$@"
  if [ -n "$planning" ]; then printf 'up to and with "%s": %.1f hours\n' "$*" "$(hours "$total")"; fi
}

hours() { awk "BEGIN { print $1 / 3600 / $workers }"; }
sum() { awk "BEGIN { print $1 }"; }

# One run of the experiment: in the plan its price, else the run itself.
job() {  # KIND GROUP LAYERS RATE SEED STEPS
  local kind=$1 group=$2 layers=$3 rate=$4 seed=$5 count=$6 price
  price=$(sum "$count * $(step_seconds "$kind" "$layers") * 1.06 + 4")  # validation; start
  if known_run "$kind.$group.l$layers.x${rate/best/[0-9.]+}.s$seed.$count"; then return 0; fi
  if [ -n "$planning" ]; then
    jobs=$((jobs + 1))
    total=$(sum "$total + $price")
    echo "$kind $group $layers $seed $count" >> "$out/plan.txt.new"
    [ -z "$list" ] || printf '%-14s %-5s %2d layers  rate x %-4s  seed %d  %4d steps  %5.0f s\n' \
      "$kind" "$group" "$layers" "$rate" "$seed" "$count" "$price"
    return 0
  fi
  if [ "$rate" = best ]; then rate=$(chosen_rate "$kind"); fi
  local name=$kind.$group.l$layers.x$rate.s$seed.$count options
  options=$(run_options "$kind" "$layers" "$rate" "$seed" "$count")
  check_options "$out/$name" "$options"
  if [ -e "$out/$name/finished" ]; then
    remaining=$(sum "$remaining - $price")
    return 0
  fi
  while [ "${#name_of[@]}" -ge "$at_once" ]; do wait_for_one; done
  launch "$name" "$options" "$price"
}

# "NAME LOSS" of the runs whose figures EARLIER has; a field in quotes may hold commas, the last six do not.
earlier_runs() {
  awk -F, 'NR > 1 && NF >= 12 && $(NF - 5) == $(NF - 5) + 0 { print $1, $(NF - 5) }' "$earlier"
}

known_run() { earlier_runs | grep -E "^${1//./\\.} " > /dev/null; }  # NAME; its rate may be a pattern

# Runs of different experiments do not mix.
check_options() {  # FOLDER OPTIONS
  [ -e "$1/options.ini" ] && [ "$(cat "$1/options.ini")" != "$2" ] || return 0
  echo "$1 was begun with other options: remove it, or set STEPS, KV_HEADS, ... as they were" >&2
  stop_all
  exit 1
}

launch() {  # NAME OPTIONS PRICE
  local folder=$out/$1 on=()
  mkdir -p "$folder"
  echo "$2" > "$folder/options.ini"
  local core=
  if [ "${#free_cores[@]}" -gt 0 ]; then
    core=${free_cores[0]}
    free_cores=("${free_cores[@]:1}")
    on=(taskset -c "$core")
  fi
  "${on[@]}" nice -n "$level" "$program" --options "$folder/options.ini" run --out "$folder" \
    --corpus "$corpus" --vocabulary "$vocabulary" > "$folder/output.txt" 2>&1 < /dev/null &
  name_of[$!]="$1 $3"
  core_of[$!]=$core
  began[$!]=$SECONDS
}

wait_for_one() {
  local process status=0 name price
  wait -n -p process "${!name_of[@]}" || status=$?
  read -r name price <<< "${name_of[$process]}"
  local seconds=$((SECONDS - began[$process]))
  if [ -n "${core_of[$process]}" ]; then free_cores+=("${core_of[$process]}"); fi
  unset "name_of[$process]" "core_of[$process]" "began[$process]"
  if [ "$status" != 0 ]; then
    failed+=("$name")
    echo "$name FAILED: $(tail -n 1 "$out/$name/output.txt")"
    return 0
  fi
  touch "$out/$name/finished"
  rm -f "$out/$name/checkpoint.pt"  # the figures are what is wanted
  remaining=$(sum "$remaining - $price")
  spent=$(sum "$spent + $seconds")
  expected_of_spent=$(sum "$expected_of_spent + $price")
  printf '%s  %-38s held-out loss %.4f  %4d s%s\n' "$(date +%H:%M)" "$name" "$(final_loss "$out/$name")" \
    "$seconds" "$(awk "BEGIN { h = $(hours "$remaining") * $spent / $expected_of_spent
                              if (h > 0) printf \"  about %.1f h left\", h }")"
}

wait_for_all() {
  while [ "${#name_of[@]}" -gt 0 ]; do wait_for_one; done
  at_once=$workers
}

one_at_a_time() {
  wait_for_all
  at_once=1
}

final_loss() { tail -n 1 "$1/validation.csv" | cut -d, -f3; }

# "RATE LOSS" of every rate tried in the search, the best first; diverged ones are left out.
rates_tried() {  # KIND
  local folder rate
  {
    for folder in "$out/$1".rate.l16.x*.s1."$search_steps"; do
      [ -e "$folder/finished" ] || continue
      rate=${folder##*.x}
      rate=${rate%.s1.*}
      echo "$rate $(final_loss "$folder")"
    done
    earlier_runs | sed -n "s/^$1\.rate\.l16\.x\([0-9.]*\)\.s1\.$search_steps /\1 /p"
  } | awk '$2 == $2 + 0' | sort -g -k 2
}

# The best rate so far is the last one on the side of this one.
wants_rate() {  # KIND RATE
  [ -z "$planning" ] && [ ! -e "$out/rate-$1.txt" ] || return 1
  rates_tried "$1" | awk -v next_rate="$2" '
    NR == 1 { best = low = high = $1 }
    { if ($1 < low) low = $1; if ($1 > high) high = $1 }
    END { exit !(best == high && next_rate == 2 * high || best == low && next_rate == low / 2) }'
}

choose_rate() {  # KIND
  [ -z "$planning" ] && [ ! -e "$out/rate-$1.txt" ] || return 0
  rates_tried "$1" > "$out/rate-$1.txt.new"
  [ -s "$out/rate-$1.txt.new" ] || { echo "$1: no rate of the search came to an end" >&2; exit 1; }
  mv "$out/rate-$1.txt.new" "$out/rate-$1.txt"
  echo "$1: rate x $(chosen_rate "$1") is best (rate and loss: $(paste -sd, "$out/rate-$1.txt"))"
}

chosen_rate() { cut -d' ' -f1 "$out/rate-$1.txt" | head -n 1; }

# shellcheck disable=SC2317  # reached by the trap
stop_all() {
  if [ "${#name_of[@]}" -gt 0 ]; then kill "${!name_of[@]}" 2> /dev/null || true; wait; fi
}
trap 'stop_all; exit 130' INT TERM HUP

for ((i = 0; i < workers && ${#cores[@]} > 0; ++i)); do free_cores+=("${cores[i % ${#cores[@]}]}"); done
if [ -z "$list" ]; then step_times; fi  # first, so that the plan has measured prices
planning=1
: > "$out/plan.txt.new"
everything
printf '%d runs, about %.1f hours with %d at a time\n' "$jobs" "$(hours "$total")" "$workers"
if [ -n "$list" ]; then rm "$out/plan.txt.new"; exit 0; fi
mv "$out/plan.txt.new" "$out/plan.txt"
planning=''
remaining=$total spent=0 expected_of_spent=0
everything
wait_for_all
if [ "${#failed[@]}" -gt 0 ]; then
  printf 'failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
echo "all runs are finished: mneme-train compare $out --report ... --csv ... --plots ..."
