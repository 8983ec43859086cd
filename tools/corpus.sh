#!/bin/bash
# Builds a training corpus from Debian packages: documentation in English and Chinese, and permissively
# licensed source code. docs/formats/corpus.md says what comes out.
#   tools/corpus.sh OUT_DIR [MEGABYTES]
# Needs the network once (OUT_DIR/cache keeps what was fetched), apt, dpkg-dev and a built mneme-corpus
# ($MNEME_CORPUS, or build/release/mneme-corpus). The machine's own apt configuration is not touched.
set -euo pipefail
[ $# -ge 1 ] && [ $# -le 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
megabytes=${2:-150}
program=${MNEME_CORPUS:-$root/build/release/mneme-corpus}
suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$out"/{apt/lists/partial,apt/archives/partial,cache,unpacked}

# ROLE FORM NAME...: a doc is a binary package whose texts are taken; a src is a source package, and a bin a
# binary one (of languages that are installed as source), whose code is taken where its licence is permissive.
# What is held out is chosen here and nowhere else.
packages() {
  cat <<'LIST'
heldout doc debian-faq apt-doc haproxy-doc exim4-doc-html dict-jargon
heldout doc debian-faq-zh-cn kicad-doc-zh maint-guide-zh-cn
heldout src jq node-express leveldb golang-github-spf13-cobra brotli
heldout bin python3-attr librust-rayon-dev librust-rayon-core-dev bats python3-bottle python3-tornado
train doc debian-handbook debian-reference-en maint-guide developers-reference debmake-doc python3.11-doc
train doc manpages manpages-dev git-doc postgresql-doc-15 sqlite3-doc linux-doc-6.1 bash-doc cmake-doc
train doc nginx-doc
train doc apache2-doc debian-policy harden-doc fortunes aptitude-doc-en python-django-doc erlang-doc
train doc libboost1.74-doc gnome-user-docs dict-foldoc debian-history r-doc-html perl-doc
train doc vim-doc postfix-doc bind9-doc libvirt-doc lilypond-doc-html python-sqlalchemy-doc
train doc python-pandas-doc libreoffice-help-en-us gimp-help-en ghc-doc
train doc selinux-policy-doc miscfiles tcllib rust-doc user-mode-linux-doc
train doc debian-reference-zh-cn debian-reference-zh-tw debian-edu-doc-zh-cn gimp-help-zh-cn
train doc libreoffice-help-zh-cn libreoffice-help-zh-tw lilypond-doc-html-zh
train doc maint-guide-zh-tw manpages-zh fortunes-zh installation-guide-amd64
train src curl zlib lua5.4 redis sqlite3 libuv1 nginx tmux fmtlib spdlog nlohmann-json3 googletest re2
train src abseil libevent snappy protobuf grpc flatbuffers rapidjson catch2 cli11 nghttp2 pcre2 expat
train src libpng1.6 openssl libsodium hiredis memcached lighttpd mksh tcl8.6 libarchive glfw3 box2d
train src harfbuzz pugixml tinyxml2 xxhash wayland libxml2 musl postgresql-15 duktape mimalloc jemalloc
train src libsdl2
train src capnproto libwebp opus ninja-build lz4
train src python-django sympy rich
train src node-jquery node-typescript node-webpack
train src golang-1.19 golang-golang-x-tools golang-golang-x-net
train src caddy etcd prometheus golang-github-gorilla-mux golang-testify golang-github-urfave-cli fzf
train src golang-github-pelletier-go-toml golang-github-davecgh-go-spew
train src rust-ripgrep rust-bat rust-fd-find
train bin python3-flask python3-requests python3-werkzeug python3-click python3-numpy python3-pandas
train bin python3-sklearn python3-networkx python3-pytest python3-twisted python3-pygments python3-sqlalchemy
train bin python3-pydantic python3-fastapi python3-starlette python3-httpx black python3-urllib3
train bin python3-aiohttp
train bin python3-sphinx python3-ipython python3-celery python3-scrapy python3-mypy python3-dask python3-trio
train bin python3-statsmodels meson python3-sqlparse python3-scipy python3-matplotlib python3-jieba
train bin node-lodash node-commander node-react libjs-three node-babel7 eslint node-ws libjs-vue
train bin golang-github-gin-gonic-gin-dev golang-go.uber-zap-dev
train bin librust-serde-dev librust-serde-json-dev librust-tokio-dev librust-regex-dev librust-rand-dev
train bin librust-hyper-dev librust-itertools-dev librust-syn-dev librust-chrono-dev
train bin librust-nom-dev librust-image-dev librust-reqwest-dev librust-anyhow-dev librust-petgraph-dev
train bin librust-time-dev librust-url-dev librust-h2-dev librust-log-dev librust-tracing-dev
train bin librust-rustls-dev librust-tokio-util-dev librust-mio-dev librust-hashbrown-dev librust-bytes-dev
train bin librust-futures-util-dev librust-regex-syntax-dev librust-regex-automata-dev librust-clap-dev
train bin librust-crossbeam-channel-dev librust-crossbeam-epoch-dev librust-num-bigint-dev
train bin librust-rusqlite-dev
train bin librust-gimli-dev librust-object-dev
train bin librust-pest-dev librust-rustix-dev librust-nix-dev
LIST
}

# One "ROLE FORM NAME" a line.
entries() {
  local role form names name
  packages | while read -r role form names; do
    for name in $names; do echo "$role $form $name"; done
  done
}

private_apt() {
  mkdir -p "$out/apt/sources.list.d"
  printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
    "$mirror" "$suite" "$keys" > "$out/apt/sources.list.d/debian.sources"
  cat > "$out/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$out/apt/sources.list.d";
Dir::State::lists "$out/apt/lists";
Dir::Cache "$out/apt";
Dir::Cache::archives "$out/apt/archives";
Acquire::Languages "none";
APT::Sandbox::User "root";
CONF
  export APT_CONFIG=$out/apt/apt.conf
}

# The package's main file in the cache: its .deb or .dsc. Fails where there is none.
cached() {  # FORM NAME
  local extension=dsc
  [ "$1" = src ] || extension=deb
  compgen -G "$out/cache/$1/$2/*.$extension" | head -n 1
}

fetch() {  # FORM NAME
  local folder=$out/cache/$1/$2
  [ -e "$folder/.complete" ] && return 0
  rm -rf "$folder"
  mkdir -p "$folder"
  if [ "$1" != src ]; then
    (cd "$folder" && apt-get -qq download "$2") > "$out/apt/log" 2>&1 || return 1
  else
    (cd "$folder" && apt-get -qq source --download-only --only-source "$2") > "$out/apt/log" 2>&1 ||
      return 1
  fi
  touch "$folder/.complete"
}

unpack() {  # FORM NAME
  local folder=$out/unpacked/$1/$2 file
  [ -e "$folder/.complete" ] && return 0
  rm -rf "$folder"
  mkdir -p "$folder"
  file=$(cached "$1" "$2")
  if [ "$1" != src ]; then
    dpkg-deb -x "$file" "$folder/files"
  else
    dpkg-source --no-check --skip-patches -x "$file" "$folder/files" > "$out/apt/log" 2>&1
  fi
  # What never is text, and packed text as text.
  find "$folder/files" -type f \( -iname '*.png' -o -iname '*.jpg' -o -iname '*.pdf' -o -iname '*.svg' \
    -o -iname '*.epub' -o -iname '*.gif' -o -iname '*.a' -o -iname '*.so' \) -delete
  find "$folder/files" -type f \( -name '*.gz' -o -name '*.dz' \) ! -name '*.tar.gz' -size -40M -print0 |
    while IFS= read -r -d '' file; do
      gzip -dc "$file" > "${file%.?z}" 2> /dev/null || rm -f "${file%.?z}"
      rm -f "$file"
    done
  touch "$folder/.complete"
}

private_apt
if [ ! -e "$out/apt/.updated" ]; then
  echo "reading the package index of $mirror $suite"
  apt-get -qq update
  touch "$out/apt/.updated"
fi

total=$(entries | wc -l)
count=0
: > "$out/packages.tsv.new"
entries > "$out/apt/entries"
while read -r role form name; do
  count=$((count + 1))
  if ! fetch "$form" "$name" < /dev/null; then
    echo "[$count/$total] $name: not fetched, left out: $(tail -n 1 "$out/apt/log")"
    continue
  fi
  if ! unpack "$form" "$name" < /dev/null; then
    echo "[$count/$total] $name: not unpacked, left out: $(tail -n 1 "$out/apt/log")"
    continue
  fi
  file=$(cached "$form" "$name")
  if [ "$form" = src ]; then
    version=$(sed -n 's/^Version: //p' "$file" | head -n 1)
  else
    version=$(dpkg-deb -f "$file" Version)
  fi
  sum=$(sha256sum "$file" | cut -d' ' -f1)
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$role" "$form" "$name" "$version" "$sum" \
    "$out/unpacked/$form/$name/files" >> "$out/packages.tsv.new"
  echo "[$count/$total] $name $version"
done < "$out/apt/entries"
mv "$out/packages.tsv.new" "$out/packages.tsv"

[ "${FETCH_ONLY:-}" ] || "$program" build --packages "$out/packages.tsv" --out "$out" --megabytes "$megabytes"
