#!/usr/bin/env bash
# Fuzzes one target for so many seconds on stable Rust: `fuzz/run.sh answer_chat 600`, with more arguments for libFuzzer. Needs
# `cargo install cargo-fuzz`. Seeds are our own fixtures; what is found goes to fuzz/found, a crash to fuzz/artifacts, and from
# there, made small (`cargo fuzz tmin`), to fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1 seconds=${2:-600}
shift $(($# > 1 ? 2 : 1))
found=fuzz/found/$target fixtures=tests/fixtures/wire
mkdir -p "$found" "fuzz/corpus/$target"

# Fixtures with the bytes that a target wants beside them.
framed() {
    local folder=$found/../$target-seeds upstream=0 way file
    mkdir -p "$folder"
    for protocol in openai_chat openai_responses anthropic_messages gemini; do
        for file in "$fixtures/answers/$protocol"/*; do
            for client in 0 1 2 3; do
                # See `Way::of`: where from, where to, streamed or whole, and all else in turn.
                for rest in 0 16 64 160; do
                    way=$(printf '%02x' $((upstream | client << 2 | rest)))
                    { cat "$file"; printf "\\x$way\\x07"; } >"$folder/$protocol-${file##*/}-$way"
                done
            done
        done
        upstream=$((upstream + 1))
    done
    echo "$folder"
}

case $target in
    answer_chat) seeds=("$fixtures/answers/openai_chat") ;;
    answer_responses) seeds=("$fixtures/answers/openai_responses") ;;
    answer_messages) seeds=("$fixtures/answers/anthropic_messages") ;;
    answer_gemini | array) seeds=("$fixtures/answers/gemini") ;;
    request_chat) seeds=("$fixtures/requests/openai_chat") ;;
    request_responses) seeds=("$fixtures/requests/openai_responses") ;;
    request_messages) seeds=("$fixtures/requests/anthropic_messages") ;;
    request_gemini) seeds=("$fixtures/requests/gemini") ;;
    head | splice) seeds=("$fixtures"/requests/*/) ;;
    translate) seeds=("$(framed)") ;;
    tap) seeds=("$fixtures"/answers/*/) ;;
    media) seeds=() ;;
    *) echo "there is no target $target" >&2; exit 2 ;;
esac

# The names that the protocols know.
{
    grep -rohE '"[A-Za-z_.]{2,40}"' "$fixtures/answers" "$fixtures/requests" | sort -u | sed 's/.*/"\\&/; s/"$/\\""/'
    printf '%s\n' '"\\ud83d"' '"data: "' '"event: "' '"\x0a\x0a"' '"[DONE]"' '"null"' '"1e999"' '"-1"'
} >"$found.dict"

RUSTC_BOOTSTRAP=1 cargo fuzz run -s none "$target" "$found" "fuzz/corpus/$target" "${seeds[@]}" -- \
    -max_total_time="$seconds" -max_len=20000 -timeout=10 -rss_limit_mb=3000 -dict="$found.dict" -print_final_stats=1 "$@"
