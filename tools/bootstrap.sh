#!/bin/sh
# Installs the Debian packages that the named jobs lack; does nothing where nothing is missing.
# Usage: tools/bootstrap.sh build|test|train|corpus|bench|fuzz ...
set -eu
cd "$(dirname "$0")/.."

need="" wish="" torch_wish=""
# The trainer's libraries, and a BLAS that is not the reference.
torch="libtorch-dev libgloo-dev libopenblas0-openmp"
for job; do
  case $job in
    build) need="$need g++ cmake ninja-build ccache pkg-config libfmt-dev libcli11-dev nlohmann-json3-dev
                 libexpected-dev libpcre2-dev libxxhash-dev libicu-dev libgtest-dev
                 liburing-dev libboost1.81-dev libssl-dev" ;;
    test)  torch_wish=$torch
           command -v node >/dev/null && command -v npm >/dev/null || wish="nodejs npm" ;;
    train) need="$need $torch" ;;
    corpus) need="$need apt dpkg-dev xz-utils zstd" ;;
    bench) need="$need libbenchmark-dev" ;;
    fuzz)  need="$need clang libclang-rt-14-dev" ;;
    *) echo "tools/bootstrap.sh: no such job: $job (build, test, train, corpus, bench, fuzz)" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "tools/bootstrap.sh: not a Debian system, nothing installed. Needed, in Debian's names:" $need $wish >&2
  exit 0
fi

# Names of the packages among "$@" that are not installed.
missing_of() {
  for package; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
    [ "$state" = installed ] || printf '%s ' "$package"
  done
}

install() {
  echo "Installing with apt-get: $*"
  sudo=""
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "Missing packages, and neither root nor sudo to install them: $*" >&2; return 1; }
    sudo=sudo
  fi
  # The lists are fetched only where the ones at hand do not do.
  set -- env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
  $sudo "$@" >/dev/null 2>&1 || { $sudo apt-get update -qq && $sudo "$@" >/dev/null; }
}

missing=$(missing_of $need)
if [ -n "$missing" ]; then
  install $missing || { echo "Could not install (as root: apt-get install ${missing% })" >&2; exit 1; }
fi

# The oracle of the chat templates and the clients of the server are Node packages. Their tests are skipped, saying so,
# where they cannot be had.
case " $* " in *" test "*) ;; *) exit 0 ;; esac
missing=$(missing_of $torch_wish)
[ -z "$missing" ] || install $missing || echo "libtorch could not be installed: the trainer is left out, with its tests." >&2
missing=$(missing_of $wish)
[ -z "$missing" ] || install $missing || echo "Node.js could not be installed: the template oracle test and the tests with real clients will be skipped." >&2
command -v npm >/dev/null || exit 0
# npm_packages FOLDER WHAT TEST: what package-lock.json names, where it is not there yet.
npm_packages() {
  [ -f "$1/package-lock.json" ] || return 0
  [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] && return 0
  echo "Installing with npm: $2 ($1)"
  (cd "$1" && npm ci --no-audit --no-fund --loglevel=error) || echo "npm ci failed: $3 will be skipped." >&2
}
npm_packages tests/jinja_oracle "the oracle of the chat templates" "the template oracle test"
npm_packages tests/clients "clients of the server" "the tests with real clients"
