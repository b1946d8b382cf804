#!/bin/sh
# Builds every target and puts binaries, seeds and dictionaries into a folder, the way ClusterFuzzLite and OSS-Fuzz expect them.
# Usage: fuzz/pack.sh FOLDER
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
toolchain=+nightly
# Their images choose the toolchain themselves, and say so.
if [ -n "${FUZZING_ENGINE:-}" ]; then toolchain=; fi
# shellcheck disable=SC2086
cargo $toolchain fuzz build -O --target-dir target/fuzz
for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    cp target/fuzz/*/release/"$target" "$out/"
    if [ -e "fuzz/dictionaries/$target.dict" ]; then cp -L "fuzz/dictionaries/$target.dict" "$out/"; fi
    if [ -d "fuzz/seeds/$target" ]; then
        (cd "fuzz/seeds/$target" && zip -q -r "$out/${target}_seed_corpus.zip" .)
    fi
done
