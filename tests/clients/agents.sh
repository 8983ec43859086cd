#!/bin/sh
# Coding agents, headless, against a server of their own: each says hi, and completes one tool loop (agents_proxy.mjs says
# how a small model is brought to it). They are large, and installed by npm where they are missing; not part of make test.
# Usage: tests/clients/agents.sh MNEME_BINARY [AGENT]...    FOLDER of the agents: MNEME_AGENTS, or build/agents
set -eu
binary=$(realpath "$1")
shift
here=$(realpath "$(dirname "$0")")
agents=${MNEME_AGENTS:-$here/../../build/agents}
model=$here/../../models/mneme-default.gguf
[ $# -gt 0 ] || set -- pi opencode codex claude qwen continue

# Versions that run with Node 20.
package_of() {
  case $1 in
    pi) echo @mariozechner/pi-coding-agent@0.73.1 ;;
    opencode) echo opencode-ai@1.18.33 ;;
    codex) echo @openai/codex@0.169.0 ;;
    claude) echo @anthropic-ai/claude-code@2.1.54 ;;
    qwen) echo @qwen-code/qwen-code@0.15.10 ;;
    continue) echo @continuedev/cli@1.5.47 ;;
    *) echo "no such agent: $1" >&2; return 1 ;;
  esac
}

folder=$(mktemp -d)
server= proxy=
stop() {
  [ -z "$proxy" ] || kill "$proxy" 2>/dev/null || true
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' HUP INT TERM

# wait_for FILE EXPRESSION: prints what the line of the file says, once there is one.
wait_for() {
  for _ in $(seq 300); do
    found=$(sed -n "$2" "$1" | head -n 1)
    [ -z "$found" ] || { echo "$found"; return; }
    sleep 0.1
  done
  cat "$1" >&2
  return 1
}

mkdir -p "$agents" "$folder/work"
echo "the answer is 4711-hello" > "$folder/work/note.txt"
MNEME_HOME="$folder/home" "$binary" serve -m "$model" --port 0 2>"$folder/server.txt" &
server=$!
url=$(wait_for "$folder/server.txt" 's|.*serving .* at \(http://[^ ]*\).*|\1|p')
node "$here/agents_proxy.mjs" "$url" "$folder/work/note.txt" 4711-hello > "$folder/proxy.txt" &
proxy=$!
door=$(wait_for "$folder/proxy.txt" 's|^proxy at ||p')

# run AGENT BASE PROMPT: in a home of its own.
run() {
  home=$folder/home-$1
  bin=$agents/$1/node_modules/.bin
  mkdir -p "$home"
  cd "$folder/work"
  case $1 in
    pi)
      mkdir -p "$home/.pi/agent"
      printf '{"providers":{"mneme":{"baseUrl":"%s/v1","api":"openai-completions","apiKey":"d","models":[{"id":"m"}]}}}' "$2" \
        > "$home/.pi/agent/models.json"
      HOME=$home PI_OFFLINE=1 timeout 300 "$bin/pi" --offline --provider mneme --model m -p "$3" ;;
    opencode)
      mkdir -p "$home/.config/opencode"
      printf '{"provider":{"mneme":{"npm":"@ai-sdk/openai-compatible","options":{"baseURL":"%s/v1","apiKey":"d"},"models":{"m":{}}}},"model":"mneme/m","small_model":"mneme/m"}' "$2" \
        > "$home/.config/opencode/opencode.json"
      HOME=$home OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1 timeout 300 "$bin/opencode" run "$3" ;;
    codex)
      mkdir -p "$home/.codex"
      printf 'model = "m"\nmodel_provider = "mneme"\n[model_providers.mneme]\nname = "mneme"\nbase_url = "%s/v1"\nenv_key = "KEY"\nwire_api = "responses"\n' "$2" \
        > "$home/.codex/config.toml"
      HOME=$home KEY=d timeout 300 "$bin/codex" exec --skip-git-repo-check --sandbox read-only "$3" ;;
    claude)
      HOME=$home ANTHROPIC_BASE_URL=$2 ANTHROPIC_AUTH_TOKEN=d ANTHROPIC_MODEL=m CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 \
        DISABLE_AUTOUPDATER=1 timeout 300 "$bin/claude" --allowedTools Read -p "$3" ;;
    qwen)
      HOME=$home OPENAI_API_KEY=d OPENAI_BASE_URL=$2/v1 OPENAI_MODEL=m timeout 300 "$bin/qwen" --auth-type openai -p "$3" ;;
    continue)
      printf 'name: m\nversion: 0.0.1\nschema: v1\nmodels:\n  - name: m\n    provider: openai\n    model: m\n    apiBase: %s/v1\n    apiKey: d\n    roles: [chat]\n    capabilities: [tool_use]\n' "$2" \
        > "$home/config.yaml"
      HOME=$home CONTINUE_TELEMETRY_ENABLED=0 timeout 300 "$bin/cn" --config "$home/config.yaml" -p "$3" ;;
  esac </dev/null
}

failed=0
for agent; do
  package=$(package_of "$agent")
  if [ ! -d "$agents/$agent/node_modules" ]; then
    echo "Installing with npm: $package"
    mkdir -p "$agents/$agent"
    (cd "$agents/$agent" && npm init -y >/dev/null && npm install --no-audit --no-fund --loglevel=error "$package")
  fi
  for task in hi loop; do
    prompt="say hi"
    [ $task = hi ] || prompt="Read the file $folder/work/note.txt and quote it."
    before=$(grep -c 'carries the text' "$folder/proxy.txt" || true)
    asked=$(grep -c '^POST .* 200$' "$folder/proxy.txt" || true)
    ok=yes
    (run "$agent" "$door/$task" "$prompt") > "$folder/out.txt" 2>"$folder/err.txt" || ok="no: status $?"
    grep -q '[^[:space:]]' "$folder/out.txt" || ok="no: it said nothing"
    [ "$(grep -c '^POST .* 200$' "$folder/proxy.txt" || true)" -gt "$asked" ] || ok="no: nothing was asked"
    [ $task = hi ] || [ "$(grep -c 'carries the text' "$folder/proxy.txt" || true)" -gt "$before" ] || ok="no: no tool answered"
    echo "$agent, $task: $ok"
    if [ "$ok" != yes ]; then
      failed=1
      tail -n 5 "$folder/out.txt" "$folder/err.txt" "$folder/proxy.txt" >&2
    fi
  done
done
exit $failed
