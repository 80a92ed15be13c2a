#!/usr/bin/env bash
# Runs the README's quickstart as it stands there: starts the product with `make demo`, then runs every block that is marked
# `quickstart`, against the demo's own address and key. PYTHON names an interpreter that has the openai SDK.
set -euo pipefail
cd "$(dirname "$0")/../.."

START_SECONDS_MAX=1200 # `make demo` may have to build first.
folder=$(mktemp -d)
demo=

stop() {
    if [ -n "$demo" ]; then
        # make, its shell and the gateway are one process group of our own.
        kill -TERM -- "-$demo" 2>/dev/null || true
        wait "$demo" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap stop EXIT

fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

mkfifo "$folder/stdout"
setsid make -s demo DEMO_ARGS="--json --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0" >"$folder/stdout" 2>"$folder/stderr" &
demo=$!
exec 3<"$folder/stdout"
read -r -t "$START_SECONDS_MAX" line <&3 || { cat "$folder/stderr" >&2; fail "make demo said nothing"; }

field() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$line" "$1"; }
base_url=$(field base_url)
admin_url=$(field admin_url)
QINGWAVE_KEY=$(field api_key)
export QINGWAVE_KEY no_proxy=127.0.0.1 NO_PROXY=127.0.0.1

# One file for each block, in order, with the addresses of this demo.
awk -v folder="$folder" '
    /^```(sh|python) quickstart$/ { n++; kind = substr($1, 4); out = sprintf("%s/%02d.%s", folder, n, kind); next }
    /^```/ { out = "" }
    out { print > out }
' README.md
sed -i "s#http://127\.0\.0\.1:8080#$base_url#g; s#http://127\.0\.0\.1:9090#$admin_url#g" "$folder"/[0-9]*

# An HTTP error must fail the block, though the README need not say so.
cat >"$folder/prelude" <<'PRELUDE'
set -euo pipefail
curl() { command curl --silent --show-error --fail-with-body "$@"; }
PRELUDE

blocks=0
for block in "$folder"/[0-9]*; do
    printf -- '--- README block %s\n' "$(basename "$block")"
    case "$block" in
        *.sh) bash <(cat "$folder/prelude" "$block") | tee -a "$folder/output" || fail "a block failed" ;;
        *.python) "${PYTHON:-python3}" "$block" | tee -a "$folder/output" || fail "a block failed" ;;
    esac
    printf '\n'
    blocks=$((blocks + 1))
done
[ "$blocks" -ge 6 ] || fail "only $blocks blocks are marked in README.md"
# What a newcomer must have seen: an answer in each protocol, a stream to its end, and calls in the ledger.
for sight in '"chat.completion"' '"type":"message"' '"object":"response"' '"candidates"' 'data: [DONE]' '"charge"' '# TYPE qingwave_'; do
    grep -qF "$sight" "$folder/output" || fail "the blocks ran, but $sight was never seen"
done
printf 'quickstart: %s blocks of README.md ran\n' "$blocks"
