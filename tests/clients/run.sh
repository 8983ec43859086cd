#!/bin/sh
# The suites of this folder, real clients all, against a server of their own: started on a free port with a home of its
# own, stopped with SIGTERM. Status 77: skipped, saying why. Usage: tests/clients/run.sh MNEME_BINARY [SUITE.test.mjs]...
set -eu
binary=$(realpath "$1")
shift
cd "$(dirname "$0")"

skip() { # in GoogleTest's words, which tools/ctest.sh gathers
  printf 'tests/clients/run.sh: Skipped\n%s\n[  SKIPPED ] clients (0 ms)\n' "$1"
  exit 77
}
command -v node >/dev/null || skip "no node"
[ -f node_modules/.package-lock.json ] || skip 'no client packages: run `npm ci` in tests/clients'
[ -f ../../models/mneme-default.gguf ] || skip "no models/mneme-default.gguf"

folder=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' HUP INT TERM

MNEME_KEY=$("$binary" serve key add --keys "$folder/keys.json" --admin clients 2>/dev/null)
MNEME_HOME="$folder/home" "$binary" serve -m ../../models/mneme-default.gguf --port 0 --keys "$folder/keys.json" \
  --context-max 4096 --log "$folder/requests.log" 2>"$folder/errors.txt" &
server=$!
MNEME_URL=
for _ in $(seq 300); do
  kill -0 "$server" 2>/dev/null || break
  MNEME_URL=$(sed -n 's|.*serving .* at \(http://[^ ]*\).*|\1|p' "$folder/errors.txt" | head -n 1)
  [ -z "$MNEME_URL" ] || ! node -e "fetch('$MNEME_URL/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))" || break
  sleep 0.1
done
[ -n "$MNEME_URL" ] || { cat "$folder/errors.txt" >&2; echo "the server did not start" >&2; exit 1; }
export MNEME_URL MNEME_KEY

[ $# -gt 0 ] || set -- *.test.mjs
status=0
node --test --test-concurrency=1 --test-reporter=spec "$@" || status=1

kill -TERM "$server"
stopped=0
wait "$server" || stopped=$?
server=
[ "$stopped" = 0 ] || { cat "$folder/errors.txt" >&2; echo "the server stopped with status $stopped" >&2; status=1; }
exit $status
