#!/usr/bin/env bash
# Runs every target for some seconds, as many at a time as there are processors; with 0 seconds they are only built. Usage: fuzz/each.sh [SECONDS]
#
# Without AddressSanitizer and hardly optimised: Touchstone has next to no unsafe code, and what counts here is that every target is run at all. What
# they find lies in fuzz/artifacts/TARGET, and the exit code is 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-20}
folder=target/fuzz

cargo fuzz --version >/dev/null || {
    echo "each.sh: cargo-fuzz is needed: cargo install cargo-fuzz" >&2
    exit 2
}
# Without a sanitizer the stable toolchain will do.
toolchain=$(rustup toolchain list 2>/dev/null | sed -n 's/^\(nightly[^ ]*\).*/+\1/p' | head -1)
# shellcheck disable=SC2086
CARGO_PROFILE_DEV_DEBUG=0 cargo $toolchain fuzz build --dev -s none --target-dir "$folder"
if [ "$seconds" -eq 0 ]; then exit 0; fi
built=$(dirname "$(ls "$folder"/*/debug/json_rpc)")

run() {
    local target=$1 artifacts=fuzz/artifacts/$1 corpus options=()
    corpus=$(mktemp -d)
    mkdir -p "$artifacts"
    if [ -e "fuzz/dictionaries/$target.dict" ]; then options+=("-dict=fuzz/dictionaries/$target.dict"); fi
    if [ -d "fuzz/seeds/$target" ]; then options+=("fuzz/seeds/$target"); fi
    local outcome=0
    "$built/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$artifacts/" \
        "$corpus" "${options[@]}" >"$folder/$target.log" 2>&1 || outcome=1
    rm -rf "$corpus"
    if [ "$outcome" -eq 0 ]; then
        echo "$target: $(grep -E '^Done ' "$folder/$target.log")"
    else
        echo "$target: FAILED, $folder/$target.log ends with"
        tail -n 30 "$folder/$target.log"
    fi
    return "$outcome"
}
export -f run
export seconds folder built

basename -s .rs fuzz/fuzz_targets/*.rs | xargs -P "$(nproc)" -I {} bash -c 'run {}' || exit 1
