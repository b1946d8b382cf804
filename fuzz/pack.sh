#!/bin/sh
# Builds every target and puts binaries, seeds and dictionaries into a folder, the way ClusterFuzzLite expects them.
# Usage: fuzz/pack.sh FOLDER
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
cargo +nightly fuzz build -O
for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    cp fuzz/target/*/release/"$target" "$out/"
    if [ -d "fuzz/seeds/$target" ]; then
        (cd "fuzz/seeds/$target" && zip -q -r "$out/${target}_seed_corpus.zip" .)
    fi
done
for target in json_rpc reference_server; do cp fuzz/dictionaries/json_rpc.dict "$out/$target.dict"; done
for target in schema layering; do cp fuzz/dictionaries/schema.dict "$out/$target.dict"; done
for target in case_loader replay_file; do cp fuzz/dictionaries/case.dict "$out/$target.dict"; done
