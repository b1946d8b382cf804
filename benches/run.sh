#!/bin/sh
# Measures floor, naive client and campaign in one run. Usage: benches/run.sh [-- COMMAND ARG...]
set -eu
cd "$(dirname "$0")/.."
cargo build --release -p mcp-touchstone
cargo run --release -p touchstone-fixtures --example throughput -- "$@"
if command -v hyperfine >/dev/null; then
    hyperfine --warmup 1 'target/release/touchstone check --quiet' \
        'target/release/touchstone fuzz --seed 1 --count 2000 --quiet --shrink 0'
fi
