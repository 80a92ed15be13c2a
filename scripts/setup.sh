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

# One virtual environment per SDK version, in target/clients, made anew when its list of packages changes.
environment() {
    local name=$1 requirements=$2
    local folder=target/clients/$name wanted
    wanted=$(sha256sum <"$requirements")
    if [ -x "$folder/bin/python" ] && [ "$(cat "$folder/.requirements" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    say "making $folder from $requirements"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
    printf '%s\n' "$wanted" >"$folder/.requirements"
}

clients() {
    have curl || install curl ca-certificates
    have python3 || install python3 python3-venv
    # Debian splits venv from Python.
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    for requirements in tests/clients/requirements-*.txt; do
        local name=${requirements#tests/clients/requirements-}
        environment "${name%.txt}" "$requirements"
    done
}

case "${1:-}" in
    build) build ;;
    clients) build && clients ;;
    *) fail "usage: scripts/setup.sh build|clients" ;;
esac
